"""Batches of training faces: order and augmentation follow from seed, epoch and step alone.

That makes a resumed run see exactly what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from facetell.contract import Contract
from facetell.datasets.ferplus import soft_labels, vote_counts
from facetell.datasets.sample import Dataset
from facetell.datasets.splits import TrainSide
from facetell.errors import TrainingError
from facetell.recipe import ClipOptions, Recipe
from facetell.tensors import to_tensor
from facetell.train.augment import augment, spoil
from facetell.train.pseudoclips import Clips, make_clips
from facetell.train.stretches import Stretches

__all__ = [
    "Batch",
    "TrainingClips",
    "TrainingFaces",
    "clip_tensor",
    "held_out_clips",
    "soft_targets",
    "training_faces",
]

_HELD_OUT = 400  # clips that an epoch is judged by


class Batch(NamedTuple):
    """What one step learns from.

    Attributes:
        faces: (B, T, C, S, S).
        clear: the same before detail was lost and noise came, for teachers.
        targets: (B, T, K) float32, probabilities of the labels.
        elapsed: (B, T) seconds between frames, or None for stills.
        generator: the step's source of randomness.
    """

    faces: Tensor
    clear: Tensor
    targets: Tensor
    elapsed: Tensor | None
    generator: torch.Generator


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
        self._soft = soft_targets(side.dataset, unique, recipe.data.votes)

    def __len__(self) -> int:
        return len(self._row)

    def steps(self) -> int:
        """Steps per epoch; the faces of an incomplete last batch wait for another epoch."""
        return max(1, len(self) // self.recipe.train.batch_size)

    def epoch(self, epoch: int, *, rank: int = 0, processes: int = 1) -> Iterator[Batch]:
        """The batches of an epoch; with several processes each gets its share of every batch."""
        order = self._order(epoch)
        batch = self.recipe.train.batch_size
        for step in range(self.steps()):
            rows = order[step * batch : (step + 1) * batch][rank::processes]
            generator = _generator(self.recipe.train.seed, epoch, step, rank)
            yield self._batch(rows, epoch, generator)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        random = np.random.default_rng([self.recipe.train.seed, epoch])
        return self._row[random.permutation(len(self))]

    def _batch(self, rows: NDArray[np.int64], epoch: int, generator: torch.Generator) -> Batch:
        chosen = torch.from_numpy(rows)
        side = self._face_px(epoch)
        options = self.recipe.augment
        faces = augment(self._faces[chosen], options, generator, face_px=side)
        spoiled = spoil(faces, options, generator)
        contract = replace(self.contract, face_px=side)
        clear = torch.from_numpy(to_tensor(faces.numpy(), contract))
        seen = clear
        if spoiled is not faces:
            seen = torch.from_numpy(to_tensor(spoiled.numpy(), contract))
        return Batch(seen, clear, self._soft[chosen][:, None], None, generator)

    def _face_px(self, epoch: int) -> int:
        train = self.recipe.train
        small = epoch < round(train.small_share * train.epochs)
        return self.contract.face_px * 3 // 4 if small else self.contract.face_px


class TrainingClips(TrainingFaces):
    """The training side as clips made of its stills, and stretches of labelled clips.

    Args:
        side, recipe, contract: as for `TrainingFaces`.
        stretches: of labelled clips, where there are some; they fill their share of each batch.
    """

    def __init__(
        self,
        side: TrainSide,
        recipe: Recipe,
        contract: Contract,
        stretches: Stretches | None = None,
    ) -> None:
        super().__init__(side, recipe, contract)
        self._stretches = stretches

    def steps(self) -> int:
        """Steps per epoch, which starts a clip with a share of the faces only."""
        return max(1, int(len(self) * self.recipe.clips.share) // self.recipe.train.batch_size)

    def _batch(self, rows: NDArray[np.int64], epoch: int, generator: torch.Generator) -> Batch:
        options = self.recipe.clips
        real = 0 if self._stretches is None else round(options.real * len(rows))
        parts = []
        if real < len(rows):
            parts.append(_clips(self._faces, self._targets, rows[real:], options, generator))
        if self._stretches is not None and real:
            parts.append(self._stretches.draw(real, options.frames, generator))
        clips = parts[0] if len(parts) == 1 else parts[0].joined(parts[1])
        targets = F.one_hot(clips.targets, len(self.contract.labels)).float()
        tensor = clip_tensor(clips, self.contract)
        return Batch(tensor, tensor, targets, clips.elapsed, generator)


def soft_targets(dataset: Dataset, indices: NDArray[np.int64], votes: float) -> Tensor:
    """(N, K) what these faces are said to look like: label and FER+ votes, mixed.

    Args:
        dataset: with K labels.
        indices: (N,).
        votes: share of the target that comes from the votes; a face without any, or whose
            votes name none of the labels, keeps its label.

    Raises:
        TrainingError: votes are wanted and no face has any.
    """
    labels = F.one_hot(torch.from_numpy(dataset.targets[indices]), len(dataset.labels)).float()
    if not votes:
        return labels
    cast = vote_counts(dataset, indices)
    if not cast.any():
        raise TrainingError(
            f"expected FER+ votes with the training faces of {dataset.source}, found none. Give "
            "data with votes (see `facetell data list`), or set data.votes=0."
        )
    soft = torch.from_numpy(soft_labels(cast, names=dataset.labels))
    voted = soft.sum(1, keepdim=True) > 0
    return torch.where(voted, torch.lerp(labels, soft, votes), labels)


def held_out_clips(
    dataset: Dataset,
    indices: NDArray[np.int64],
    recipe: Recipe,
    contract: Contract,
    stretches: Stretches | None = None,
) -> Clips:
    """The same clips each time, to choose an epoch and calibrate by.

    Made of these faces, and the middles of labelled clips where there are some.
    """
    random = np.random.default_rng(0)
    rows = random.permutation(len(indices))[:_HELD_OUT]
    faces = dataset.faces(indices, face_px=contract.face_px, channels=contract.channels)
    targets = torch.from_numpy(dataset.targets[indices])
    clips = _clips(torch.from_numpy(faces), targets, rows, recipe.clips, _generator(0))
    return clips if stretches is None else clips.joined(stretches.middles(recipe.clips.frames))


def clip_tensor(clips: Clips, contract: Contract) -> Tensor:
    """(B, T, S, S) grey uint8 frames -> (B, T, C, S, S) as the network reads them."""
    tensor = to_tensor(clips.frames.flatten(0, 1).numpy(), contract)
    return torch.from_numpy(tensor).reshape(*clips.targets.shape, *tensor.shape[2:])


def _clips(
    faces: Tensor,
    targets: Tensor,
    rows: NDArray[np.int64],
    options: ClipOptions,
    generator: torch.Generator,
) -> Clips:
    """One clip of each of these rows; whom they give way to is drawn from all faces."""
    chosen = torch.from_numpy(rows)
    others = torch.empty_like(chosen)
    same = torch.rand(len(rows), generator=generator) < options.same
    for i, target in enumerate(targets[chosen]):
        fits = torch.nonzero((targets == target) == same[i])[:, 0]
        if not len(fits):  # one label only: there is no other
            fits = torch.arange(len(targets))
        others[i] = fits[torch.randint(len(fits), (1,), generator=generator)]
    return make_clips(
        faces[chosen], targets[chosen], faces[others], targets[others], options, generator
    )


def training_faces(
    side: TrainSide, recipe: Recipe, contract: Contract, stretches: Stretches | None = None
) -> TrainingFaces:
    """What the recipe trains on: stills, or clips made of them and stretches of labelled ones."""
    if recipe.clips.frames:
        return TrainingClips(side, recipe, contract, stretches)
    return TrainingFaces(side, recipe, contract)


def _generator(*numbers: int) -> torch.Generator:
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed >> np.uint64(1)))
