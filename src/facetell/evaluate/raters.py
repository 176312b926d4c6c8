"""How well a model foresees what one more rater would say, beside how well raters do.

A label is one opinion. Where many people voted on a face (FER+), the fairer question is whether
the model's answer is the one that another person would give, and how many people's pooled
opinion does as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetell.datasets.ferplus import vote_counts
from facetell.datasets.sample import Dataset
from facetell.evaluate.metrics import Measure, bootstrap_mean
from facetell.labels import FERPLUS, canonical

__all__ = ["LEAST_VOTES", "POOLS", "RaterScore", "rater_score", "votes_for"]

#: A face counts with so many votes for the labels: "unknown" and "not a face" are none.
LEAST_VOTES = 8
#: Raters whose pooled vote is compared with the model.
POOLS = (1, 3, 5, 7)
_DRAWS = 25


@dataclass(frozen=True, kw_only=True)
class RaterScore:
    """Agreement with a rater whose vote was not used.

    Attributes:
        n: faces with enough votes.
        model: share of raters who say what the model says, 0-1.
        pools: number of raters -> share of other raters who say what those say most often.
    """

    n: int
    model: Measure
    pools: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` is its inverse."""
        pools = {str(size): value for size, value in self.pools.items()}
        return {"n": self.n, "model": self.model._asdict(), "pools": pools}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RaterScore:
        """The score that `to_dict` described."""
        pools = {int(size): value for size, value in values["pools"].items()}
        return cls(n=values["n"], model=Measure(**values["model"]), pools=pools)


def votes_for(
    dataset: Dataset, indices: NDArray[np.int64], labels: Sequence[str]
) -> NDArray[np.int64]:
    """(N, K) FER+ votes of these faces for the labels; zeros where nobody voted."""
    index = {canonical(name) or name: column for column, name in enumerate(FERPLUS)}
    columns = [index[name] for name in labels if name in index]
    if len(columns) < len(labels):
        return np.zeros((len(indices), len(labels)), np.int64)
    return vote_counts(dataset, indices)[:, columns]


def rater_score(
    predicted: ArrayLike,
    votes: NDArray[np.int64],
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> RaterScore | None:
    """What the model and pools of raters foresee of one more rater's vote.

    The model never saw the votes, so each of them is a held-out one; a pool is drawn without
    the rater it foresees, its ties are broken at random.

    Args:
        predicted: (N,) the model's labels.
        votes: (N, K) counts.
        groups: (N,) faces with the same value are redrawn together for the interval.
        seed: of the draws.

    Returns:
        The score, or None if no face has 8 votes.

    Example:
        rater_score([0], np.array([[9, 1]])).model.value  # 0.9
    """
    enough = votes.sum(1) >= LEAST_VOTES
    if not enough.any():
        return None
    votes = votes[enough]
    chosen = np.asarray(predicted)[enough]
    shares = votes[np.arange(len(votes)), chosen] / votes.sum(1)
    own = None if groups is None else np.asarray(groups)[enough]
    rng = np.random.default_rng(seed)
    return RaterScore(
        n=len(votes),
        model=bootstrap_mean(shares, groups=own, seed=seed),
        pools={size: _pooled(votes, size, rng) for size in POOLS},
    )


def _pooled(votes: NDArray[np.int64], size: int, rng: np.random.Generator) -> float:
    """How often one rater votes as so many others do, over raters and pools."""
    faces, labels = np.arange(len(votes)), np.arange(votes.shape[1])
    cast = np.full((len(votes), votes.sum(1).max()), -1)
    for row, counts in zip(cast, votes, strict=True):
        row[: counts.sum()] = np.repeat(labels, counts)
    hits = 0.0
    for _ in range(_DRAWS):
        order = np.where(cast < 0, 2.0, rng.random(cast.shape)).argsort(1)
        drawn = np.take_along_axis(cast, order[:, : size + 1], 1)  # the last is the one foreseen
        counts = (drawn[:, :size, None] == labels).sum(1)
        answer = (counts + rng.random(counts.shape) / 2).argmax(1)  # ties at random
        hits += float((answer == drawn[faces, size]).mean())
    return hits / _DRAWS
