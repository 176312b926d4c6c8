"""The leak canary: a lookup table that has learned nothing, so that what it scores was copied."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facetell.contract import Contract
from facetell.datasets.sample import Dataset, Side
from facetell.errors import InputError
from facetell.evaluate.descriptors import Kind, describe
from facetell.evaluate.judged import Judged, judged_side

if TYPE_CHECKING:
    from facetell.datasets.splits import Split

__all__ = ["canary", "nearest_labels"]

_FACE_PX = 48
_BLOCK = 1024


def nearest_labels(
    train_features: NDArray[np.floating],
    train_targets: NDArray[np.integer],
    features: NDArray[np.floating],
    *,
    mirrored: NDArray[np.floating] | None = None,
) -> NDArray[np.int64]:
    """The label of the nearest training face, by Euclidean distance; the first one of equals.

    Args:
        train_features: (N, D), N at least 1.
        train_targets: (N,) label indices.
        features: (M, D) of the faces to label.
        mirrored: (M, D) of the same faces' mirror images; a training face is then as near as
            the nearer of the two.

    Returns:
        (M,) label indices. Memory does not grow with N times M.

    Example:
        labels = nearest_labels(describe(train, "hog"), targets, describe(faces, "hog"))
    """
    _check(train_features, train_targets, features, mirrored)
    ways = [features] if mirrored is None else [features, mirrored]
    nearest = [
        _nearest(train_features, np.stack([way[start : start + _BLOCK] for way in ways]))
        for start in range(0, len(features), _BLOCK)
    ]
    rows = np.concatenate([np.empty(0, np.int64), *nearest])
    return np.asarray(train_targets[rows], np.int64)


def _nearest(train: NDArray[np.floating], queries: NDArray[np.floating]) -> NDArray[np.int64]:
    """(m,) row of the training face nearest to any of each face's (ways, m, D) features."""
    ways, m, width = queries.shape
    flat = queries.reshape(-1, width).astype(np.float32)
    best, row = np.full(m, -np.inf), np.zeros(m, np.int64)
    for start in range(0, len(train), _BLOCK):
        block = train[start : start + _BLOCK].astype(np.float32)
        # q.t - |t|^2 / 2 - |q|^2 / 2 = -|t - q|^2 / 2
        near = flat @ block.T - (block * block).sum(axis=1) / 2  # (ways * m, n)
        near -= (flat * flat).sum(axis=1, keepdims=True) / 2
        near = near.reshape(ways, m, -1).max(axis=0)
        at = near.argmax(axis=1)
        nearness = near[np.arange(m), at]
        better = nearness > best
        best[better], row[better] = nearness[better], start + at[better]
    return row


def _check(
    train_features: NDArray[np.floating],
    train_targets: NDArray[np.integer],
    features: NDArray[np.floating],
    mirrored: NDArray[np.floating] | None,
) -> None:
    tables = [train_features, features] + ([] if mirrored is None else [mirrored])
    flat = all(table.ndim == 2 for table in tables)
    if not flat or len({table.shape[1] for table in tables}) > 1 or not len(train_features):
        raise InputError(
            "features must be tables with one row per face and the same columns, and at least "
            f"one training face; got shapes {', '.join(str(table.shape) for table in tables)}. "
            "Describe all faces by the same kind."
        )
    if len(train_targets) != len(train_features):
        raise InputError(
            f"expected one target for each of the {len(train_features)} training faces, got "
            f"{len(train_targets)}. Pass side.targets of the described TrainSide."
        )
    if mirrored is not None and len(mirrored) != len(features):
        raise InputError(
            f"expected the mirror images of all {len(features)} faces, got {len(mirrored)}. "
            "Describe faces[:, :, ::-1] of the same faces."
        )


def canary(
    dataset: Dataset,
    split: Split,
    side: Side | None = None,
    *,
    kind: Kind = "hog",
    progress: Callable[[int, int], None] | None = None,
) -> Judged:
    """What a lookup table answers: for every judged face the label of the nearest training face.

    On FER2013's own sides, where a trained model reads 70 %, it is right on half of the faces.
    Far more than that means that the judged faces have copies on the train side. Mirror images
    count as copies.

    Args:
        dataset: the one that was split, `split.dataset`.
        side: `validation` or `test`; by default test if it has faces, else validation.
        kind: what is compared, see `describe`.
        progress: called with (faces described, faces in all).

    Example:
        evaluation = Evaluation.of(canary(dataset, parts))
        print(evaluation.metrics["accuracy"])
    """
    chosen, indices = judged_side(split, side)
    train = split.train.indices
    total = len(train) + 2 * len(indices)

    def described(faces: NDArray[np.uint8], before: int) -> NDArray[np.float32]:
        report = progress and (lambda done, _: progress(before + done, total))
        return describe(faces, kind, progress=report)

    faces = dataset.faces(indices, face_px=_FACE_PX)
    predicted = nearest_labels(
        described(dataset.faces(train, face_px=_FACE_PX), 0),
        split.train.targets,
        described(faces, len(train)),
        mirrored=described(faces[:, :, ::-1], len(train) + len(indices)),
    )
    return Judged(
        contract=_contract(dataset, split, kind),
        dataset=dataset,
        split=split,
        side=chosen,
        indices=indices,
        labels=dataset.targets[indices],
        predicted=predicted,
        scores=np.eye(len(dataset.labels))[predicted],  # a lookup table has no doubts
    )


def _contract(dataset: Dataset, split: Split, kind: Kind) -> Contract:
    return Contract(
        name=f"canary ({kind})",
        labels=dataset.labels,
        face_px=_FACE_PX,
        architecture=f"nearest training face by {kind}, mirror images included; learns nothing",
        protocol=split.protocol,
        score_meaning="1 for the label of the nearest training face, 0 for all others.",
    )
