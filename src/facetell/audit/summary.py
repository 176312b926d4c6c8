"""An audit's numbers: ready for JSON, for a table and for a report.

Letters: N images, K labels, G groups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facetell.audit.findings import KINDS, SIDES, Findings, Kind
from facetell.evaluate.evaluation import Measure
from facetell.evaluate.metrics import wilson_interval

__all__ = ["Agreement", "Audit", "Conflict", "Copies", "Groups", "Leak", "Lookup", "SharedSubject"]

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: A judged side is called leaky from here on: share of its images with a copy in train, and
#: accuracy of the nearest training face.
TWIN_RATE, LOOKUP_ACCURACY = 0.01, 0.60


class Copies(NamedTuple):
    """Copies of one kind.

    Attributes:
        kind: exact, near or mirrored.
        pairs: pairs found; each exact copy is paired with the first one only.
        pairs_across: those with their images on two sides.
        images: images whose closest copy is of this kind.
        redundant: images that could go without losing a photograph that closer kinds leave.
    """

    kind: Kind
    pairs: int
    pairs_across: int
    images: int
    redundant: int


class Leak(NamedTuple):
    """Images of one side with a copy on an earlier one; each counted under its closest copy.

    Attributes:
        side: the later side.
        within: the earlier side.
        n: images of the later side.
        exact: with an exact copy there.
        near: with a near-copy there, and no exact one.
        mirrored: connected with that side through mirrored pairs only.
        same_label: images with such a copy that carries their own label.
    """

    side: str
    within: str
    n: int
    exact: int
    near: int
    mirrored: int
    same_label: int

    @property
    def total(self) -> int:
        """Images with any copy there."""
        return self.exact + self.near + self.mirrored


class Agreement(NamedTuple):
    """How often two copies of one photograph carry the same label.

    Attributes:
        kind: exact, or near (which here includes mirrored).
        pairs: all pairs of images in one group.
        same: those with the same label.
    """

    kind: str
    pairs: int
    same: int


class Conflict(NamedTuple):
    """Two labels in one group: how many pairs of its images carry them."""

    first: str
    second: str
    pairs: int


class SharedSubject(NamedTuple):
    """A subject on more than one side, and its images there."""

    subject: str
    images: dict[str, int]


class Lookup(NamedTuple):
    """What the nearest training face scores on a judged side.

    Attributes:
        side: the judged side.
        faces: which of its faces: all, "with a copy in train", "without a copy in train".
        n: how many.
        accuracy: share of right answers with its Wilson interval, None without faces.
    """

    side: str
    faces: str
    n: int
    accuracy: Measure | None


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What is wrong with a dataset, in numbers.

    Attributes:
        dataset: its name.
        source: what was read.
        licence: terms of the data.
        method: `thorough` (aligned images) or `quick` (hash).
        images: how many.
        sides: images on each side that has any; "none" for those on no side.
        copies: one row per kind of copy.
        groups: sets of two or more copies of one photograph, all kinds together.
        grouped: images in them.
        redundant: images less one of each photograph.
        largest: images in the largest group.
        groups_across: groups on more than one side.
        groups_across_conflicting: those with more than one label.
        leaks: copies between sides, one row per pair of sides.
        groups_conflicting: groups with more than one label.
        images_conflicting: images in them.
        agreement: how often copies carry the same label.
        conflicts: by pair of labels, most frequent first.
        blank: ids of images that are black, white or nearly even.
        no_face_votes: ids of images that most FER+ voters called "not a face"; None without votes.
        no_face_detector: ids of images in which a detector saw no face; None if it was not asked.
        subjects: how many are named; None where samples name none.
        shared_subjects: those on more than one side.
        groups_across_subjects: groups of copies with more than one subject.
        lookups: the leak canary; empty where it was not asked or has nothing to compare.
        flags: what must be known before a score on these data is believed.
    """

    dataset: str
    source: str
    licence: str
    method: str
    images: int
    sides: dict[str, int]
    copies: tuple[Copies, ...]
    groups: int
    grouped: int
    redundant: int
    largest: int
    groups_across: int
    groups_across_conflicting: int
    leaks: tuple[Leak, ...]
    groups_conflicting: int
    images_conflicting: int
    agreement: tuple[Agreement, ...]
    conflicts: tuple[Conflict, ...]
    blank: tuple[str, ...]
    no_face_votes: tuple[str, ...] | None
    no_face_detector: tuple[str, ...] | None
    subjects: int | None
    shared_subjects: tuple[SharedSubject, ...]
    groups_across_subjects: int
    lookups: tuple[Lookup, ...]
    flags: tuple[str, ...]

    @classmethod
    def of(cls, found: Findings) -> Audit:
        """The numbers of what `inspect` found."""
        groups = Groups.of(found)
        leaks, lookups = tuple(_leaks(found)), tuple(_lookups(found))
        shared = tuple(_shared_subjects(found))
        return cls(
            dataset=found.dataset.name,
            source=found.dataset.source,
            licence=found.dataset.licence,
            method="quick" if found.quick else "thorough",
            images=len(found.faces),
            sides=_side_counts(found.sides),
            copies=tuple(_copies(found)),
            groups=int(groups.several.sum()),
            grouped=int(groups.sizes[groups.several].sum()),
            redundant=int((groups.sizes - 1).sum()),
            largest=int(groups.sizes.max()),
            groups_across=int(groups.across.sum()),
            groups_across_conflicting=int((groups.across & groups.mixed).sum()),
            leaks=leaks,
            groups_conflicting=int(groups.mixed.sum()),
            images_conflicting=int(groups.sizes[groups.mixed].sum()),
            agreement=_agreement(found),
            conflicts=_conflicts(found),
            blank=_ids(found, found.blank),
            no_face_votes=_ids_or_none(found, found.no_face_votes),
            no_face_detector=_ids_or_none(found, found.no_face_detector),
            subjects=_subjects(found),
            shared_subjects=shared,
            groups_across_subjects=_groups_across_subjects(found, groups),
            lookups=lookups,
            flags=tuple(_flags(leaks, lookups, shared)),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` reads it."""
        rows = {
            "copies": [row._asdict() for row in self.copies],
            "leaks": [row._asdict() for row in self.leaks],
            "agreement": [row._asdict() for row in self.agreement],
            "conflicts": [row._asdict() for row in self.conflicts],
            "shared_subjects": [row._asdict() for row in self.shared_subjects],
            "lookups": [row._asdict() for row in self.lookups],
        }
        for row in rows["lookups"]:
            row["accuracy"] = row["accuracy"] and row["accuracy"]._asdict()
        plain = asdict(self) | rows
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Audit:
        """The audit that `to_dict` wrote."""
        lookups = [
            row | {"accuracy": row["accuracy"] and Measure(**row["accuracy"])}
            for row in values["lookups"]
        ]
        listed: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(
            **listed
            | {
                "copies": tuple(Copies(**row) for row in values["copies"]),
                "leaks": tuple(Leak(**row) for row in values["leaks"]),
                "agreement": tuple(Agreement(**row) for row in values["agreement"]),
                "conflicts": tuple(Conflict(**row) for row in values["conflicts"]),
                "shared_subjects": tuple(SharedSubject(**row) for row in values["shared_subjects"]),
                "lookups": tuple(Lookup(**row) for row in lookups),
            }
        )


class Groups(NamedTuple):
    """The groups of copies, numbered from 0.

    Attributes:
        group: (N,) each image's group.
        sizes: (G,) images in it.
        several: (G,) two images or more.
        across: (G,) on more than one side.
        odd: (G,) images that do not carry the group's most frequent label.
    """

    group: Ints
    sizes: Ints
    several: Bools
    across: Bools
    odd: Ints

    @property
    def mixed(self) -> Bools:
        """(G,) with more than one label."""
        return self.odd > 0

    @classmethod
    def of(cls, found: Findings) -> Groups:
        """The groups of all kinds of copies."""
        _, group = np.unique(found.copies.groups, return_inverse=True)
        sizes = np.bincount(group)
        placed = found.sides >= 0
        across = _kinds_in(group[placed], found.sides[placed], len(sizes)) > 1
        labels = np.zeros((len(sizes), len(found.dataset.labels)), np.int64)  # (G, K)
        np.add.at(labels, (group, found.dataset.targets), 1)
        return cls(group, sizes, sizes > 1, across, sizes - labels.max(axis=1))


def _kinds_in(group: Ints, values: Ints, count: int) -> Ints:
    """(count,) how many different values each group holds."""
    once = np.unique(np.stack([group, values], axis=1), axis=0)[:, 0]
    return np.bincount(once, minlength=count)


def _side_counts(sides: Ints) -> dict[str, int]:
    names = {**dict(enumerate(SIDES)), -1: "none"}
    counts = {name: int((sides == index).sum()) for index, name in names.items()}
    return {name: count for name, count in counts.items() if count}


def _ids(found: Findings, chosen: Bools) -> tuple[str, ...]:
    return tuple(found.dataset.samples[i].id for i in np.flatnonzero(chosen))


def _ids_or_none(found: Findings, chosen: Bools | None) -> tuple[str, ...] | None:
    return None if chosen is None else _ids(found, chosen)


def _copies(found: Findings) -> Iterable[Copies]:
    first, second = found.sides[found.copies.pairs].T
    across = (first != second) & (first >= 0) & (second >= 0)
    images, photographs = 0, len(found.faces)
    for index, kind in enumerate(KINDS):
        of_kind = found.kinds == index
        sizes = np.bincount(found.groups(kind))
        in_groups, left = int(sizes[sizes > 1].sum()), int((sizes > 0).sum())
        yield Copies(
            kind=kind,
            pairs=int(of_kind.sum()),
            pairs_across=int((of_kind & across).sum()),
            images=in_groups - images,
            redundant=photographs - left,
        )
        images, photographs = in_groups, left


def _leaks(found: Findings) -> Iterable[Leak]:
    for early, late in combinations(range(len(SIDES)), 2):
        later = found.sides == late
        if not later.any() or not (found.sides == early).any():
            continue
        exact, near, every = (
            int((_with_mate(found.groups(kind), found.sides == early) & later).sum())
            for kind in KINDS
        )
        yield Leak(
            side=SIDES[late],
            within=SIDES[early],
            n=int(later.sum()),
            exact=exact,
            near=near - exact,
            mirrored=every - near,
            same_label=int((_with_same_label(found, early) & later).sum()),
        )


def _with_mate(groups: Ints, chosen: Bools) -> Bools:
    """(N,) whether one of the chosen images is in the image's group."""
    held = np.bincount(groups[chosen], minlength=len(groups))
    return np.asarray(held[groups] > 0)


def _with_same_label(found: Findings, side: int) -> Bools:
    """(N,) whether a copy on that side carries the image's own label."""
    labels = len(found.dataset.labels)
    both = found.copies.groups * labels + found.dataset.targets
    here = found.sides == side
    return np.isin(both, both[here])


def _label_table(found: Findings, groups: Ints) -> Ints:
    """(G, K) images of each label in each group of two or more."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    table = np.zeros((len(sizes), len(found.dataset.labels)), np.int64)
    np.add.at(table, (group, found.dataset.targets), 1)
    return table[sizes > 1]


def _agreement(found: Findings) -> tuple[Agreement, ...]:
    rows, before = [], np.zeros(2, np.int64)
    for kind, groups in (("exact", found.groups("exact")), ("near", found.copies.groups)):
        table = _label_table(found, groups)
        sizes = table.sum(axis=1)
        now = np.array([(sizes * (sizes - 1)).sum(), (table * (table - 1)).sum()]) // 2
        rows.append(Agreement(kind, *(now - before).tolist()))
        before = now
    return tuple(rows)


def _conflicts(found: Findings) -> tuple[Conflict, ...]:
    table = _label_table(found, found.copies.groups)
    counts = table.T @ table
    labels = found.dataset.labels
    rows = [
        Conflict(labels[a], labels[b], int(counts[a, b]))
        for a, b in combinations(range(len(labels)), 2)
        if counts[a, b]
    ]
    return tuple(sorted(rows, key=lambda row: -row.pairs))


def _subjects(found: Findings) -> int | None:
    return len({s.subject for s in found.dataset.samples if s.subject is not None}) or None


def _shared_subjects(found: Findings) -> Iterable[SharedSubject]:
    """Subjects on more than one side, those with most images first."""
    places: dict[str, Counter[str]] = {}
    for sample in found.dataset.samples:
        if sample.subject is not None and sample.side is not None:
            places.setdefault(sample.subject, Counter())[sample.side] += 1
    shared = [(name, counts) for name, counts in places.items() if len(counts) > 1]
    for name, counts in sorted(shared, key=lambda row: (-row[1].total(), row[0])):
        yield SharedSubject(name, {side: counts[side] for side in SIDES if counts[side]})


def _groups_across_subjects(found: Findings, groups: Groups) -> int:
    numbers: dict[str, int] = {}
    subjects = np.array(
        [
            -1 if s.subject is None else numbers.setdefault(s.subject, len(numbers))
            for s in found.dataset.samples
        ],
        np.int64,
    )
    named = subjects >= 0
    several = _kinds_in(groups.group[named], subjects[named], len(groups.sizes)) > 1
    return int(several.sum())


def _lookups(found: Findings) -> Iterable[Lookup]:
    mates = _with_mate(found.copies.groups, found.sides == 0)
    for side, answers in found.lookups.items():
        chosen = found.sides == SIDES.index(side)
        hits, copied = answers == found.dataset.targets[chosen], mates[chosen]
        for faces, rows in (
            ("all", np.ones(len(hits), np.bool_)),
            ("with a copy in train", copied),
            ("without a copy in train", ~copied),
        ):
            yield Lookup(side, faces, int(rows.sum()), _share(hits[rows]))


def _share(hits: Bools) -> Measure | None:
    if not len(hits):
        return None
    low, high = wilson_interval(hits.sum(), len(hits))
    return Measure(float(hits.mean()), float(low), float(high))


def _flags(
    leaks: Iterable[Leak], lookups: Iterable[Lookup], shared: tuple[SharedSubject, ...]
) -> Iterable[str]:
    for leak in leaks:
        if leak.within == "train" and leak.total > TWIN_RATE * leak.n:
            yield (
                f"images of {leak.side} with a copy in train: {leak.total:,} of {leak.n:,} "
                f"({100 * leak.total / leak.n:.1f} %). Scores on this side are in part memory: "
                "judge with --protocol clean, or keep groups together."
            )
    for lookup in lookups:
        measure = lookup.accuracy
        if lookup.faces == "all" and measure and measure.value > LOOKUP_ACCURACY:
            yield (
                f"the nearest training face, which has learned nothing, is right on "
                f"{100 * measure.value:.1f} % of {lookup.side}. Look for copies made before the "
                "split (oversampling, mirroring, neighbouring frames); if there are none, the "
                "faces are so alike that a high score proves little."
            )
    if shared:
        yield (
            f"subjects on more than one side: {len(shared):,}. A model can recognise them "
            "instead of their expression: split by subject."
        )
