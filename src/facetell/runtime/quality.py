"""Face crops -> what may make their scores worthless, by measures that cost next to nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facetell.results import Detection

__all__ = ["WARNINGS", "Measures", "measure", "warn"]

#: The warnings, in the order in which they are given, and what they mean.
WARNINGS = {
    "small": "under 24 px; at 16 px a third of the right answers are lost",
    "dark": "hardly any light",
    "bright": "most of the face is burnt out to white",
    "flat": "hardly any contrast: black, white, fog, or no picture",
    "blurred": "out of focus, moved, or enlarged from few pixels",
    "doubtful": "unlike a face: the detector was hardly sure, or the picture has no coarse shapes",
}

# Thresholds were chosen on the 3,589 validation faces of FER2013 (docs/uncertainty.md): each but
# `small` warns of at most one or two in a thousand of them.
_SMALL_PX = 24
_DARK = 25.0  # mean, grey levels
_BURNT, _BURNT_SHARE = 247, 0.4
_FLAT = 10.0  # deviation, grey levels
_SHARP = 0.12  # fine detail; a Gaussian blur of 1 px leaves 0.06
_COARSE = 0.36  # share of the variance in coarse shapes; noise has 0.14
_DETECTOR = 0.6  # none of 175 faces that the packaged detector found in FER2013 had less
_PX = 48  # side at which is measured
_CELLS = 12  # of the thumbnail, per axis
_WAVES = 5  # half waves over the face, both axes together, that still are coarse


class Measures:
    """What is measured of N faces.

    Attributes:
        mean: (N,) brightness, grey levels.
        deviation: (N,) of the brightness, grey levels.
        burnt: (N,) share of pixels that are all but white, 0-1.
        detail: (N,) variance of the Laplacian by that of the brightness, 0-20.
        coarse: (N,) share of a 12 x 12 thumbnail's variance in its lowest cosines, 0-1.
    """

    def __init__(self, crops: NDArray[np.uint8]) -> None:
        grey = _sized(crops if crops.ndim == 3 else crops[..., 1])  # green: most of the light
        values = grey.astype(np.float32)  # (N, 48, 48)
        middle = values[:, 1:-1, 1:-1]
        edges = values[:, :-2, 1:-1] + values[:, 2:, 1:-1]
        edges += values[:, 1:-1, :-2]
        edges += values[:, 1:-1, 2:]
        variance = values.var(axis=(1, 2))
        self.mean = values.mean(axis=(1, 2))
        self.deviation = np.sqrt(variance)
        self.burnt = (grey >= _BURNT).mean(axis=(1, 2))
        self.detail = (4 * middle - edges).var(axis=(1, 2)) / np.maximum(variance, 1)
        self.coarse = _coarse(values)


def measure(crops: NDArray[np.uint8]) -> Measures:
    """The measures of face crops (N, S, S) grey or (N, S, S, 3) RGB, uint8."""
    return Measures(crops)


def warn(crops: NDArray[np.uint8], detections: Sequence[Detection]) -> tuple[tuple[str, ...], ...]:
    """What to beware of, for each face: names from WARNINGS, in their order.

    Args:
        crops: (N, S, S) grey or (N, S, S, 3) RGB uint8, as the model gets them.
        detections: N, where they were found.

    Example:
        >>> black = np.zeros((1, 48, 48, 3), np.uint8)
        >>> warn(black, [Detection(box_xyxy=(0, 0, 48, 48), score=1.0)])
        (('dark', 'flat'),)
    """
    if not len(crops):
        return ()
    found = measure(crops)
    flat = found.deviation < _FLAT
    boxes = np.array([detection.box_xyxy for detection in detections])
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    hardly = np.array([detection.score for detection in detections]) < _DETECTOR
    holds = {
        "small": side < _SMALL_PX,
        "dark": found.mean < _DARK,
        "bright": found.burnt > _BURNT_SHARE,
        "flat": flat,
        "blurred": ~flat & (found.detail < _SHARP),
        "doubtful": hardly | ~flat & (found.coarse < _COARSE),
    }
    rows = np.stack([holds[name] for name in WARNINGS], axis=1).tolist()
    return tuple(tuple(n for n, on in zip(WARNINGS, row, strict=True) if on) for row in rows)


def _sized(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if grey.shape[1:] == (_PX, _PX):
        return grey
    size = (_PX, _PX)
    faces = [Image.fromarray(face).resize(size, Image.Resampling.BICUBIC) for face in grey]
    return np.stack([np.asarray(face) for face in faces])


def _coarse(values: NDArray[np.float32]) -> NDArray[np.float32]:
    cell = _PX // _CELLS
    cells = values.reshape(len(values), _CELLS, cell, _CELLS, cell).mean(axis=(2, 4))
    flat = cells.reshape(len(values), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    energy = ((flat @ _BASIS) ** 2).sum(axis=1)
    return np.asarray(energy / np.maximum((flat**2).sum(axis=1), 1))


def _cosines() -> NDArray[np.float32]:
    """(144, 20): the two-dimensional cosines with 1 to 5 half waves over both axes together."""
    at = (np.arange(_CELLS) + 0.5) * np.pi / _CELLS
    waves = np.cos(np.arange(_CELLS)[:, None] * at)
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    pairs = [(u, v) for u in range(_CELLS) for v in range(_CELLS) if 0 < u + v <= _WAVES]
    return np.stack([np.outer(waves[u], waves[v]).ravel() for u, v in pairs], axis=1).astype(
        np.float32
    )


_BASIS = _cosines()
