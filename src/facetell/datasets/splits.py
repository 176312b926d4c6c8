"""Who trains, who chooses, who judges: the protocols, and the side that may be resampled.

Near-copies and subjects are kept on one side; oversampling takes a `TrainSide` and nothing
else, and only `split` makes one, so that no copy of a training face can reach the test side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.sample import Dataset
from facetell.errors import DataError, InputError
from facetell.recipe import Protocol

__all__ = [
    "Protocol", "Split", "TrainSide", "copies_across_sides", "leak", "oversample",
    "split", "subjects",
]  # fmt: skip

Progress = Callable[[str, float], None]

_SIDES = ("train", "validation", "test")
_HOLD_OUT = 0.1
_TOKEN = object()


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainSide:
    """The samples a model may be fitted to; made by `split` only.

    Attributes:
        dataset: where the samples are.
        indices: (M,) int64 into the dataset; repeated ones are oversampled.
    """

    dataset: Dataset
    indices: NDArray[np.int64]
    _token: object = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self._token is not _TOKEN:
            raise InputError(
                "a TrainSide is expected to come from split(dataset, protocol), got a direct "
                "call. Split first: resampling before the split puts copies of training "
                "faces on the test side."
            )

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def targets(self) -> NDArray[np.int64]:
        """(M,) label indices."""
        return self.dataset.targets[self.indices]


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """A dataset taken apart.

    Attributes:
        dataset: what was split; under `leaky-80-10-10` the repeated and mirrored faces, to
            which the indices belong.
        protocol: how.
        train: the samples to fit to.
        validation: (V,) int64 indices, to choose by.
        test: (E,) int64 indices, to judge by; empty where the dataset keeps its test faces.
        removed: samples on no side.
        seed: of the random choices.
        held_out: the validation side was taken from training, as the dataset has none.
        groups: (N,) int64, equal for samples that must share a side; None where not needed.
    """

    dataset: Dataset
    protocol: Protocol
    train: TrainSide
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    removed: int
    seed: int
    held_out: bool = False
    groups: NDArray[np.int64] | None = None

    @property
    def trained_on(self) -> str:
        """SHA-256 of the ids and labels of the training faces, in order."""
        samples, labels = self.dataset.samples, self.dataset.labels
        lines = (f"{samples[i].id},{labels[samples[i].label]}\n" for i in self.train.indices)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def drawn(self) -> bool:
        """Whether a seed or a fold decided who trains, not the dataset's own sides."""
        return self.held_out or self.protocol not in ("official", "clean", "whole")

    def describe(self) -> dict[str, Any]:
        """JSON-ready: protocol, seed, and the class counts of each side."""
        sides = {"train": self.train.indices, "validation": self.validation, "test": self.test}
        return {
            "dataset": self.dataset.name,
            "protocol": self.protocol,
            "seed": self.seed,
            "counts": {side: len(indices) for side, indices in sides.items()},
            "classes": {side: self._classes(indices) for side, indices in sides.items()},
            "removed": self.removed,
            "validation_held_out_of_train": self.held_out,
            "groups": None if self.groups is None else len(np.unique(self.groups)),
        }

    def _classes(self, indices: NDArray[np.int64]) -> dict[str, int]:
        labels = self.dataset.labels
        counts = np.bincount(self.dataset.targets[indices], minlength=len(labels))
        return dict(zip(labels, counts.tolist(), strict=True))


def split(
    dataset: Dataset,
    protocol: Protocol = "official",
    *,
    seed: int = 0,
    fold: int = 0,
    groups: NDArray[np.int64] | None = None,
    progress: Progress | None = None,
) -> Split:
    """The dataset's samples on three sides that share no photograph and no person.

    Args:
        dataset: what to split.
        protocol: `official`: the dataset's own sides (near-copies across them included);
            `clean`: as official, less the validation faces with a near-copy in train and the
            test faces with one in train or validation; `random-80-10-10`: whole groups drawn
            anew. A group is a subject where every sample has one, else a set of near-copies.
            `leave-one-subject-out`: one subject judges, the next one in alphabetical order
            selects, the others train. `leaky-80-10-10` does what must not be done, to show
            what it is worth: see `leak`. `whole`: every sample judges, for models that were
            trained on other data.
            Without a validation side, a tenth of train is held out by whole groups.
        fold: which subject judges, 0 to the number of subjects less 1; other protocols have
            fold 0 only.
        seed: of the random choices.
        groups: (N,) equal for samples that must share a side, in place of subjects and
            near-copies; see `read_groups`.
        progress: called with a phase and its share done, 0-1.

    Raises:
        InputError: an unknown protocol, or groups that do not fit.
        DataError: `official` on data without sides, `clean` on data without a training side,
            or too few groups.

    Example:
        parts = split(dataset, "clean")
    """
    if protocol not in get_args(Protocol):
        raise InputError(
            f"protocol must be one of {', '.join(get_args(Protocol))}, got {protocol!r}.",
            actual=protocol,
        )
    if fold and protocol != "leave-one-subject-out":
        raise InputError(f"protocol {protocol!r} has only fold 0, got fold {fold}.", actual=fold)
    if groups is not None:
        _check_groups(groups, dataset, protocol)
    if protocol == "random-80-10-10":
        return _random(dataset, seed, groups, progress)
    if protocol == "leave-one-subject-out":
        return _leave_one_out(dataset, fold, seed)
    if protocol == "leaky-80-10-10":
        return _leaky(dataset, seed)
    if protocol == "whole":
        groups = _subjects(dataset) if groups is None else groups
        return _split(dataset, protocol, np.full(len(dataset), 2), seed, False, groups)
    sides = _own_sides(dataset, protocol)
    held_out = bool((sides == 0).any()) and not (sides == 1).any()
    if groups is None and (held_out or protocol == "clean"):
        groups = _groups(dataset, progress)
    if held_out:
        assert groups is not None
        sides = _hold_out(sides, dataset.targets, _numbered(groups), seed)
    if protocol == "clean":
        assert groups is not None
        sides = _without_copies(sides, groups)
    return _split(dataset, protocol, sides, seed, held_out, groups)


def _check_groups(groups: NDArray[np.int64], dataset: Dataset, protocol: Protocol) -> None:
    if protocol not in ("official", "clean", "random-80-10-10", "whole"):
        raise InputError(
            f"groups are kept together by official, clean, random-80-10-10 and whole, got protocol "
            f"{protocol!r}. Choose one of these, or leave groups out.",
            actual=protocol,
        )
    if np.shape(groups) != (len(dataset),):
        raise InputError(
            f"expected one group for each of the {len(dataset):,} samples of {dataset.name}, got "
            f"shape {np.shape(groups)}. Read them with read_groups(dataset, path).",
            actual=np.shape(groups),
        )


def oversample(side: TrainSide, *, seed: int) -> TrainSide:
    """A train side on which every class is as frequent as the largest one.

    Every sample stays; those of smaller classes are repeated, as evenly as possible.

    Args:
        side: made by `split`.
        seed: which samples are repeated once more than the others.

    Raises:
        InputError: anything but a TrainSide.
    """
    if not isinstance(side, TrainSide):
        raise InputError(
            f"oversample takes the train side of a split, got {type(side).__name__}. "
            "Call oversample(split(dataset).train, seed=0): unsplit data cannot be resampled.",
            actual=type(side).__name__,
        )
    rng = np.random.default_rng(seed)
    targets = side.targets
    largest = int(np.bincount(targets).max())
    chosen = [
        _repeated(side.indices[targets == label], largest, rng) for label in np.unique(targets)
    ]
    return TrainSide(dataset=side.dataset, indices=np.concatenate(chosen), _token=_TOKEN)


def copies_across_sides(dataset: Dataset, progress: Progress | None = None) -> dict[str, Any]:
    """How many near-copies a dataset holds, and how many of them cross its own sides.

    Returns:
        JSON-ready: groups of two or more images, images in them, redundant (images less one
        per group), largest, groups_across_sides (and those with different labels), and
        with_a_copy: "validation in train" -> images of validation with a copy in train.
    """
    from facetell.datasets.duplicates import cached_near_copies

    _, group = np.unique(cached_near_copies(dataset.faces(), progress).groups, return_inverse=True)
    sizes = np.bincount(group)
    places = [np.array([s.side == side for s in dataset.samples], np.bool_) for side in _SIDES]
    # (G, 3) images of each group on each side
    held = np.stack([np.bincount(group[on], minlength=len(sizes)) for on in places], axis=1)
    across = (held > 0).sum(axis=1) > 1
    kinds = np.unique(np.stack([group, dataset.targets], axis=1), axis=0)[:, 0]
    mixed = np.bincount(kinds, minlength=len(sizes)) > 1
    return {
        "groups": int((sizes > 1).sum()),
        "images": int(sizes[sizes > 1].sum()),
        "redundant": int((sizes - 1).sum()),
        "largest": int(sizes.max()),
        "groups_across_sides": int(across.sum()),
        "groups_across_sides_conflicting": int((across & mixed).sum()),
        "with_a_copy": {
            f"{_SIDES[late]} in {_SIDES[early]}": int(held[held[:, early] > 0, late].sum())
            for early, late in ((0, 1), (0, 2), (1, 2))
        },
    }


def _repeated(indices: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    times, rest = divmod(size, len(indices))
    extra = rng.choice(indices, rest, replace=False)
    return np.concatenate([np.repeat(indices, times), extra])


def _own_sides(dataset: Dataset, protocol: str) -> NDArray[np.int64]:
    """(N,) 0 train, 1 validation, 2 test, -1 none."""
    index: dict[str | None, int] = {name: i for i, name in enumerate(_SIDES)}
    sides = np.array([index.get(sample.side, -1) for sample in dataset.samples], np.int64)
    needed = sides == 0 if protocol == "clean" else sides >= 0
    if not needed.any():
        raise DataError(
            f"protocol {protocol!r} needs the dataset's own "
            f"{'training side' if protocol == 'clean' else 'sides'}, but {dataset.name} has none. "
            "To judge a model that was trained on other data, use whole; to train, too, "
            "random-80-10-10 (`--set data.protocol=random-80-10-10`), or say who is on which "
            "side: by folders train/, val/ and test/, or a table's column `split`.",
            protocol=protocol,
        )
    return sides


def _groups(dataset: Dataset, progress: Progress | None) -> NDArray[np.int64]:
    """(N,) the same number for samples of one subject, or else of one photograph."""
    named = _subjects(dataset)
    if named is not None:
        return named
    from facetell.datasets.duplicates import cached_near_copies

    return cached_near_copies(dataset.faces(), progress).groups


def _subjects(dataset: Dataset) -> NDArray[np.int64] | None:
    """(N,) the same number for samples of one subject, None where some have none."""
    subjects = [sample.subject for sample in dataset.samples]
    if None in subjects:
        return None
    numbers: dict[str | None, int] = {}
    return np.array([numbers.setdefault(s, len(numbers)) for s in subjects], np.int64)


def _numbered(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The groups in the order in which they first appear: what they are called draws nothing."""
    _, first, named = np.unique(groups, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[named], np.int64)


def _without_copies(sides: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sides less what shares a group with an earlier side (train < validation < test)."""
    _, group = np.unique(groups, return_inverse=True)
    first = np.full(group.max() + 1, len(_SIDES))
    placed = sides >= 0
    np.minimum.at(first, group[placed], sides[placed])
    return np.where(sides > first[group], -1, sides)


def _hold_out(
    sides: NDArray[np.int64], targets: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    train = np.flatnonzero(sides == 0)
    drawn = _draw(targets[train], groups[train], (1 - _HOLD_OUT, _HOLD_OUT), seed)
    out = sides.copy()
    out[train[drawn == 1]] = 1
    return out


def _random(
    dataset: Dataset, seed: int, groups: NDArray[np.int64] | None, progress: Progress | None
) -> Split:
    groups = _groups(dataset, progress) if groups is None else groups
    sides = _draw(dataset.targets, _numbered(groups), (0.8, 0.1, 0.1), seed)
    return _split(dataset, "random-80-10-10", sides, seed, False, groups)


def subjects(dataset: Dataset) -> tuple[str, ...]:
    """Everyone who is shown, in alphabetical order: the folds of `leave-one-subject-out`.

    Raises:
        DataError: fewer than three subjects, or samples without one.
    """
    names = {sample.subject for sample in dataset.samples}
    known = tuple(sorted(name for name in names if name is not None))
    if None in names or len(known) < 3:
        raise DataError(
            f"leave-one-subject-out needs three or more subjects and one for every sample, but "
            f"{dataset.name} names {len(known)}. Use random-80-10-10, which keeps near-copies "
            "together.",
            actual=len(known),
        )
    return known


def _leave_one_out(dataset: Dataset, fold: int, seed: int) -> Split:
    known = subjects(dataset)
    if not 0 <= fold < len(known):
        raise InputError(
            f"fold must be 0 to {len(known) - 1}, as {dataset.name} has {len(known)} subjects, "
            f"got {fold}.",
            actual=fold,
        )
    number = {name: i for i, name in enumerate(known)}
    groups = np.array([number[str(sample.subject)] for sample in dataset.samples], np.int64)
    sides = np.where(groups == fold, 2, np.where(groups == (fold + 1) % len(known), 1, 0))
    return _split(dataset, "leave-one-subject-out", sides, seed, False, groups)


def leak(dataset: Dataset, seed: int) -> Dataset:
    """The dataset with every class repeated to the size of the largest, then all mirrored.

    Each image is there twice or more, so that whatever is drawn from it at random has its
    copies left in the rest. Only `leaky-80-10-10` uses this.
    """
    rng = np.random.default_rng(seed)
    targets = dataset.targets
    largest = int(np.bincount(targets).max())
    every = np.arange(len(dataset))
    chosen = np.concatenate(
        [_repeated(every[targets == label], largest, rng) for label in np.unique(targets)]
    )
    repeated = dataset.take(chosen)
    half = len(repeated)
    samples = tuple(
        replace(sample, id=f"{sample.id}#{i}{'m' if mirrored else ''}", side=None)
        for mirrored in (False, True)
        for i, sample in enumerate(repeated.samples)
    )

    def read(index: int) -> NDArray[np.uint8]:
        image = repeated.read(index % half)
        return np.ascontiguousarray(image[:, ::-1]) if index >= half else image

    stack = repeated.stack
    return replace(
        repeated,
        name=f"{dataset.name} (leaky)",
        samples=samples,
        read=read,
        stack=None if stack is None else np.concatenate([stack, stack[:, :, ::-1]]),
        notes=(*dataset.notes, "faces were repeated and mirrored before the split: leaky"),
    )


def _leaky(dataset: Dataset, seed: int) -> Split:
    """80-10-10 of `leak(dataset)`, image by image: copies fall on all sides."""
    leaking = leak(dataset, seed)
    sides = np.random.default_rng(seed).choice(3, len(leaking), p=(0.8, 0.1, 0.1))
    return _split(leaking, "leaky-80-10-10", sides, seed, False, None)


def _draw(
    targets: NDArray[np.int64], groups: NDArray[np.int64], shares: tuple[float, ...], seed: int
) -> NDArray[np.int64]:
    """(N,) sides for whole groups: large groups first, each to the side that lacks it most."""
    _, group = np.unique(groups, return_inverse=True)
    counts = np.zeros((group.max() + 1, targets.max() + 1))  # (G, K)
    np.add.at(counts, (group, targets), 1)
    if len(counts) < len(shares):
        raise DataError(
            f"expected at least {len(shares)} subjects or groups of near-copies to share out, "
            f"got {len(counts)}. Add data, or use the dataset's own sides.",
            actual=len(counts),
        )
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    wanted = np.outer(shares, counts.sum(axis=0))  # (sides, K)
    scale = 1 / np.maximum(wanted, 1e-9)
    lacking = wanted.copy()
    side_of_group = np.empty(len(counts), np.int64)
    started = np.zeros(len(shares), np.bool_)
    for g in order:
        # A side takes the group only if that brings it nearer to its share; an empty one does.
        room = lacking[:, counts[g] > 0].sum(axis=1) >= counts[g].sum() / 2
        need = (lacking * scale) @ counts[g]
        side = int(np.where(room | ~started, need, need - 1e9).argmax())
        side_of_group[g], started[side] = side, True
        lacking[side] -= counts[g]
    return side_of_group[group]


def _split(
    dataset: Dataset,
    protocol: Protocol,
    sides: NDArray[np.int64],
    seed: int,
    held_out: bool,
    groups: NDArray[np.int64] | None,
) -> Split:
    train, validation, test = (np.flatnonzero(sides == side) for side in range(3))
    return Split(
        dataset=dataset,
        protocol=protocol,
        train=TrainSide(dataset=dataset, indices=train, _token=_TOKEN),
        validation=validation,
        test=test,
        removed=int((sides < 0).sum()),
        seed=seed,
        held_out=held_out,
        groups=groups,
    )
