"""Average precision of several classes at once, and how sure it is.

Letters: N people, K classes that do not exclude each other, R resamples. Pure numpy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetell.evaluate.metrics import RESAMPLES, mean_of_defined

__all__ = ["average_precision", "average_precisions", "redraws"]

Floats = NDArray[np.float64]


def average_precision(
    truth: NDArray[Any], scores: NDArray[Any], weights: NDArray[Any] | None = None
) -> Floats:
    """Area under the precision-recall steps of one class, not interpolated.

    People of equal score are called together, so their order does not matter. A constant score
    gives the share of the class.

    Args:
        truth: (N,) whether a person belongs to the class.
        scores: (N,) higher for people who belong to it.
        weights: (R, N) how often each person counts; by default once.

    Returns:
        (R,), 0-1; (1,) without weights. nan where nobody belongs to the class.

    >>> average_precision(np.array([1, 0, 1]), np.array([3.0, 2.0, 1.0])).round(3).tolist()
    [0.833]
    """
    weights = np.ones((1, len(truth))) if weights is None else weights
    if not len(truth):
        return np.full(len(weights), np.nan)
    order = np.argsort(-np.asarray(scores), kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of runs of equals
    drawn = weights[:, order]
    called = np.cumsum(drawn, axis=1)[:, ends]
    found = np.cumsum(drawn * truth[order], axis=1)[:, ends]
    gained = np.diff(found, axis=1, prepend=0)
    area = (gained * found / np.maximum(called, 1e-12)).sum(axis=1)
    return np.asarray(area / np.where(found[:, -1] > 0, found[:, -1], np.nan), np.float64)


def average_precisions(
    truth: NDArray[Any],
    scores: NDArray[Any],
    *,
    groups: ArrayLike,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[Floats, Floats]:
    """Average precision of every class, also of redraws of the groups.

    A redraw holds some people several times, who then stand together in the ranking; that alone
    raises the precision of a rare class: random scores for 9 people in 300 get 0.068, their
    redraws 0.080. So the redraws are moved to where their mean is the precision itself.

    Args:
        truth: (N, K).
        scores: (N, K).
        groups: (N,) people with the same value (of one photo) are drawn together.
        seed: the same seed, the same resamples.
        resamples: R.

    Returns:
        (K,) and (R, K), 0-1, nan where nobody belongs to the class.
    """
    columns = range(truth.shape[1])
    value = [average_precision(truth[:, k], scores[:, k])[0] for k in columns]
    drawn = [
        np.stack([average_precision(truth[:, k], scores[:, k], weights) for k in columns], axis=1)
        for weights in redraws(groups, seed=seed, resamples=resamples)
    ]
    return np.array(value, np.float64), _centred(np.concatenate(drawn), np.array(value))


def _centred(drawn: Floats, value: Floats) -> Floats:
    """(R, K) with the mean of each column moved to (K,) `value`, inside 0-1."""
    return np.clip(drawn - mean_of_defined(drawn.T) + value, 0, 1)


def redraws(groups: ArrayLike, *, seed: int, resamples: int) -> Iterator[Floats]:
    """(r, N) how often each person is in each of r redraws of the groups with replacement.

    Yields blocks of a bounded size, together `resamples` rows.
    """
    _, which = np.unique(np.asarray(groups), return_inverse=True)
    units = int(which.max(initial=-1)) + 1
    generator = np.random.default_rng(seed)
    step = max(1, 2_000_000 // max(len(which), 1))  # bounds the weights to 16 MB
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(0, max(units, 1), (rows, units))
        cells = drawn + units * np.arange(rows)[:, None]
        counts = np.bincount(cells.ravel(), minlength=rows * units).reshape(rows, units)
        yield counts[:, which].astype(np.float64)
