"""Scores of single frames -> steady scores and a label that does not flicker.

The label comes from a hidden Markov model whose states are the emotions (forward algorithm,
Rabiner 1989, section III.A): a person keeps an expression for seconds, each frame's scores are
evidence for one, and a new label must be likelier than not. A clear change passes in a frame or
two, a doubtful one has to last. The scores are an exponential average.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Steady", "SteadyScores"]

# Chosen on clips made from FER2013 faces (benchmarks/steadiness.py, docs/clips.md), read by an
# earlier `compact`: 0.3 s and 0.4 flicker a quarter less, but show one of 61 clear changes more
# than 200 ms late.
_LASTS_S = 0.15  # how long an expression lasts at least, seconds
_INDEPENDENT_S = 0.033  # frames nearer than this share their errors: together they count as one
_SURE = 0.35  # belief that a new label needs
_AVERAGE_S = 0.15  # averaging time of the scores, seconds
_LEAST = 1e-3  # no frame makes an emotion less likely than this


class SteadyScores(NamedTuple):
    """What one person looks like now.

    Attributes:
        scores: (K,), sum 1.
        margins: (K,), averaged alike.
        label: index of the emotion.
    """

    scores: NDArray[np.float64]
    margins: NDArray[np.float64]
    label: int


class Steady:
    """Follows the scores of one person over time.

    Example:
        >>> steady = Steady()
        >>> first = steady.update(np.array([0.9, 0.1]), np.array([1.0, -1.0]), 0.0)
        >>> glitch = steady.update(np.array([0.4, 0.6]), np.array([-1.0, 1.0]), 0.04)
        >>> first.label, glitch.label
        (0, 0)
    """

    def __init__(self) -> None:
        self._time_s: float | None = None
        self._belief = np.empty(0)
        self._now: SteadyScores | None = None

    def update(
        self, scores: NDArray[np.floating], margins: NDArray[np.floating], time_s: float
    ) -> SteadyScores:
        """The steady scores at a frame.

        Args:
            scores: (K,) of the frame, sum 1.
            margins: (K,) of the frame.
            time_s: the frame's time; not before the last one's.
        """
        at = SteadyScores(
            np.asarray(scores, np.float64), np.asarray(margins, np.float64), int(scores.argmax())
        )
        if self._now is None or self._time_s is None:
            self._belief, self._now = at.scores / at.scores.sum(), at
        else:
            step = max(0.0, time_s - self._time_s)
            weight = min(1.0, step / _INDEPENDENT_S)
            self._belief = _weighed(_forgotten(self._belief, step), at.scores, weight)
            self._now = _averaged(self._now, at, step, _label(self._now, self._belief))
        self._time_s = time_s
        return self._now


def _forgotten(belief: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """What was believed, after the chance that the expression changed meanwhile."""
    change = 1 - math.exp(-step / _LASTS_S)
    return np.asarray((1 - change) * belief + change / len(belief))


def _weighed(
    belief: NDArray[np.float64], scores: NDArray[np.float64], weight: float
) -> NDArray[np.float64]:
    """Bayes' rule, with the frame's scores as likelihoods, taken to the power of its weight."""
    product = belief * np.maximum(scores, _LEAST) ** weight
    return np.asarray(product / product.sum())


def _label(now: SteadyScores, belief: NDArray[np.float64]) -> int:
    best = int(belief.argmax())
    return best if belief[best] >= _SURE else now.label


def _averaged(before: SteadyScores, at: SteadyScores, step: float, label: int) -> SteadyScores:
    share = 1 - math.exp(-step / _AVERAGE_S)
    return SteadyScores(
        before.scores + share * (at.scores - before.scores),
        before.margins + share * (at.margins - before.margins),
        label,
    )
