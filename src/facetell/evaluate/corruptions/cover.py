"""Things in front of the face, of one flat shade that differs from face to face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facetell.evaluate.corruptions.chance import Chance

__all__ = ["eye_mask", "half_mask", "mouth_mask"]

Floats = NDArray[np.float32]

#: Where eyes and mouth are in a tight face crop, in shares of the side from the top.
EYES, MOUTH = 0.4, 0.78


def _covered(x: Floats, where: NDArray[np.bool_], chance: Chance) -> Floats:
    """Faces with the pixels `where` (N or 1, S, S) of one random shade."""
    shade = chance.uniform(0, 1)[:, None, None, None]
    return np.where(where[..., None], shade, x).astype(np.float32)


def _places(side: int) -> NDArray[np.float64]:
    """(S,) pixel centres in shares of the side."""
    return (np.arange(side) + 0.5) / side


def eye_mask(x: Floats, height: float, chance: Chance) -> Floats:
    """A bar over the eyes, across the face; its height in shares of the side."""
    down = np.abs(_places(x.shape[1]) - EYES) < height / 2
    return _covered(x, np.broadcast_to(down[None, :, None], (1, *x.shape[1:3])), chance)


def mouth_mask(x: Floats, height: float, chance: Chance) -> Floats:
    """A mask over the mouth, nine tenths of the face wide; its height in shares of the side."""
    place = _places(x.shape[1])
    down, across = np.abs(place - MOUTH) < height / 2, np.abs(place - 0.5) < 0.45
    return _covered(x, (down[:, None] & across[None])[None], chance)


def half_mask(x: Floats, share: float, chance: Chance) -> Floats:
    """That share of the face, from the left or from the right."""
    place = _places(x.shape[1])[None]
    across = np.where(chance.sign()[:, None] > 0, place, 1 - place) < share  # (N, S)
    return _covered(x, np.repeat(across[:, None], x.shape[1], axis=1), chance)
