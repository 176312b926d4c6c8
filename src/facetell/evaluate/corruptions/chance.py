"""Random numbers that belong to a face, whatever else is in its batch."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chance"]

Floats = NDArray[np.float32]


class Chance:
    """Draws for N faces; each depends on its seed, corruption, severity and the face's index only.

    Args:
        seed: of all corruptions.
        corruption: name of the corruption.
        severity: 1 to 5.
        indices: (N,) the faces' indices in their dataset.
    """

    def __init__(
        self, seed: int, corruption: str, severity: int, indices: Sequence[int] | NDArray[np.int64]
    ) -> None:
        self._key = (seed, zlib.crc32(corruption.encode()), severity)
        self._indices = [int(index) for index in indices]

    def __len__(self) -> int:
        return len(self._indices)

    @cached_property
    def _generators(self) -> list[np.random.Generator]:
        return [np.random.default_rng((*self._key, index)) for index in self._indices]

    def each(self, draw: Callable[[np.random.Generator, int], Any], *shape: int) -> Floats:
        """(N, *shape): `draw(generator, row)` of every face."""
        out = np.empty((len(self), *shape), np.float32)
        for row, generator in enumerate(self._generators):
            out[row] = draw(generator, row)
        return out

    def uniform(self, low: float, high: float, *shape: int) -> Floats:
        """(N, *shape) in [low, high)."""
        return self.each(lambda generator, _: generator.uniform(low, high, shape), *shape)

    def normal(self, *shape: int) -> Floats:
        """(N, *shape), mean 0, deviation 1."""
        return self.each(lambda generator, _: generator.standard_normal(shape, np.float32), *shape)

    def sign(self) -> Floats:
        """(N,) -1 or 1, as likely."""
        return self.each(lambda generator, _: 1 - 2 * generator.integers(2))
