"""What a score depends on when it is hidden: occlusion maps of single faces and of many.

Patches of three sizes, filled with the face's own mean colour, are laid over the face one after
the other, and the model reads each of these faces. Where the label's score falls, the model had
used what was there; where it rises, what was there spoke against the label.

Source: Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2.
Departs from it by several sizes at once, so that neither an eye nor half a face is missed, and by
half-patch steps, so that no feature falls between two patches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facetell.errors import InputError
from facetell.predictor import Predictor

__all__ = ["SHARES", "Occlusion", "hide", "mean_drops", "occlude", "patches"]

#: Sides of the patches as shares of the face's side: an eye, an eye with its brow, a mouth.
SHARES = (1 / 6, 1 / 4, 1 / 3)
_SMOOTH = 1 / 24  # deviation of the smoothing, as a share of the face's side: half a small step

Boxes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Occlusion:
    """How much of a label's score each part of a face carries.

    Attributes:
        label: whose score.
        score: that score with nothing hidden, 0-1.
        drops: (S, S) float64, the mean loss of score over the patches that hide a pixel,
            smoothed; below 0 where hiding raises the score.
        patches: how many patches were laid on the face.
        lowest: the lowest score under any single patch, 0-1.
        lowest_box: (x1, y1, x2, y2) of that patch in the face, px.
    """

    label: str
    score: float
    drops: NDArray[np.float64]
    patches: int
    lowest: float
    lowest_box: tuple[int, int, int, int]


def patches(side: int, shares: Sequence[float] = SHARES) -> Boxes:
    """(P, 4) squares x1, y1, x2, y2 in px that cover a face of `side` px, cut at its border.

    Each size goes over the face in steps of half its side, half a patch beyond the border too,
    so that every pixel lies under the same number of patches of each size.

    >>> len(patches(48))
    299
    >>> patches(8, [1 / 2])[0].tolist()
    [0, 0, 2, 2]
    """
    found = []
    for share in shares:
        half = max(1, round(share * side / 2))
        starts = np.arange(-half, side, half)
        y, x = np.meshgrid(starts, starts, indexing="ij")
        low = np.stack([x.ravel(), y.ravel()], 1)
        found.append(np.concatenate([low, low + 2 * half], 1).clip(0, side))
    return np.concatenate(found).astype(np.int64)


def hide(face: NDArray[np.uint8], boxes: Boxes) -> NDArray[np.uint8]:
    """(P, S, S) or (P, S, S, 3): the face with each box filled with the face's mean colour."""
    mean = np.rint(face.mean(axis=(0, 1))).astype(np.uint8)
    out = np.repeat(face[None], len(boxes), axis=0)
    for row, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        out[row, y1:y2, x1:x2] = mean
    return out


def occlude(
    predictor: Predictor,
    face: NDArray[np.uint8],
    label: str | None = None,
    *,
    shares: Sequence[float] = SHARES,
) -> Occlusion:
    """The occlusion map of one face, in one call of the model for all patches.

    Args:
        predictor: the model; with flip it reads each patched face and its mirror image.
        face: (S, S) grey or (S, S, 3) RGB uint8, S the model's `face_px`.
        label: one of the model's; None takes the one with the highest score.
        shares: sides of the patches as shares of S.

    Raises:
        InputError: a label that the model does not know, or another shape.

    Example:
        found = occlude(load("strong-plus"), crop)
        print(found.label, found.drops.max())
    """
    labels = predictor.contract.labels
    if label is not None and label not in labels:
        raise InputError(
            f"expected one of the labels {', '.join(labels)}, got {label!r}. Name one of them."
        )
    boxes = patches(predictor.contract.face_px, shares)
    scores = predictor.predict(np.concatenate([face[None], hide(face, boxes)])).scores
    k = int(scores[0].argmax()) if label is None else labels.index(label)
    whole, hidden = float(scores[0, k]), scores[1:, k].astype(np.float64)
    lowest = int(hidden.argmin())
    x1, y1, x2, y2 = boxes[lowest].tolist()
    return Occlusion(
        label=labels[k],
        score=whole,
        drops=_spread(whole - hidden, boxes, face.shape[0]),
        patches=len(boxes),
        lowest=float(hidden[lowest]),
        lowest_box=(x1, y1, x2, y2),
    )


def mean_drops(
    predictor: Predictor,
    faces: NDArray[np.uint8],
    label: str,
    *,
    progress: Callable[[], None] | None = None,
) -> NDArray[np.float64]:
    """(S, S) the mean of the occlusion maps of one label over N faces, N at least 1.

    Args:
        faces: (N, S, S) grey or (N, S, S, 3) RGB uint8.
        progress: called after each face.
    """
    total = np.zeros(faces.shape[1:3])
    for face in faces:
        total += occlude(predictor, face, label).drops
        if progress is not None:
            progress()
    return total / len(faces)


def _spread(drops: NDArray[np.float64], boxes: Boxes, side: int) -> NDArray[np.float64]:
    """(P,) losses -> (S, S): their mean over the patches above each pixel, smoothed."""
    total, count = np.zeros((side, side)), np.zeros((side, side))
    for drop, (x1, y1, x2, y2) in zip(drops.tolist(), boxes.tolist(), strict=True):
        total[y1:y2, x1:x2] += drop
        count[y1:y2, x1:x2] += 1
    return _smooth(total / np.maximum(count, 1), _SMOOTH * side)


def _smooth(values: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """A Gaussian blur that repeats the border."""
    reach = max(1, round(3 * deviation))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        around = [(reach, reach) if a == axis else (0, 0) for a in (0, 1)]
        padded = np.pad(values, around, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis)
        values = windows @ weights
    return values
