"""Numbers that say how well predictions fit labels, and how sure those numbers are.

Pure numpy. Letters: N faces, K classes, R resamples, M additive statistics per face.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetell.errors import InputError

__all__ = [
    "LEVEL",
    "RESAMPLES",
    "McNemar",
    "Measure",
    "PerClass",
    "Reliability",
    "accuracy",
    "balanced_accuracy",
    "bootstrap_mean",
    "bootstrap_sums",
    "brier",
    "brier_per_face",
    "calibration_error",
    "confusion_matrix",
    "macro_f1",
    "mcnemar",
    "mean_of_defined",
    "negative_log_likelihood",
    "nll_per_face",
    "per_class",
    "percentile_interval",
    "reliability",
    "wilson_interval",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Confidence level of every interval.
LEVEL = 0.95
#: Bootstrap resamples; 2,000 hold the ends of a 95 % interval still to about a tenth of its width.
RESAMPLES = 2000
#: Scores below this count as this in the log-likelihood, so that one zero is not infinite.
SMALLEST_SCORE = 1e-12

_Z95 = 1.959963984540054  # 97.5 % point of the normal distribution


class Measure(NamedTuple):
    """A number with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class PerClass(NamedTuple):
    """Quality of each class, all (K,); a ratio without a denominator is nan."""

    recall: Floats
    precision: Floats
    f1: Floats
    support: Ints


class Reliability(NamedTuple):
    """Confidence against accuracy in B bins of (nearly) equal size, lowest confidence first.

    Attributes:
        size: (B,) faces in the bin, at least 1.
        low: (B,) smallest confidence in the bin, 0-1.
        high: (B,) largest confidence in the bin, 0-1.
        confidence: (B,) mean score of the predicted class, 0-1.
        accuracy: (B,) share of right predictions, 0-1.
    """

    size: Ints
    low: Floats
    high: Floats
    confidence: Floats
    accuracy: Floats


class McNemar(NamedTuple):
    """The exact McNemar test of two models on the same faces.

    Attributes:
        only_a: faces that only the first model got right.
        only_b: faces that only the second model got right.
        p_value: two-sided; 1.0 when the models never differ.
    """

    only_a: int
    only_b: int
    p_value: float


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, classes: int) -> Ints:
    """(K, K) counts: row the true class, column the predicted one.

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    cells = np.asarray(labels, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    whole = np.asarray(whole, np.float64)
    filled = np.where(whole > 0, whole, np.nan)
    return np.asarray(part / filled, np.float64)


def mean_of_defined(values: NDArray[Any]) -> Floats:
    """Mean over the last axis without the nans; nan where nothing is left."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(axis=-1), defined.sum(axis=-1))


def accuracy(confusion: NDArray[Any]) -> Floats:
    """Share of right predictions, 0-1, of each (..., K, K) confusion matrix."""
    return _ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def per_class(confusion: NDArray[Any]) -> PerClass:
    """Recall, precision, F1 (0-1) and support of every class, each (..., K)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    support, called = confusion.sum(axis=-1), confusion.sum(axis=-2)
    f1 = _ratio(2 * hits, support + called)
    return PerClass(_ratio(hits, support), _ratio(hits, called), f1, support)


def balanced_accuracy(confusion: NDArray[Any]) -> Floats:
    """Mean recall over the classes that occur, 0-1, of each (..., K, K) confusion matrix.

    Also called unweighted average recall, and "overall accuracy" in some papers' tables.
    """
    return mean_of_defined(per_class(confusion).recall)


def macro_f1(confusion: NDArray[Any]) -> Floats:
    """Mean F1 over the classes that occur as label or as prediction, 0-1."""
    return mean_of_defined(per_class(confusion).f1)


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> Reliability:
    """Confidence against accuracy in equal-mass bins.

    Faces of equal confidence share a bin, so the order of the faces does not matter; with many
    ties there are fewer bins.

    Args:
        confidence: (N,) score of the predicted class, 0-1.
        correct: (N,) whether the prediction was right.
        bins: how many bins to aim for.
    """
    confidence = np.asarray(confidence, np.float64)
    which = _equal_mass_bins(confidence, bins)
    size = np.bincount(which)
    order = np.argsort(confidence, kind="stable")
    last = np.cumsum(size)
    return Reliability(
        size=size,
        low=confidence[order][last - size],
        high=confidence[order][last - 1],
        confidence=np.bincount(which, confidence) / size,
        accuracy=np.bincount(which, np.asarray(correct, np.float64)) / size,
    )


def _equal_mass_bins(confidence: Floats, bins: int) -> Ints:
    """(N,) bin of each face, 0 the least confident; every bin from 0 to the last has a face."""
    if not confidence.size:
        return np.zeros(0, np.int64)
    starts = np.arange(1, bins) * confidence.size // bins
    edges = np.sort(confidence)[starts]
    which = np.searchsorted(edges, confidence, side="right")
    return np.unique(which, return_inverse=True)[1].astype(np.int64)


def calibration_error(bins: Reliability) -> float:
    """Expected calibration error, 0-1: mean distance of confidence and accuracy over the faces.

    It is never below 0, so chance alone makes it positive for a perfectly calibrated model.
    """
    return float(np.average(np.abs(bins.confidence - bins.accuracy), weights=bins.size))


def nll_per_face(scores: NDArray[Any], labels: NDArray[np.int64]) -> Floats:
    """(N,) -ln(score of the true class), nats; scores are held above 1e-12."""
    own = np.asarray(scores, np.float64)[np.arange(len(labels)), labels]
    return -np.log(np.maximum(own, SMALLEST_SCORE))


def negative_log_likelihood(scores: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Mean -ln(score of the true class), nats; 0 is perfect, ln(K) is knowing nothing."""
    return float(nll_per_face(scores, labels).mean())


def brier_per_face(scores: NDArray[Any], labels: NDArray[np.int64]) -> Floats:
    """(N,) squared distance of the score vector from the one-hot label, 0-2."""
    wanted = np.eye(scores.shape[1])[labels]
    return np.asarray(((scores - wanted) ** 2).sum(axis=1), np.float64)


def brier(scores: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Mean squared distance of the score vector from the one-hot label, 0 (perfect) to 2.

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability", eq. 2.
    """
    return float(brier_per_face(scores, labels).mean())


def wilson_interval(hits: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """95 % interval of a share of `hits` in `n`; (0, 1) where n is 0.

    Unlike a bootstrap it has a width when all or none are hits.
    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    hits, n = np.asarray(hits, np.float64), np.asarray(n, np.float64)
    z2 = _Z95**2
    middle = (hits + z2 / 2) / (n + z2)
    spread = _Z95 / (n + z2) * np.sqrt(hits * (1 - hits / np.maximum(n, 1)) + z2 / 4)
    # Rounding may put the ends a hair outside when all or none are hits.
    low, high = np.where(hits > 0, middle - spread, 0), np.where(hits < n, middle + spread, 1)
    return np.asarray(low, np.float64), np.asarray(high, np.float64)


def bootstrap_sums(
    columns: NDArray[Any],
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Floats:
    """Column sums of `resamples` redraws of the faces, with replacement.

    Every metric here is a function of sums over faces, so one call serves them all.

    Args:
        columns: (N, M), additive statistics of each face.
        groups: (N,) any values; faces with the same value are drawn together (a cluster
            bootstrap), which keeps near-copies of one photo from counting as independent.
        seed: the same seed, the same resamples.

    Returns:
        (R, M). With groups of unequal size the number of faces differs between resamples.

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife".
    """
    columns = np.asarray(columns, np.float64)
    if groups is not None:
        which = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
        summed = np.zeros((which.max(initial=-1) + 1, columns.shape[1]))
        np.add.at(summed, which, columns)
        columns = summed
    units = len(columns)
    generator = np.random.default_rng(seed)
    step = max(1, 2_000_000 // max(units, 1))  # bounds the weights to 16 MB
    sums = np.empty((resamples, columns.shape[1]))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(0, units, (rows, units)) + units * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)
        sums[start : start + rows] = weights.astype(np.float64) @ columns
    return sums


def percentile_interval(values: ArrayLike) -> tuple[float, float]:
    """The middle 95 % of resampled values; nans (metrics without a denominator) are left out."""
    defined = np.asarray(values, np.float64)
    defined = defined[~np.isnan(defined)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def bootstrap_mean(
    values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Measure:
    """The mean over faces with its 95 % percentile bootstrap interval.

    Args:
        values: (N,) one number per face: right or wrong, a share of votes, a difference.
        groups: (N,) faces with the same value are drawn together.

    Example:
        >>> mean = bootstrap_mean([1, 0, 1, 1] * 50)
        >>> mean.low < mean.value == 0.75 < mean.high
        True
    """
    values = np.asarray(values, np.float64)
    columns = np.stack([values, np.ones_like(values)], axis=1)
    sums = bootstrap_sums(columns, groups=groups, seed=seed, resamples=resamples)
    return Measure(float(values.mean()), *percentile_interval(sums[:, 0] / sums[:, 1]))


def mcnemar(
    correct_a: ArrayLike, correct_b: ArrayLike, *, groups: ArrayLike | None = None
) -> McNemar:
    """Exact two-sided McNemar test: do two models differ on the same faces?

    Only faces that exactly one model got right count; if the models are equally good, each such
    face is a fair coin. The p value is twice the smaller binomial tail, computed in integers.
    Faces of one group are no independent coins: the models' answers to all of them change places
    together, and the p value is the exact one of that sign-flip test on the groups' sums.

    Args:
        correct_a: (N,) bool, whether the first model was right.
        correct_b: (N,) bool, of the second model, the same faces in the same order.
        groups: (N,) any values, equal for faces that belong together; by default none do.

    Source: McNemar 1947, "Note on the sampling error of the difference between correlated
    proportions"; here with the exact binomial in place of the chi-squared approximation. Flipped
    signs: Fisher 1935, "The Design of Experiments", section 21.

    >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0])
    McNemar(only_a=5, only_b=0, p_value=0.0625)
    >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0], groups=[1, 1, 1, 2, 2, 3])
    McNemar(only_a=5, only_b=0, p_value=0.5)
    """
    a, b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    if a.shape != b.shape:
        raise InputError(
            f"both models must be judged on the same faces, got {a.size} and {b.size} answers. "
            "Judge them on one dataset, protocol and side."
        )
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if groups is None:
        return McNemar(only_a, only_b, _binomial(only_a, only_b))
    which = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    sums = np.bincount(which, a.astype(np.float64) - b).astype(np.int64)
    return McNemar(only_a, only_b, _sign_flip(sums))


def _binomial(heads: int, tails: int) -> float:
    """Two-sided p value of a fair coin's heads and tails."""
    n, term, tail = heads + tails, 1, 0
    for i in range(min(heads, tails) + 1):
        tail += term  # term is the binomial coefficient C(n, i)
        term = term * (n - i) // (i + 1)
    p_value: float = 2 * tail / 2**n
    return min(1.0, p_value)


def _sign_flip(sums: Ints) -> float:
    """How often whole numbers (G,) with signs drawn by chance sum to as much as these, or more."""
    sizes, total = np.abs(sums[sums != 0]), abs(int(sums.sum()))
    if sizes.max(initial=0) <= 1:
        return _binomial(int((sums > 0).sum()), int((sums < 0).sum()))
    chances = np.ones(1)  # of the sums -m, -m + 1, ..., m of what was flipped so far
    for size in np.sort(sizes):
        flipped = np.zeros(len(chances) + 2 * size)
        flipped[: len(chances)] += chances / 2
        flipped[2 * size :] += chances / 2
        chances = flipped
    reached = np.arange(len(chances)) - len(chances) // 2
    p_value: float = chances[np.abs(reached) >= total].sum().item()
    return min(1.0, p_value)
