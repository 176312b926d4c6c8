"""Batches of training faces: order and augmentation follow from seed, epoch and step alone.

That makes a resumed run see exactly what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facetell.contract import Contract
from facetell.datasets.splits import TrainSide
from facetell.recipe import Recipe
from facetell.tensors import to_tensor
from facetell.train.augment import augment

__all__ = ["TrainingFaces"]


class TrainingFaces:
    """The training side in memory, handed out in augmented batches.

    Accepts a `TrainSide` only: data that was not split cannot be augmented or resampled.

    Args:
        side: the training side of a split.
        recipe: batch size, augmentation, seed.
        contract: how faces become tensors.
    """

    def __init__(self, side: TrainSide, recipe: Recipe, contract: Contract) -> None:
        self.recipe = recipe
        self.contract = contract
        unique, self._row = np.unique(side.indices, return_inverse=True)  # oversampling repeats
        faces = side.dataset.faces(unique, face_px=contract.face_px, channels=contract.channels)
        self._faces = torch.from_numpy(faces)
        self._targets = torch.from_numpy(side.dataset.targets[unique])

    def __len__(self) -> int:
        return len(self._row)

    def steps(self) -> int:
        """Steps per epoch; the faces of an incomplete last batch wait for another epoch."""
        return max(1, len(self) // self.recipe.train.batch_size)

    def epoch(
        self, epoch: int, *, rank: int = 0, processes: int = 1
    ) -> Iterator[tuple[Tensor, Tensor, torch.Generator]]:
        """Tensors (B, 1, C, S, S), targets (B,) and the step's generator.

        With several processes each gets its share of every batch.
        """
        order = self._order(epoch)
        batch = self.recipe.train.batch_size
        for step in range(self.steps()):
            rows = order[step * batch : (step + 1) * batch][rank::processes]
            generator = _generator(self.recipe.train.seed, epoch, step, rank)
            yield (*self._batch(rows, epoch, generator), generator)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        random = np.random.default_rng([self.recipe.train.seed, epoch])
        return self._row[random.permutation(len(self))]

    def _batch(
        self, rows: NDArray[np.int64], epoch: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        chosen = torch.from_numpy(rows)
        side = self._face_px(epoch)
        faces = augment(self._faces[chosen], self.recipe.augment, generator, face_px=side)
        contract = replace(self.contract, face_px=side)
        return torch.from_numpy(to_tensor(faces.numpy(), contract)), self._targets[chosen]

    def _face_px(self, epoch: int) -> int:
        train = self.recipe.train
        small = epoch < round(train.small_share * train.epochs)
        return self.contract.face_px * 3 // 4 if small else self.contract.face_px


def _generator(*numbers: int) -> torch.Generator:
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed >> np.uint64(1)))
