"""A model's answers on one side of a split, face by face."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facetell.contract import Contract
from facetell.datasets.fingerprint import refuse_training_data
from facetell.datasets.sample import Dataset, Side
from facetell.datasets.trained_faces import has_known_sides
from facetell.errors import ContractError, DataError, InputError
from facetell.files import refuse_overwriting, write_atomically
from facetell.predictor import Predictor

if TYPE_CHECKING:
    from facetell.datasets.splits import Split

__all__ = [
    "Judged", "checked_scores", "judge", "judged_side", "may_have_seen", "pool", "restrict",
    "score_columns", "write_predictions",
]  # fmt: skip

#: Faces read and scored at once: enough to keep a model busy, little memory.
BATCH = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """What a model answered for N faces; all arrays are in the order of `indices`.

    Attributes:
        contract: of the model; `flip` is what was done, not what the file proposes.
        dataset: whose faces were judged.
        split: how the dataset's sides were kept apart.
        side: the judged side.
        indices: (N,) the faces' positions in `dataset.samples`.
        labels: (N,) true class, index into `dataset.labels`.
        predicted: (N,) class with the highest score.
        scores: (N, K) columns in the order of `dataset.labels`, rows sum to 1.
        theta: (N, 2, 3) the spatial transformer's maps, None for a model without one.
        margins: (N, K) columns as those of the scores, None where they were not kept.
    """

    contract: Contract
    dataset: Dataset
    split: Split
    side: Side
    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    scores: NDArray[np.float64]
    theta: NDArray[np.float32] | None = None
    margins: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def ids(self) -> tuple[str, ...]:
        """(N,) the faces' ids in the dataset."""
        return tuple(self.dataset.samples[i].id for i in self.indices)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) whether the prediction is the label."""
        return np.asarray(self.predicted == self.labels, np.bool_)

    @property
    def confidence(self) -> NDArray[np.float64]:
        """(N,) score of the predicted class, 0-1."""
        return np.asarray(self.scores.max(axis=1), np.float64)

    def of(self, rows: NDArray[np.int64]) -> Judged:
        """The answers for the faces of these rows."""
        return replace(
            self,
            indices=self.indices[rows],
            labels=self.labels[rows],
            predicted=self.predicted[rows],
            scores=self.scores[rows],
            theta=None if self.theta is None else self.theta[rows],
            margins=None if self.margins is None else self.margins[rows],
        )

    def faces(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(n, S, S, 3) RGB faces of the given rows, as the model saw them but in colour."""
        return self.dataset.faces(self.indices[rows], face_px=self.contract.face_px, channels=3)


def judged_side(split: Split, side: Side | None = None) -> tuple[Side, NDArray[np.int64]]:
    """The side to judge and its faces' indices: `side`, or the test side if it has faces.

    Raises:
        InputError: the side is not one to judge on, or has no faces.
    """
    sides: dict[Side, NDArray[np.int64]] = {
        "test": np.asarray(split.test, np.int64),
        "validation": np.asarray(split.validation, np.int64),
    }
    if side is not None and side not in sides:
        raise InputError(
            f"side must be 'validation' or 'test', got {side!r}. "
            "Faces that a model was trained on say nothing about others.",
            actual=side,
        )
    chosen: Side = side or ("test" if sides["test"].size else "validation")
    if not sides[chosen].size:
        filled = [name for name, indices in sides.items() if indices.size]
        advice = f"Judge on {filled[0]!r} instead" if filled else "Choose another protocol"
        raise DataError(
            f"expected labelled faces on the {chosen} side of the {split.protocol} protocol, "
            f"found none. {advice}.",
            side=chosen,
        )
    return chosen, sides[chosen]


def score_columns(contract: Contract, labels: Sequence[str], dataset: str) -> list[int]:
    """For each label of a dataset of that name the model's score column.

    Raises:
        ContractError: the model reads other emotions.
    """
    if sorted(contract.labels) != sorted(labels):
        raise ContractError(
            f"the model {contract.name!r} reads {', '.join(contract.labels)}, but the dataset "
            f"{dataset!r} is labelled {', '.join(labels)}. "
            "Judge the model on a dataset with its own labels.",
            expected=contract.labels,
            actual=tuple(labels),
        )
    return [contract.labels.index(name) for name in labels]


def checked_scores(scores: NDArray[Any], shape: tuple[int, int], name: str) -> NDArray[np.float64]:
    """A model's scores as (N, K) float64 whose rows sum to 1.

    Raises:
        InputError: another shape, numbers outside 0 to 1, or other sums.
    """
    scores = np.array(scores, np.float64)  # a copy: normalised below
    fits = scores.shape == shape and bool(np.isfinite(scores).all())
    if not (fits and (scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-3)):
        raise InputError(
            f"expected scores of shape {shape}, 0 to 1, each row summing to 1, from the model "
            f"{name!r}; got shape {scores.shape} with row sums "
            f"{_range(scores)}. Export the model again with `facetell export`.",
            expected=shape,
            actual=scores.shape,
        )
    scores /= scores.sum(axis=1, keepdims=True)  # float32 rows sum to 1 to a few digits only
    return scores


def _range(scores: NDArray[np.float64]) -> str:
    if scores.ndim != 2 or not scores.size:
        return "undefined"
    sums = scores.sum(axis=1)
    return f"{sums.min():.3g} to {sums.max():.3g}"


def judge(
    predictor: Predictor,
    dataset: Dataset,
    split: Split,
    *,
    side: Side | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Judged:
    """A model's answers on one side of a split.

    Args:
        predictor: anything with a contract and a `predict` method.
        side: `validation` or `test`; by default test if it has faces, else validation.
        progress: called with (faces done, faces in all) after every batch.

    Raises:
        DataError: the side has no faces, or all are judged and trained the model.
        ContractError: the model reads other emotions.
    """
    # A runtime may be told to leave out the mirror image; the numbers must say so.
    flip = getattr(predictor, "flip", predictor.contract.flip)
    contract = replace(predictor.contract, flip=flip)
    columns = score_columns(contract, dataset.labels, dataset.name)
    chosen, indices = judged_side(split, side)
    if split.protocol == "whole":
        refuse_training_data(dataset, contract.data)
    scores, thetas, margins = [], [], []
    for start in range(0, len(indices), BATCH):
        batch = indices[start : start + BATCH]
        faces = dataset.faces(batch, face_px=contract.face_px, channels=contract.channels)
        prediction = predictor.predict(faces)
        shape = (len(batch), len(columns))
        scores.append(checked_scores(prediction.scores, shape, contract.name)[:, columns])
        thetas.append(prediction.theta)
        margins.append(np.asarray(prediction.margins, np.float32)[:, columns])
        if progress:
            progress(start + len(batch), len(indices))
    found = [theta for theta in thetas if theta is not None]
    table = np.concatenate(scores)
    return Judged(
        contract=contract,
        dataset=dataset,
        split=split,
        side=chosen,
        indices=indices,
        labels=dataset.targets[indices],
        predicted=table.argmax(axis=1),
        scores=table,
        theta=np.concatenate(found) if len(found) == len(thetas) else None,
        margins=np.concatenate(margins),
    )


def may_have_seen(judged: Judged) -> str:
    """Why the model may have been trained on judged faces, "" where it was kept from them."""
    contract, split = judged.contract, judged.split
    if contract.trained_on and contract.trained_on == split.trained_on:
        return ""
    trained, used = contract.protocol, split.protocol
    # `clean` only takes faces out of the official sides.
    alike = used == trained or (used, trained) == ("clean", "official")
    own = used in ("official", "clean") and (judged.side == "test" or not split.held_out)
    data = contract.data.get("name", judged.dataset.name)
    elsewhere = data != judged.dataset.name and used != "leaky-80-10-10"
    # What the digest tells of the data's own sides; a held-out side leaves the test side alone.
    others = contract.trained_on and not (split.held_out or has_known_sides(contract))
    if alike and own and (elsewhere or not others):
        return ""
    if elsewhere:
        return f"The model was trained on {data}: what is shown there, too, it may have seen."
    with_others = ", with other sides" if alike else ""
    return (
        f"The model was trained under the protocol {trained or 'unknown'!r} and is judged "
        f"under {used!r}{with_others}: it may have been trained on faces that it is judged on."
    )


def pool(folds: Sequence[Judged]) -> Judged:
    """The answers of all folds of a cross-validation as one: each face judged by one model.

    Args:
        folds: one or more, of one dataset; the split that is kept is that of the first.

    Raises:
        InputError: none, or folds of other datasets, or a face that is judged twice.
    """
    indices = np.concatenate([np.empty(0, np.int64), *(fold.indices for fold in folds)])
    datasets = {fold.dataset.name for fold in folds}
    if len(datasets) != 1 or len(np.unique(indices)) != len(indices):
        raise InputError(
            f"expected folds of one dataset that judge each face once, got {len(folds)} of "
            f"{', '.join(sorted(datasets)) or 'none'} with {len(indices)} faces, "
            f"{len(np.unique(indices))} of them different. Judge every fold of one split."
        )
    return replace(
        folds[0],
        indices=indices,
        labels=np.concatenate([fold.labels for fold in folds]),
        predicted=np.concatenate([fold.predicted for fold in folds]),
        scores=np.concatenate([fold.scores for fold in folds]),
        theta=None,
        margins=None,  # of one model each: nothing can be fitted to them together
    )


def restrict(judged: Judged, split: Split) -> Judged:
    """The answers on the faces that another protocol leaves, without asking the model again.

    Args:
        judged: answers under one protocol.
        split: of the same dataset, with some of the same faces on the judged side: `clean`
            beside `official`.

    Raises:
        InputError: another dataset, or a face that was not judged.
    """
    side, indices = judged_side(split, judged.side)
    row_of = np.full(len(judged.dataset), -1)
    row_of[judged.indices] = np.arange(len(judged))
    same = split.dataset is judged.dataset
    rows = row_of[indices] if same else np.array([-1])
    if (rows < 0).any():
        raise InputError(
            f"expected a split that leaves some of the {len(judged)} judged faces of "
            f"{judged.dataset.name}, got one of {split.dataset.name} with others. "
            "Judge the model under that protocol."
        )
    return replace(judged.of(rows), split=split, side=side)


def write_predictions(judged: Judged, path: str | Path, *, overwrite: bool = False) -> Path:
    """A CSV file with one row per face: id, label, predicted, correct, one score per emotion.

    Raises:
        InputError: the file is there and `overwrite` is not set.
    """
    path = Path(path)
    refuse_overwriting(path, overwrite)
    names = judged.dataset.labels
    rows = zip(judged.ids, judged.labels, judged.predicted, judged.scores, strict=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "label", "predicted", "correct", *(f"score_{n}" for n in names)])
    for id_, label, predicted, scores in rows:
        row = [id_, names[label], names[predicted], int(label == predicted)]
        writer.writerow([*row, *(f"{score:.6f}" for score in scores)])
    write_atomically(path, text.getvalue())
    return path
