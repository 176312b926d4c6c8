"""The same model on groups of the judged faces: for whom does it work less well?

The groups are those of a column that the user brings. Nothing here guesses an attribute of a
person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facetell.errors import InputError
from facetell.evaluate import metrics
from facetell.evaluate.evaluation import (
    BINS,
    FEWEST_GROUPS,
    METRICS,
    ClassScore,
    Measure,
    Redrawn,
    class_dict,
    class_score,
    clusters,
    count_columns,
    redraw,
)
from facetell.evaluate.judged import Judged

__all__ = ["FEWEST", "Gap", "GroupScore", "Slices", "slices_of"]

#: Smaller groups are not tested.
FEWEST = 50
#: So many of them are listed; more are counted, as of a column that differs from face to face.
MOST_SMALL = 20
#: A recall is compared between groups with so many faces of the emotion.
FEWEST_OF_CLASS = 20
PERMUTATIONS = 2000
#: Metrics that are compared between groups, besides the recall of every emotion.
COMPARED = ("accuracy", "balanced_accuracy", "calibration_error")

Sums = NDArray[np.float64]


class GroupScore(NamedTuple):
    """What the model scores on one group.

    Attributes:
        name: the column's value.
        n: judged faces in it.
        tested: whether it is large enough to be compared.
        metrics: as in `Evaluation.metrics`, each with its 95 % bootstrap interval.
        per_class: as in `Evaluation.per_class`.
    """

    name: str
    n: int
    tested: bool
    metrics: dict[str, Measure]
    per_class: tuple[ClassScore, ...]


class Gap(NamedTuple):
    """How far the best and the worst group are apart.

    Attributes:
        metric: a key of METRICS, or `recall of` an emotion.
        best: the group that does best.
        worst: the group that does worst.
        difference: best minus worst (worst minus best for the calibration error), 0-1, with the
            95 % bootstrap interval for these two groups.
        p_value: of a permutation test: how often groups drawn by chance are as far apart.
        adjusted: the same, corrected by Holm's method for all gaps of this column.
    """

    metric: str
    best: str
    worst: str
    difference: Measure
    p_value: float
    adjusted: float


@dataclass(frozen=True, kw_only=True)
class Slices:
    """A model's scores by the values of one column.

    Attributes:
        column: what the user named.
        fewest: groups of fewer faces are not tested.
        unstated: judged faces of which the column says nothing; they are in no group.
        groups: sorted by name.
        gaps: one for each compared number; empty with fewer than two groups to test.
        permutations: of the test.
        seed: of bootstrap and permutations.
        notes: what a reader of the numbers must know, one sentence each.
    """

    column: str
    fewest: int
    unstated: int
    groups: tuple[GroupScore, ...]
    gaps: tuple[Gap, ...]
    permutations: int = PERMUTATIONS
    seed: int = 0
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[GroupScore, ...]:
        """The groups to list: those that are tested, and the smaller ones if they are few."""
        tested = tuple(group for group in self.groups if group.tested)
        return self.groups if len(self.groups) - len(tested) <= MOST_SMALL else tested

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` is its inverse."""
        return {
            **asdict(self),
            "groups": [_group_dict(group) for group in self.groups],
            "gaps": [{**gap._asdict(), "difference": gap.difference._asdict()}
                     for gap in self.gaps],
            "notes": list(self.notes),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Slices:
        """The slices that `to_dict` described."""
        read = {
            "groups": tuple(_group_score(group) for group in values["groups"]),
            "gaps": tuple(
                Gap(**{**gap, "difference": Measure(**gap["difference"])}) for gap in values["gaps"]
            ),
            "notes": tuple(values["notes"]),
        }
        return cls(**{**values, **read})


def _group_dict(group: GroupScore) -> dict[str, Any]:
    return {
        **group._asdict(),
        "metrics": {name: measure._asdict() for name, measure in group.metrics.items()},
        "per_class": [class_dict(score) for score in group.per_class],
    }


def _group_score(values: dict[str, Any]) -> GroupScore:
    read = {
        "metrics": {name: Measure(**value) for name, value in values["metrics"].items()},
        "per_class": tuple(class_score(score) for score in values["per_class"]),
    }
    return GroupScore(**{**values, **read})


def slices_of(
    judged: Judged, values: Sequence[str], column: str, *, fewest: int = FEWEST, seed: int = 0
) -> Slices:
    """The metrics of every group, and whether the groups differ by more than chance.

    Args:
        judged: the answers.
        values: the group of each of the dataset's samples, "" where none is known.
        column: what the groups are called.
        fewest: groups of fewer faces are not tested, and not `shown` where there are many.
        seed: of bootstrap and permutations.

    Example:
        found = slices_of(judged, read_column(dataset, "people.csv:camera"), "camera")
    """
    if len(values) != len(judged.dataset):
        raise InputError(
            f"expected one value for each of the {len(judged.dataset)} samples of "
            f"{judged.dataset.name}, got {len(values)}. Read them with read_column()."
        )
    own = np.array([values[index] for index in judged.indices], dtype=np.str_)
    names = sorted(set(own.tolist()) - {""})
    parts = {name: judged.of(np.flatnonzero(own == name)) for name in names}
    redrawn = {name: redraw(part, seed=seed + i) for i, (name, part) in enumerate(parts.items())}
    groups = tuple(
        GroupScore(
            name,
            len(parts[name]),
            len(parts[name]) >= fewest,
            {metric: found[metric].measure() for metric in METRICS},
            classes,
        )
        for name, (found, classes, _) in redrawn.items()
    )
    tested = [group for group in groups if group.tested]
    numbers = _numbers(redrawn, tested)
    gaps = _gaps(judged, own, numbers, seed) if len(tested) > 1 else ()
    unstated = int((own == "").sum())
    together = judged.split.groups is not None
    few = [name for name, part in parts.items() if together and clusters(part, None) is None]
    return Slices(
        column=column,
        fewest=fewest,
        unstated=unstated,
        groups=groups,
        gaps=gaps,
        seed=seed,
        notes=_notes(column, groups, gaps, unstated, fewest, few),
    )


def _numbers(
    redrawn: dict[str, tuple[dict[str, Redrawn], tuple[ClassScore, ...], NDArray[np.float64]]],
    tested: list[GroupScore],
) -> dict[str, dict[str, Redrawn]]:
    """What is compared -> group -> value and resamples; groups without enough faces left out."""
    found: dict[str, dict[str, Redrawn]] = {
        metric: {group.name: redrawn[group.name][0][metric] for group in tested}
        for metric in COMPARED
    }
    for k, score in enumerate(tested[0].per_class if tested else ()):
        found[f"recall of {score.label}"] = {
            group.name: Redrawn(recall.value, redrawn[group.name][2][:, k])
            for group in tested
            if (recall := group.per_class[k].recall) is not None
            and group.per_class[k].support >= FEWEST_OF_CLASS
        }
    return {name: by_group for name, by_group in found.items() if len(by_group) > 1}


def _gaps(
    judged: Judged, own: NDArray[np.str_], numbers: dict[str, dict[str, Redrawn]], seed: int
) -> tuple[Gap, ...]:
    p_values = _permutation_test(judged, own, numbers, seed)
    adjusted = _holm(p_values)
    gaps = []
    for (metric, by_group), p_value, corrected in zip(
        numbers.items(), p_values, adjusted, strict=True
    ):
        ranked = sorted(by_group, key=lambda name: by_group[name].value)
        low, high = ranked[0], ranked[-1]
        apart = by_group[high].value - by_group[low].value
        drawn = by_group[high].draws - by_group[low].draws
        difference = Measure(apart, *metrics.percentile_interval(drawn))
        lower_is_better = metric == "calibration_error"
        best, worst = (low, high) if lower_is_better else (high, low)
        gaps.append(Gap(metric, best, worst, difference, p_value, corrected))
    return tuple(gaps)


def _permutation_test(
    judged: Judged, own: NDArray[np.str_], numbers: dict[str, dict[str, Redrawn]], seed: int
) -> list[float]:
    """For each number, how often groups drawn by chance are as far apart as these.

    The names of the groups are exchanged among faces of one label, so that a group with more of a
    difficult emotion does not differ for that alone. Where faces belong together (a person, copies
    of a photo), they keep one name between them.
    """
    names = sorted({name for by_group in numbers.values() for name in by_group})
    rows = np.flatnonzero(np.isin(own, names))
    part = judged.of(rows)
    columns = count_columns(part, metrics.reliability(part.confidence, part.correct, BINS))
    unit_of = _units(part, own[rows])
    count = unit_of.max() + 1
    sums = np.zeros((count, columns.shape[1]))
    np.add.at(sums, unit_of, columns)
    group = np.zeros(count, np.int64)
    group[unit_of] = np.searchsorted(names, own[rows])
    classes = len(judged.dataset.labels)
    labels = np.zeros((count, classes))
    np.add.at(labels, (unit_of, part.labels), 1)
    strata = labels.argmax(axis=1)
    generator = np.random.default_rng(seed)
    observed = _ranges(_by_group(sums, group, len(names)), names, numbers, judged)
    as_far = np.zeros(len(numbers))
    for _ in range(PERMUTATIONS):
        drawn = _exchanged(group, strata, generator)
        ranges = _ranges(_by_group(sums, drawn, len(names)), names, numbers, judged)
        as_far += ranges >= observed - 1e-12
    return ((1 + as_far) / (1 + PERMUTATIONS)).tolist()  # type: ignore[no-any-return]


def _units(judged: Judged, own: NDArray[np.str_]) -> NDArray[np.int64]:
    """(N,) what keeps one name: faces of one cluster and group, else each face."""
    together = clusters(judged, None)
    if together is None:
        return np.arange(len(judged))
    cluster = np.unique(together, return_inverse=True)[1].ravel()
    name = np.unique(own, return_inverse=True)[1].ravel()
    pairs = cluster * (name.max() + 1) + name
    return np.unique(pairs, return_inverse=True)[1].ravel().astype(np.int64)


def _exchanged(
    group: NDArray[np.int64], strata: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """The groups' names in another order within each stratum."""
    order = np.lexsort((generator.random(len(group)), strata))  # a shuffle inside each stratum
    drawn = np.empty_like(group)
    drawn[np.argsort(strata, kind="stable")] = group[order]
    return drawn


def _by_group(sums: Sums, group: NDArray[np.int64], count: int) -> Sums:
    """(G, M) column sums of each group."""
    return np.asarray((group[None] == np.arange(count)[:, None]).astype(np.float64) @ sums)


def _ranges(
    sums: Sums, names: list[str], numbers: dict[str, dict[str, Redrawn]], judged: Judged
) -> NDArray[np.float64]:
    """For each number the distance of the highest from the lowest group; nan counts as none."""
    labels = judged.dataset.labels
    at = len(labels) ** 2
    confusion = sums[:, :at].reshape(-1, len(labels), len(labels))
    faces = np.maximum(confusion.sum(axis=(1, 2)), 1)
    values = {
        "accuracy": metrics.accuracy(confusion),
        "balanced_accuracy": metrics.balanced_accuracy(confusion),
        # In bins of all faces: those of one group alone would change with every exchange.
        "calibration_error": np.abs(sums[:, at:]).sum(axis=1) / faces,
    }
    recalls = metrics.per_class(confusion).recall
    values |= {f"recall of {label}": recalls[:, k] for k, label in enumerate(labels)}
    found = []
    for metric, by_group in numbers.items():
        rows = [names.index(name) for name in by_group]
        defined = values[metric][rows]
        defined = defined[~np.isnan(defined)]
        found.append(np.ptp(defined) if defined.size else 0.0)
    return np.array(found)


def _holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".

    >>> _holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    adjusted, so_far = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order.tolist()):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = so_far
    return adjusted


def _notes(
    column: str,
    groups: tuple[GroupScore, ...],
    gaps: tuple[Gap, ...],
    unstated: int,
    fewest: int,
    few: list[str],
) -> tuple[str, ...]:
    small = [f"{group.name} ({group.n:,})" for group in groups if not group.tested]
    many = len(small) > MOST_SMALL
    few = [group.name for group in groups if group.name in few and (group.tested or not many)]
    notes = [
        f"The groups are the values of {column!r} as they were given; facetell infers no attribute "
        "of any person."
    ]
    if unstated:
        notes.append(f"{unstated:,} judged faces have no value and are in no group.")
    if many:
        notes.append(
            f"{len(small):,} groups have fewer than {fewest} faces each, so that they are neither "
            "tested nor listed; --json has them all."
        )
    elif small:
        notes.append(f"Fewer than {fewest} faces, so listed but not tested: {', '.join(small)}.")
    if len(groups) - len(small) < 2:
        notes.append(f"Fewer than two groups have {fewest} faces: nothing is compared.")
    if few:
        notes.append(
            f"From fewer than {FEWEST_GROUPS} people or groups of near-copies, so that the "
            f"intervals do not express the differences between them: {', '.join(few)}."
        )
    if gaps:
        notes.append(
            "Best and worst were chosen after looking, which widens their difference; the p value "
            "allows for that, the interval does not."
        )
        notes.append(
            f"{len(gaps)} differences were tested: the adjusted p value (Holm) allows for that, "
            "but not for further columns that are looked at."
        )
        notes.append(
            "A difference may come from the pictures or their labels as well as from the model; "
            "where none is found, one smaller than the intervals may still be there."
        )
    return tuple(notes)
