"""How far scores, sets and silence can be trusted: measured on faces that did not set them.

Letters: N faces, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facetell.contract import Certainty, Contract
from facetell.evaluate import metrics
from facetell.evaluate.calibration import Margins, fit_certainty, fit_scores
from facetell.evaluate.judged import Judged, score_columns
from facetell.predictor import calibrated
from facetell.runtime.certainty import are_sure, label_sets, least_scores, sure_score

__all__ = [
    "LEVELS", "SHARES", "Answers", "Sets", "Sureness", "calibration_floor", "cross_fitted",
    "shipped", "sureness_of",
]  # fmt: skip

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Levels whose sets are judged.
LEVELS = (0.8, 0.9, 0.95)
#: Shares of answered faces that are judged.
SHARES = (0.5, 0.7, 0.9)
#: Shares of the surest faces at which the curve is drawn.
CURVE = tuple(round(0.05 * step, 2) for step in range(2, 21))
BINS = 15
#: Random halves over which cross-fitted numbers are averaged.
REPEATS = 5
#: Fewer faces than this in a half tell nothing about a set.
FEWEST = 100


class Sets(NamedTuple):
    """The sets of one level.

    Attributes:
        level: share of faces whose set shall hold their label, 0-1.
        coverage: share of faces whose set does, 0-1.
        size: mean number of labels in a set.
        covered: (K,) coverage of each label's faces, None for a label without faces.
        sizes: (K,) share of the faces whose set has 1, 2, ... K labels.
    """

    level: float
    coverage: float
    size: float
    covered: tuple[float | None, ...]
    sizes: tuple[float, ...]

    @property
    def worst(self) -> float:
        """Coverage of the label whose faces are covered least."""
        return min((share for share in self.covered if share is not None), default=0.0)


class Answers(NamedTuple):
    """What comes of answering only some faces.

    Attributes:
        asked: share of faces that shall be answered, 0-1.
        share: share that was, 0-1.
        accuracy: of the answers, 0-1; 0 where there is none.
    """

    asked: float
    share: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Sureness:
    """How far a model can be trusted to know when it is wrong.

    Attributes:
        fitted: `shipped`: by the model's own contract; `cross-fitted`: each half of the faces by
            what the other half was fitted to, mean over REPEATS divisions.
        n: faces judged.
        labels: K emotions.
        calibration_error: expected calibration error, 15 bins of equal size, 0-1.
        calibration_floor: what a perfectly calibrated model would show by chance, 0-1.
        classwise_error: the same error of each label's scores, mean over labels, 0-1.
        negative_log_likelihood: nats.
        brier: 0-2.
        sets: of LEVELS.
        answers: of SHARES.
        curve: share of the faces with the highest scores, and the accuracy on them.
    """

    fitted: Literal["shipped", "cross-fitted"]
    n: int
    labels: tuple[str, ...]
    calibration_error: float
    calibration_floor: float
    classwise_error: float
    negative_log_likelihood: float
    brier: float
    sets: tuple[Sets, ...]
    answers: tuple[Answers, ...]
    curve: tuple[tuple[float, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` is its inverse."""
        return {
            **asdict(self),
            "labels": list(self.labels),
            "sets": [
                {**row._asdict(), "covered": list(row.covered), "sizes": list(row.sizes)}
                for row in self.sets
            ],
            "answers": [row._asdict() for row in self.answers],
            "curve": [list(point) for point in self.curve],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Sureness:
        """The sureness that `to_dict` described."""
        sets = tuple(
            Sets(**{**row, "covered": tuple(row["covered"]), "sizes": tuple(row["sizes"])})
            for row in values["sets"]
        )
        read = {
            "labels": tuple(values["labels"]),
            "sets": sets,
            "answers": tuple(Answers(**row) for row in values["answers"]),
            "curve": tuple((share, accuracy) for share, accuracy in values["curve"]),
        }
        return cls(**{**values, **read})


def sureness_of(judged: Judged, *, seed: int = 0) -> tuple[Sureness, ...]:
    """As the model ships, if it is calibrated for it, and cross-fitted, if there are faces enough.

    Cross-fitting takes one face of each group that the split knows.
    """
    found = []
    if judged.contract.certainty is not None:
        found.append(shipped(judged, seed=seed))
    margins = _distinct(judged)
    if margins is not None and len(np.unique(margins.people)) >= 2 * FEWEST:
        contract = replace(judged.contract, labels=judged.dataset.labels)
        found.append(cross_fitted(contract, margins, seed=seed))
    return tuple(found)


def _distinct(judged: Judged) -> Margins | None:
    if judged.margins is None:
        return None
    groups = judged.split.groups
    people = judged.indices if groups is None else groups[judged.indices]
    rows = np.sort(np.unique(people, return_index=True)[1])
    return Margins(judged.margins[rows], judged.labels[rows], np.asarray(people[rows], np.int64))


def shipped(judged: Judged, *, seed: int = 0) -> Sureness:
    """What the contract's calibration, sets and shares come to on all judged faces."""
    contract, labels = judged.contract, judged.dataset.labels
    columns = score_columns(contract, labels, judged.dataset.name)
    inside = [label_sets(judged.scores, least_scores(contract, v)[columns]) for v in LEVELS]
    answered = [are_sure(judged.scores, sure_score(contract, share)) for share in SHARES]
    numbers = _numbers(judged.scores, judged.labels, inside, answered, seed)
    return _sureness("shipped", labels, len(judged), numbers)


def cross_fitted(
    contract: Contract, found: Margins, *, seed: int = 0, repeats: int = REPEATS
) -> Sureness:
    """Each half of the faces judged by what the other half was fitted to.

    Args:
        contract: of the model; its own calibration is not used.
        found: margins, labels, and who must not be on both halves.
        seed: of the halves.
        repeats: divisions into halves over which the numbers are averaged.
    """
    generator = np.random.default_rng(seed)
    plain = replace(contract, score_factors=(), score_bend=0.0, certainty=None)
    people = np.unique(found.people, return_inverse=True)[1].ravel()
    drawn = []
    for _ in range(repeats):
        half = (generator.permutation(people.max() + 1) % 2 == 0)[people]
        drawn.append(_judge_halves(plain, found, half, seed))
    numbers = [np.mean(column, axis=0) for column in zip(*drawn, strict=True)]
    return _sureness("cross-fitted", contract.labels, len(found.labels), numbers)


def _judge_halves(
    contract: Contract, found: Margins, half: NDArray[np.bool_], seed: int
) -> list[Floats]:
    n, k = found.margins.shape
    scores = np.zeros((n, k))
    inside = [np.zeros((n, k), np.bool_) for _ in LEVELS]
    answered = [np.zeros(n, np.bool_) for _ in SHARES]
    for ours in (half, ~half):
        fitted = fit_scores(contract, found.margins[ours], found.labels[ours])
        certainty: Certainty = fit_certainty(
            calibrated(found.margins[ours], fitted), found.labels[ours]
        )
        fitted = replace(fitted, certainty=certainty)
        scores[~ours] = calibrated(found.margins[~ours], fitted)
        for table, level in zip(inside, LEVELS, strict=True):
            table[~ours] = label_sets(scores[~ours], least_scores(fitted, level))
        for row, share in zip(answered, SHARES, strict=True):
            row[~ours] = are_sure(scores[~ours], sure_score(fitted, share))
    return _numbers(scores, found.labels, inside, answered, seed)


def _numbers(
    scores: Floats,
    labels: Ints,
    inside: Sequence[NDArray[np.bool_]],
    answered: Sequence[NDArray[np.bool_]],
    seed: int,
) -> list[Floats]:
    """Losses (5,), sets (L, 2 + 2 K), answers (A, 2), curve (C,): what can be averaged."""
    right = scores.argmax(axis=1) == labels
    best = scores.max(axis=1)
    bins = metrics.reliability(best, right, BINS)
    losses = [
        metrics.calibration_error(bins),
        calibration_floor(best, bins, seed),
        np.mean([_label_error(scores[:, k], labels == k) for k in range(scores.shape[1])]),
        metrics.negative_log_likelihood(scores, labels),
        metrics.brier(scores, labels),
    ]
    order = np.argsort(-best, kind="stable")
    hits = np.cumsum(right[order])
    kept = [max(1, round(share * len(labels))) for share in CURVE]
    return [
        np.array(losses),
        np.array([_set_numbers(table, labels) for table in inside]),
        np.array([(row.mean(), right[row].mean() if row.any() else 0.0) for row in answered]),
        np.array([hits[n - 1] / n for n in kept]),
    ]


def _label_error(scores: Floats, is_it: NDArray[np.bool_]) -> float:
    return metrics.calibration_error(metrics.reliability(scores, is_it, BINS))


def _set_numbers(inside: NDArray[np.bool_], labels: Ints) -> list[float]:
    """Coverage, mean size, coverage of each label (nan without faces), share of each size."""
    k = inside.shape[1]
    held, sizes = inside[np.arange(len(labels)), labels], inside.sum(axis=1)
    counts = np.bincount(labels, minlength=k)
    covered = np.where(counts > 0, np.bincount(labels, held, k) / np.maximum(counts, 1), np.nan)
    shares = np.bincount(sizes, minlength=k + 1)[1:] / len(labels)
    return [float(held.mean()), float(sizes.mean()), *covered.tolist(), *shares.tolist()]


def _sureness(
    fitted: Literal["shipped", "cross-fitted"],
    labels: tuple[str, ...],
    n: int,
    numbers: Sequence[Floats],
) -> Sureness:
    losses, sets, answers, curve = numbers
    k = len(labels)
    return Sureness(
        fitted=fitted,
        n=n,
        labels=labels,
        calibration_error=float(losses[0]),
        calibration_floor=float(losses[1]),
        classwise_error=float(losses[2]),
        negative_log_likelihood=float(losses[3]),
        brier=float(losses[4]),
        sets=tuple(
            Sets(
                level=level,
                coverage=float(row[0]),
                size=float(row[1]),
                covered=tuple(None if np.isnan(v) else float(v) for v in row[2 : 2 + k]),
                sizes=tuple(float(v) for v in row[2 + k :]),
            )
            for level, row in zip(LEVELS, sets, strict=True)
        ),
        answers=tuple(
            Answers(asked, float(share), float(accuracy))
            for asked, (share, accuracy) in zip(SHARES, answers, strict=True)
        ),
        curve=tuple((share, float(value)) for share, value in zip(CURVE, curve, strict=True)),
    )


def calibration_floor(
    confidence: Floats, bins: metrics.Reliability, seed: int, draws: int = 200
) -> float:
    """Mean calibration error if every face were right with exactly its confidence."""
    generator = np.random.default_rng(seed)
    inside = np.sort(confidence)  # bins are runs of the sorted confidences
    starts = np.cumsum(bins.size) - bins.size
    errors = [
        np.abs(np.add.reduceat(inside - (generator.random(len(inside)) < inside), starts)).sum()
        for _ in range(draws)
    ]
    return float(np.mean(errors) / len(confidence))
