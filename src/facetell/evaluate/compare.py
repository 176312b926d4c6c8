"""Two models on the same faces: is the difference more than chance?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from facetell.errors import InputError
from facetell.evaluate import metrics
from facetell.evaluate.evaluation import Measure, clusters
from facetell.evaluate.judged import Judged, may_have_seen

__all__ = ["Comparison", "compare"]

#: Below this p value a difference is called significant.
ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models' accuracies on the same faces.

    Attributes:
        model_a: name of the first model, with "(first)" behind it where both have the same.
        model_b: name of the second model, likewise.
        n: faces.
        accuracy_a: of the first model, 0-1.
        accuracy_b: of the second model, 0-1.
        difference: accuracy_a - accuracy_b with a 95 % interval of the paired difference.
        only_a: faces that only the first model got right.
        only_b: faces that only the second model got right.
        p_value: exact McNemar test, two-sided; groups count as one, as for the interval.
        agreement: share of the faces on which both give the same answer, right or wrong, 0-1.
        clusters: independent groups of faces; None where each face is one.
        seed: of the bootstrap.
        note: why the second model may have been trained on these faces, "" where it was not.
    """

    model_a: str
    model_b: str
    n: int
    accuracy_a: float
    accuracy_b: float
    difference: Measure
    only_a: int
    only_b: int
    p_value: float
    agreement: float
    clusters: int | None = None
    seed: int = 0
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` is its inverse."""
        return {**asdict(self), "difference": self.difference._asdict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Comparison:
        """The comparison that `to_dict` described."""
        return cls(**{**values, "difference": Measure(**values["difference"])})

    def sentence(self) -> str:
        """What the test says, in one sentence for people."""
        points, low, high = (100 * value for value in self.difference)
        better = self.model_a if points > 0 else self.model_b
        p = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.3f}"
        verdict = (
            f"{better} is better beyond chance"
            if self.p_value < ALPHA
            else "not shown to differ; equally good models would be at least this far apart in "
            f"{100 * self.p_value:.0f} % of cases"
        )
        over = "" if self.clusters is None else f" over {self.clusters:,} groups"
        return (
            f"{self.model_a} minus {self.model_b}: {points:+.2f} points of accuracy "
            f"(95 % interval {low:+.2f} to {high:+.2f}); only the first is right on "
            f"{self.only_a} faces, only the second on {self.only_b}; "
            f"exact McNemar{over} {p}: {verdict}."
        )


def compare(a: Judged, b: Judged, *, groups: ArrayLike | None = None, seed: int = 0) -> Comparison:
    """McNemar's test of two models that were judged on the same faces.

    Args:
        groups: as for `evaluate`, for the interval and the test.

    Raises:
        InputError: the faces, their order or their labels differ.
    """
    same = a.ids == b.ids and np.array_equal(a.labels, b.labels)
    if not same or a.dataset.labels != b.dataset.labels:
        raise InputError(
            f"expected two models judged on the same faces, got {len(a)} faces of the "
            f"{a.side} side of {a.dataset.name} and {len(b)} of the {b.side} side of "
            f"{b.dataset.name}. Judge both on one dataset, protocol and side."
        )
    own = clusters(a, groups)
    alike = a.contract.name == b.contract.name
    test = metrics.mcnemar(a.correct, b.correct, groups=own)
    apart = a.correct.astype(np.float64) - b.correct
    return Comparison(
        model_a=a.contract.name + " (first)" * alike,
        model_b=b.contract.name + " (second)" * alike,
        n=len(a),
        accuracy_a=float(a.correct.mean()),
        accuracy_b=float(b.correct.mean()),
        difference=metrics.bootstrap_mean(apart, groups=own, seed=seed),
        only_a=test.only_a,
        only_b=test.only_b,
        p_value=test.p_value,
        agreement=float((a.predicted == b.predicted).mean()),
        clusters=None if own is None else len(np.unique(own)),
        seed=seed,
        note=may_have_seen(b),
    )
