"""What a reproduction of the paper measured: plain values that a report is made from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from facetell.evaluate.evaluation import Evaluation, Measure
from facetell.evaluate.judged import Judged

__all__ = ["Kind", "Measured", "Reproduction"]

#: fold = the hybrid on one held-out subject, before all are pooled; printed = a setting as printed.
Kind = Literal[
    "hybrid", "fold", "compact", "printed", "ablation", "refit", "deep-emotion", "baseline", "leak"
]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One system on one side of one dataset.

    Attributes:
        dataset: one of the paper's, or the stand-in's name ("toon for ferg").
        system: what was judged, in words.
        kind: what it is there for.
        protocol: how training, validation and judged faces were kept apart.
        side: the judged side.
        seed: of training and split.
        faces: judged faces.
        trained_on: training faces, before oversampling.
        labels: emotions, the order of `confusion`.
        accuracy, balanced_accuracy, macro_f1: 0-1, with the ends of the 95 % interval.
        confusion: counts, rows the label.
        majority: accuracy of always answering the commonest training label, 0-1.
        seconds: wall-clock time to train or fit.
        against: paired comparison with `base` on the same faces, `Comparison.to_dict`.
        base: the system that it was compared with.
        notes: what a reader must know.
    """

    dataset: str
    system: str
    kind: Kind
    protocol: str
    side: str
    seed: int
    faces: int
    trained_on: int
    labels: tuple[str, ...]
    accuracy: Measure
    balanced_accuracy: Measure
    macro_f1: Measure
    confusion: tuple[tuple[int, ...], ...]
    majority: float
    seconds: float
    against: dict[str, Any] | None = None
    base: str | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, judged: Judged, **facts: Any) -> Measured:
        """The measurements behind a model's answers."""
        found = Evaluation.of(judged, seed=judged.split.seed)
        return cls(
            side=found.side,
            faces=found.n,
            trained_on=len(np.unique(judged.split.train.indices)),
            labels=tuple(found.labels),
            accuracy=found.metrics["accuracy"],
            balanced_accuracy=found.metrics["balanced_accuracy"],
            macro_f1=found.metrics["macro_f1"],
            confusion=tuple(tuple(int(n) for n in row) for row in found.confusion),
            majority=found.baseline.accuracy,
            notes=tuple(found.notes),
            **facts,
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Measured:
        """The inverse of `dataclasses.asdict`, also through JSON."""
        named = {
            name: Measure(*values[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1")
        }
        lists = {
            "labels": tuple(values["labels"]),
            "notes": tuple(values["notes"]),
            "confusion": tuple(tuple(row) for row in values["confusion"]),
        }
        return cls(**{**values, **named, **lists})


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """All measurements of one call of `reproduce`.

    Attributes:
        measured: every system on every dataset.
        sources: paper's dataset -> facts about what was read.
        copies: dataset -> near-copies within and across its own sides.
        emotic: `EmoticJudgement.to_dict` of the hybrid's features, where EMOTIC was given.
        quick: trained for a fraction of the time on a part of the faces.
        seed: of everything random.
        seconds: time of all steps, also those of earlier calls that were resumed.
    """

    measured: tuple[Measured, ...]
    sources: dict[str, dict[str, Any]]
    copies: dict[str, dict[str, Any]] = field(default_factory=dict)
    emotic: dict[str, Any] | None = None
    quick: bool = False
    seed: int = 0
    seconds: float = 0.0

    def to_json(self) -> str:
        """Every number and fact as JSON text."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Reproduction:
        """The inverse of `to_json`: a report can be made anew without measuring anew."""
        values = json.loads(text)
        measured = tuple(Measured.from_dict(row) for row in values["measured"])
        return cls(**{**values, "measured": measured})
