"""How much of its accuracy a model keeps when faces get worse: every corruption and severity."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facetell.errors import InputError
from facetell.evaluate import metrics
from facetell.evaluate.corruptions.catalogue import (
    CORRUPTIONS,
    LIGHTING,
    SEVERITIES,
    corrupt,
    levels_id,
)
from facetell.evaluate.evaluation import Measure, clusters
from facetell.evaluate.judged import Judged, checked_scores, score_columns
from facetell.predictor import Predictor

__all__ = [
    "CELLS", "Cell", "Kept", "Reference", "Robustness", "bundled_reference", "measure_robustness",
    "read_reference", "sample_rows",
]  # fmt: skip

#: Corruptions times severities.
CELLS = len(CORRUPTIONS) * len(SEVERITIES)
#: Faces corrupted and scored at once.
BATCH = 256
#: Errors of the plain network that others are compared with, where it has been trained.
BUNDLED = "vgg8.json"


class Cell(NamedTuple):
    """One corruption at one severity; accuracies 0-1."""

    corruption: str
    severity: int
    accuracy: float
    balanced_accuracy: float


class Kept(NamedTuple):
    """What share of its clean accuracy a model keeps under some corruptions.

    Attributes:
        what: in words.
        share: mean accuracy over clean accuracy, with the ends of its 95 % interval.
        aim: what we want it to be at least.
    """

    what: str
    share: Measure
    aim: float


#: What is kept under what: words, corruptions, severities, aim. Roll by 20 degrees and shift by
#: 10 % are levels of their own.
_KEPT = (
    ("lighting, severity 3 or less", LIGHTING, (1, 2, 3), 0.97),
    ("roll of 20 degrees to either side", ("roll",), (2,), 0.96),
    ("shift by 10 % of the side", ("shift",), (3,), 0.97),
)
#: The mean corruption error that we want, or less.
MCE_AIM = 70.0


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The errors that a mean corruption error is relative to.

    Attributes:
        model, dataset, side, faces, seed: what was judged on what.
        levels: `levels_id` of the corruptions.
        errors: corruption -> (5,) error rates, 0-1.
    """

    model: str
    dataset: str
    side: str
    faces: int
    seed: int
    levels: str
    errors: dict[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """A model's accuracy on worse and worse faces.

    Attributes:
        model, dataset, protocol, side: what was judged on what.
        faces: judged faces.
        of: faces that the side has.
        seed: of the corruptions and of the choice of faces.
        levels: `levels_id` of the corruptions.
        clean, clean_balanced: accuracy and balanced accuracy on the same faces as they are, 0-1.
        cells: every corruption at every severity, in the order of `CORRUPTIONS`.
        kept: shares of clean accuracy that we set ourselves aims for.
        corruption_errors: corruption -> sum of its errors, in percent of the reference's; without
            those that the reference makes no error under, empty without a reference.
        mce_standard: mean of the fifteen of ImageNet-C, None without a reference.
        mce_all: mean of all, None without a reference.
        reference: whose errors those are, None without.
        example: index in the dataset of a face to show.
        notes: what a reader of the numbers must know, one sentence each.
    """

    model: str
    dataset: str
    protocol: str
    side: str
    faces: int
    of: int
    seed: int
    levels: str
    clean: float
    clean_balanced: float
    cells: tuple[Cell, ...]
    kept: tuple[Kept, ...]
    corruption_errors: dict[str, float]
    mce_standard: Measure | None
    mce_all: Measure | None
    reference: Reference | None
    example: int
    notes: tuple[str, ...] = ()

    def of_corruption(self, name: str) -> tuple[Cell, ...]:
        """The five cells of a corruption, mild first."""
        return tuple(cell for cell in self.cells if cell.corruption == name)

    def share(self, accuracy: float) -> float:
        """An accuracy relative to the clean one; 0 where nothing was right."""
        return accuracy / self.clean if self.clean else 0.0

    def as_reference(self) -> Reference:
        """The errors, for others to be compared with."""
        errors = {
            name: tuple(1 - cell.accuracy for cell in self.of_corruption(name))
            for name in CORRUPTIONS
        }
        return Reference(
            model=self.model,
            dataset=self.dataset,
            side=self.side,
            faces=self.faces,
            seed=self.seed,
            levels=self.levels,
            errors=errors,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` is its inverse."""
        return {
            **asdict(self),
            "cells": [cell._asdict() for cell in self.cells],
            "kept": [{**kept._asdict(), "share": kept.share._asdict()} for kept in self.kept],
            "mce_standard": self.mce_standard and self.mce_standard._asdict(),
            "mce_all": self.mce_all and self.mce_all._asdict(),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Robustness:
        """The result that `to_dict` described."""
        reference, mces = values["reference"], ("mce_standard", "mce_all")
        read = {
            "cells": tuple(Cell(**cell) for cell in values["cells"]),
            "kept": tuple(
                Kept(**{**kept, "share": Measure(**kept["share"])}) for kept in values["kept"]
            ),
            "reference": reference and _reference(reference),
            "notes": tuple(values["notes"]),
            **{name: values[name] and Measure(**values[name]) for name in mces},
        }
        return cls(**{**values, **read})


def _reference(values: dict[str, Any]) -> Reference:
    errors = {name: tuple(row) for name, row in values["errors"].items()}
    return Reference(**{**values, "errors": errors})


def read_reference(path: str | Path) -> Reference:
    """The errors in a result that `facetell evaluate --robustness` wrote as JSON.

    Args:
        path: of `--robustness-out NAME.json`, or of the output of `--json`.

    Raises:
        InputError: another file, or one whose corruptions have other levels.
    """
    advice = "Write one with `facetell evaluate MODEL --robustness --robustness-out NAME.json`."
    try:
        values = json.loads(Path(path).read_text("utf-8"))
        reference = Robustness.from_dict(values.get("robustness", values)).as_reference()
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"expected a robustness result as JSON in {path}, found none ({error!r}). {advice}",
            path=str(path),
        ) from error
    if reference.levels != levels_id():
        raise InputError(
            f"the corruptions behind {path} have other levels ({reference.levels}) than those of "
            f"this version of facetell ({levels_id()}), so their errors cannot be compared. "
            f"{advice}",
            expected=levels_id(),
            actual=reference.levels,
        )
    return reference


def bundled_reference() -> Reference | None:
    """The errors of the recipe `vgg8` on FER2013's PublicTest; None where the file is missing."""
    found = resources.files("facetell.evaluate").joinpath(BUNDLED)
    return read_reference(Path(str(found))) if found.is_file() else None


def sample_rows(judged: Judged, count: int | None, seed: int) -> NDArray[np.int64]:
    """Some of the judged faces, every emotion with its share of them.

    Args:
        judged: N answers.
        count: how many; None or more than N takes all.
        seed: of the choice.

    Returns:
        (n,) rows of `judged`, rising.
    """
    n = len(judged)
    if count is None or count >= n:
        return np.arange(n)
    order = np.random.default_rng(seed).permutation(n)
    order = order[np.argsort(judged.labels[order], kind="stable")]
    return np.sort(order[((np.arange(count) + 0.5) * n / count).astype(np.int64)])


def measure_robustness(
    predictor: Predictor,
    judged: Judged,
    *,
    faces: int | None = None,
    seed: int = 0,
    reference: Reference | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Robustness:
    """A model under every corruption at every severity.

    Args:
        predictor: the model behind `judged`.
        judged: its answers on the faces as they are.
        faces: judge only so many of them, every emotion with its share; None takes all.
        seed: of the corruptions and of the choice.
        reference: errors to be relative to.
        progress: called with (faces done, faces in all), a face counting once for each
            corruption and severity.

    Example:
        judged = judge(model, dataset, split(dataset, "official"))
        print(measure_robustness(model, judged, faces=500).kept)
    """
    rows = sample_rows(judged, faces, seed)
    predicted = _predict_all(predictor, judged, rows, seed, progress)  # (cells, n)
    labels, classes = judged.labels[rows], len(judged.dataset.labels)
    scored = [_accuracies(labels, answers, classes) for answers in predicted]
    correct = np.concatenate([judged.correct[rows][None], predicted == labels])  # (1 + cells, n)
    sums = _redraw(judged, rows, correct, seed)
    clean, clean_balanced = _accuracies(labels, judged.predicted[rows], classes)
    errors, standard, every = _relative(correct, sums, reference)
    return Robustness(
        model=judged.contract.name,
        dataset=judged.dataset.name,
        protocol=judged.split.protocol,
        side=judged.side,
        faces=len(rows),
        of=len(judged),
        seed=seed,
        levels=levels_id(),
        clean=clean,
        clean_balanced=clean_balanced,
        cells=tuple(Cell(*key, *found) for key, found in zip(_keys(), scored, strict=True)),
        kept=tuple(_kept(correct, sums, *what) for what in _KEPT),
        corruption_errors=errors,
        mce_standard=standard,
        mce_all=every,
        reference=reference,
        example=int(judged.indices[rows[0]]),
        notes=_notes(judged, len(rows), reference),
    )


def _keys() -> list[tuple[str, int]]:
    return [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES]


def _predict_all(
    predictor: Predictor,
    judged: Judged,
    rows: NDArray[np.int64],
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> NDArray[np.int64]:
    """(cells, n) predicted classes."""
    contract, dataset, keys = judged.contract, judged.dataset, _keys()
    columns = score_columns(contract, dataset.labels, dataset.name)
    # Faces may have colour that a grey model's luma still shows, unless they are grey all along.
    channels = contract.channels if dataset.stack is not None else 3
    out = np.empty((len(keys), len(rows)), np.int64)
    for start in range(0, len(rows), BATCH):
        part = slice(start, start + BATCH)
        indices = judged.indices[rows[part]]
        faces = dataset.faces(indices, face_px=contract.face_px, channels=channels)
        for at, (name, severity) in enumerate(keys):
            worse = corrupt(faces, name, severity, seed=seed, indices=indices)
            shape = (len(indices), len(columns))
            scores = checked_scores(predictor.predict(worse).scores, shape, contract.name)
            out[at, part] = scores[:, columns].argmax(axis=1)
            if progress:
                progress(start * len(keys) + (at + 1) * len(indices), len(rows) * len(keys))
    return out


def _accuracies(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> tuple[float, float]:
    confusion = metrics.confusion_matrix(labels, predicted, classes)
    return float(metrics.accuracy(confusion)), float(metrics.balanced_accuracy(confusion))


def _redraw(
    judged: Judged, rows: NDArray[np.int64], correct: NDArray[np.bool_], seed: int
) -> NDArray[np.float64]:
    """(R, 1 + cells) shares of right answers in resamples of the faces."""
    own = clusters(judged, None)
    groups = None if own is None else own[rows]
    columns = np.concatenate([correct, np.ones((1, len(rows)))]).T.astype(np.float64)
    sums = metrics.bootstrap_sums(columns, groups=groups, seed=seed)
    return np.asarray(sums[:, :-1] / sums[:, -1:])


def _cells_of(names: tuple[str, ...], severities: tuple[int, ...]) -> list[int]:
    """Positions after the clean faces."""
    return [
        at for at, (name, s) in enumerate(_keys(), start=1) if name in names and s in severities
    ]


def _kept(
    correct: NDArray[np.bool_],
    sums: NDArray[np.float64],
    what: str,
    names: tuple[str, ...],
    severities: tuple[int, ...],
    aim: float,
) -> Kept:
    cells = _cells_of(names, severities)
    shares = np.concatenate([correct.mean(axis=1)[None], sums])  # the measured ones first
    clean = shares[:, 0]
    # Nothing right as it is: 0 for the measured faces, left out of the interval
    clean[1:][clean[1:] == 0] = np.nan
    kept = shares[:, cells].mean(axis=1) / np.where(clean == 0, 1, clean)
    return Kept(what, Measure(float(kept[0]), *metrics.percentile_interval(kept[1:])), aim)


def _relative(
    correct: NDArray[np.bool_], sums: NDArray[np.float64], reference: Reference | None
) -> tuple[dict[str, float], Measure | None, Measure | None]:
    """Corruption errors, and their means over the standard ones and over all, in percent."""
    if reference is None:
        return {}, None, None
    errors = 1 - np.concatenate([correct.mean(axis=1)[None], sums])  # the measured ones first
    relative = {
        name: 100 * errors[:, _cells_of((name,), SEVERITIES)].sum(axis=1) / sum(theirs)
        for name, theirs in reference.errors.items()
        if sum(theirs) > 0
    }
    standard = [row for name, row in relative.items() if CORRUPTIONS[name].standard]
    means = _mean(standard), _mean(list(relative.values()))
    return {name: float(row[0]) for name, row in relative.items()}, *means


def _mean(rows: list[NDArray[np.float64]]) -> Measure | None:
    """Of (1 + R,) numbers each, measured and resampled ones."""
    if not rows:
        return None
    mean = np.mean(rows, axis=0)
    return Measure(float(mean[0]), *metrics.percentile_interval(mean[1:]))


def _notes(judged: Judged, faces: int, reference: Reference | None) -> tuple[str, ...]:
    if reference is None:
        return (
            "No mean corruption error: there is no reference to be relative to. Train the recipe "
            "`vgg8` and pass its folder, or a result as JSON, as --reference.",
        )
    notes = []
    if (reference.dataset, reference.side) != (judged.dataset.name, judged.side):
        notes.append(
            f"The reference {reference.model!r} was judged on {reference.dataset}, "
            f"{reference.side} side: its errors on other faces may differ."
        )
    if reference.faces != faces:
        notes.append(
            f"The reference was judged on {reference.faces:,} faces, the model on {faces:,}: part "
            "of the mean corruption error is chance in the choice."
        )
    return tuple(notes)
