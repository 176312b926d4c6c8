"""Where the head is and how the crop sits; what comes in at the border repeats the border."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facetell.evaluate.corruptions.chance import Chance
from facetell.evaluate.corruptions.resample import centred, gaussian, sample

__all__ = ["elastic", "roll", "scale", "shear", "shift"]

Floats = NDArray[np.float32]


def _mapped(x: Floats, matrix: list[list[Floats]], offset: list[Floats]) -> Floats:
    """Faces read at matrix * place + offset, from the middle of the face.

    Args:
        x: (N, S, S, C).
        matrix: 2 x 2 of (N,) numbers: across and down.
        offset: 2 of (N,) numbers, px.
    """
    place = centred(x.shape[1])
    middle = (x.shape[1] - 1) / 2
    across, down = (
        row[0][:, None, None] * place[None, None]
        + row[1][:, None, None] * place[None, :, None]
        + move[:, None, None]
        + np.float32(middle)
        for row, move in zip(matrix, offset, strict=True)
    )
    return sample(x, across, down)


def _linear_map(x: Floats, a: Floats, b: Floats, c: Floats, d: Floats) -> Floats:
    still = np.zeros(len(x), np.float32)
    return _mapped(x, [[a, b], [c, d]], [still, still])


def roll(x: Floats, degrees: float, chance: Chance) -> Floats:
    """The head tilted to either side by that angle."""
    turn = np.deg2rad(np.float32(degrees)) * chance.sign()
    cos, sin = np.cos(turn), np.sin(turn)
    return _linear_map(x, cos, sin, -sin, cos)


def shift(x: Floats, share: float, chance: Chance) -> Floats:
    """The crop off by that share of the side, in any direction."""
    towards = chance.uniform(0, 2 * np.pi)
    one, none = np.ones(len(x), np.float32), np.zeros(len(x), np.float32)
    far = np.float32(share * x.shape[1])
    return _mapped(x, [[one, none], [none, one]], [far * np.cos(towards), far * np.sin(towards)])


def scale(x: Floats, factor: float, chance: Chance) -> Floats:
    """The face larger by that factor, or smaller by it."""
    inverse = np.where(chance.sign() > 0, 1 / factor, factor).astype(np.float32)
    none = np.zeros(len(x), np.float32)
    return _linear_map(x, inverse, none, none, inverse)


def shear(x: Floats, slope: float, chance: Chance) -> Floats:
    """Rows slide against each other and the face gets narrower, a flat stand-in for a turned head.

    Args:
        slope: px to the side for each px down; the width shrinks by half of it.
    """
    one, none = np.ones(len(x), np.float32), np.zeros(len(x), np.float32)
    narrower = np.float32(1 / (1 - slope / 2)) * one
    return _linear_map(x, narrower, np.float32(slope) * chance.sign(), none, one)


def elastic(x: Floats, level: tuple[float, float, float], chance: Chance) -> Floats:
    """Three points of the face pulled away, and every pixel a little.

    Args:
        level: strength and smoothness of the pixels' own movement, and the farthest pull of the
            three points, all in shares of the side.
    """
    side = x.shape[1]
    strength, smooth, pull = (np.float32(value * side) for value in level)
    third = side // 3
    # The corners of Hendrycks & Dietterich's triangle from the middle of the face, across and down
    corners = np.array([[third, third, 1], [third, -third, 1], [-third, -third, 1]], np.float64)
    moved = corners[None, :, :2] + chance.uniform(-1, 1, 3, 2) * pull  # (N, 3, 2)
    solve = np.linalg.inv(corners)  # (3, 3): matrix = (solve @ moved).T
    maps = (solve[None, :, :, None] * moved[:, None]).sum(axis=2).astype(np.float32)  # (N, 3, 2)
    place = centred(side)
    own = chance.uniform(-1, 1, side, side, 2)
    own = strength * gaussian(own, float(smooth)) if strength else np.zeros_like(own)
    across, down = (
        maps[:, 0, k, None, None] * place[None, None]
        + maps[:, 1, k, None, None] * place[None, :, None]
        + maps[:, 2, k, None, None]
        + own[..., k]
        + np.float32((side - 1) / 2)
        for k in range(2)
    )
    return sample(x, across, down)
