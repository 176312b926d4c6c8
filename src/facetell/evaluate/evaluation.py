"""Evaluation: every number about a model on one dataset, with what is needed to believe it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetell.contract import Contract
from facetell.datasets.sample import Dataset, Side
from facetell.evaluate import metrics
from facetell.evaluate.judged import Judged, judge, may_have_seen
from facetell.evaluate.metrics import RESAMPLES, Measure
from facetell.evaluate.raters import RaterScore, rater_score, votes_for
from facetell.evaluate.sureness import Sureness, calibration_floor, sureness_of
from facetell.predictor import Predictor

if TYPE_CHECKING:
    from facetell.datasets.splits import Split

__all__ = [
    "METRICS", "Baseline", "Bin", "ClassScore", "Evaluation", "Measure", "Redrawn",
    "class_dict", "class_score", "evaluate", "redraw",
]  # fmt: skip

#: Keys of `Evaluation.metrics`, in the order in which they are shown.
METRICS = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "calibration_error",
    "negative_log_likelihood",
    "brier",
)
BINS = 15
#: Fewer groups than this cannot be redrawn in a way that tells anything.
FEWEST_GROUPS = 20

#: What the report and the JSON repeat of the model's contract.
CONTRACT_FACTS = (
    "architecture",
    "recipe",
    "sequence",
    "memory",
    "face_px",
    "channels",
    "flip",
    "score_scale",
    "parameters",
    "multiply_adds",
    "protocol",
    "training",
    "licence",
)


class ClassScore(NamedTuple):
    """How one emotion is read; None where there is nothing to divide by.

    Attributes:
        label: the emotion.
        support: faces that are labelled with it.
        predicted: faces that were called by it.
        recall: share of the labelled faces that were found, 0-1 (Wilson interval).
        precision: share of the called faces that are labelled so, 0-1 (Wilson interval).
        f1: harmonic mean of both, 0-1 (bootstrap interval).
    """

    label: str
    support: int
    predicted: int
    recall: Measure | None
    precision: Measure | None
    f1: Measure | None


class Bin(NamedTuple):
    """One bin of the reliability diagram: faces of similar confidence.

    Attributes:
        size: faces in the bin.
        low: smallest confidence in it, 0-1.
        high: largest confidence in it, 0-1.
        confidence: mean confidence, 0-1.
        accuracy: share of right predictions with its Wilson interval, 0-1.
    """

    size: int
    low: float
    high: float
    confidence: float
    accuracy: Measure


class Baseline(NamedTuple):
    """What always answering the commonest training label scores on the same faces."""

    label: str
    accuracy: float
    balanced_accuracy: float
    macro_f1: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model scores on labelled faces.

    Attributes:
        model: name of the model.
        dataset: name of the dataset.
        protocol: how training, validation and test faces were kept apart.
        side: the judged side, `validation` or `test`.
        n: faces judged.
        labels: K emotions, the order of `confusion`.
        metrics: the keys of METRICS, each with its 95 % interval. Accuracies and F1 0-1,
            calibration error 0-1, log-likelihood in nats, Brier 0-2.
        per_class: one entry per label.
        confusion: (K, K) counts, rows the true label.
        reliability: the bins that the calibration error is computed from.
        calibration_floor: the calibration error that a perfectly calibrated model with these
            scores would show by chance, 0-1.
        baseline: the majority class.
        sureness: how far scores, sets and silence can be trusted: as the model ships, if it is
            calibrated for it, and cross-fitted, if there are 200 faces or more.
        raters: agreement with a rater, where eight or more voted on a face.
        removed: faces of the dataset that the protocol put on no side.
        data: fingerprint of the dataset.
        split: the protocol's own description of the sides.
        contract: facts from the model's contract.
        clusters: independent groups that were redrawn for the intervals (n without groups).
        seed: of the bootstrap.
        resamples: of the bootstrap.
        notes: what a reader of the numbers must know, one sentence each.
    """

    model: str
    dataset: str
    protocol: str
    side: Side
    n: int
    labels: tuple[str, ...]
    metrics: dict[str, Measure]
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[Bin, ...]
    calibration_floor: float
    baseline: Baseline
    sureness: tuple[Sureness, ...] = ()
    raters: RaterScore | None = None
    removed: int = 0
    data: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=dict)
    contract: dict[str, Any] = field(default_factory=dict)
    clusters: int = 0
    seed: int = 0
    resamples: int = RESAMPLES
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` is its inverse."""
        return {
            **asdict(self),
            "labels": list(self.labels),
            "metrics": {name: value._asdict() for name, value in self.metrics.items()},
            "per_class": [class_dict(score) for score in self.per_class],
            "confusion": [list(row) for row in self.confusion],
            "reliability": [
                {**row._asdict(), "accuracy": row.accuracy._asdict()} for row in self.reliability
            ],
            "baseline": self.baseline._asdict(),
            "sureness": [found.to_dict() for found in self.sureness],
            "raters": self.raters.to_dict() if self.raters else None,
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Evaluation:
        """The evaluation that `to_dict` described."""
        read = {
            "labels": tuple(values["labels"]),
            "metrics": {name: Measure(**value) for name, value in values["metrics"].items()},
            "per_class": tuple(class_score(score) for score in values["per_class"]),
            "confusion": tuple(tuple(row) for row in values["confusion"]),
            "reliability": tuple(
                Bin(**{**row, "accuracy": Measure(**row["accuracy"])})
                for row in values["reliability"]
            ),
            "baseline": Baseline(**values["baseline"]),
            "sureness": tuple(Sureness.from_dict(found) for found in values.get("sureness", ())),
            "raters": RaterScore.from_dict(raters) if (raters := values.get("raters")) else None,
            "notes": tuple(values["notes"]),
        }
        return cls(**{**values, **read})

    @classmethod
    def of(cls, judged: Judged, *, groups: ArrayLike | None = None, seed: int = 0) -> Evaluation:
        """The evaluation of answers that are there already; arguments as for `evaluate`."""
        dataset, split, n = judged.dataset, judged.split, len(judged)
        confusion = metrics.confusion_matrix(judged.labels, judged.predicted, len(dataset.labels))
        bins = metrics.reliability(judged.confidence, judged.correct, BINS)
        own, data = clusters(judged, groups), _fingerprint(dataset)
        draws = _redraw(judged, bins, own, seed)
        return cls(
            model=judged.contract.name,
            dataset=dataset.name,
            protocol=split.protocol,
            side=judged.side,
            n=n,
            labels=dataset.labels,
            metrics=_measures(judged, confusion, bins, draws),
            per_class=_per_class(dataset.labels, confusion, draws),
            confusion=tuple(tuple(int(count) for count in row) for row in confusion),
            reliability=_bins(bins),
            calibration_floor=calibration_floor(judged.confidence, bins, seed),
            baseline=_baseline(judged),
            sureness=sureness_of(judged, seed=seed),
            raters=rater_score(
                judged.predicted,
                votes_for(dataset, judged.indices, dataset.labels),
                groups=own,
                seed=seed,
            ),
            removed=split.removed,
            data=data,
            split=dict(split.describe()),
            contract=_facts(judged.contract),
            clusters=n if own is None else len(np.unique(own)),
            seed=seed,
            notes=(
                *_notes(judged, confusion, clustered=own is not None),
                *dataset.notes,
                *data.get("remarks", ()),
            ),
        )


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    split: Split,
    *,
    side: Side | None = None,
    seed: int = 0,
    groups: ArrayLike | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Judge a model on one side of a split.

    Args:
        predictor: anything with a contract and a `predict` method.
        side: `validation` or `test`; by default test if it has faces, else validation.
        seed: of the bootstrap behind the intervals.
        groups: one value per sample of the dataset; samples with the same value (near-copies of
            one photo, faces of one person) are redrawn together. By default the groups that
            the split was made with, if any.
        progress: called with (faces done, faces in all) after every batch.

    Example:
        evaluation = evaluate(load("model.onnx"), dataset, split(dataset, "official"))
        print(evaluation.metrics["accuracy"])
    """
    judged = judge(predictor, dataset, split, side=side, progress=progress)
    return Evaluation.of(judged, groups=groups, seed=seed)


def class_dict(score: ClassScore) -> dict[str, Any]:
    """JSON-ready; `class_score` is its inverse."""
    measures = {name: getattr(score, name) for name in ("recall", "precision", "f1")}
    return {
        **score._asdict(),
        **{name: m and m._asdict() for name, m in measures.items()},
    }


def class_score(values: dict[str, Any]) -> ClassScore:
    """The score that `class_dict` described."""
    measures = {name: values[name] for name in ("recall", "precision", "f1")}
    return ClassScore(**{**values, **{name: m and Measure(**m) for name, m in measures.items()}})


def clusters(judged: Judged, groups: ArrayLike | None) -> NDArray[Any] | None:
    """(N,) groups of the judged faces, None where there are none or too few to redraw."""
    chosen = judged.split.groups if groups is None else np.asarray(groups)
    own = None if chosen is None else chosen[judged.indices]
    return None if own is None or len(np.unique(own)) < FEWEST_GROUPS else own


class _Draws(NamedTuple):
    """Resampled sums, first axis R = resamples."""

    confusion: NDArray[np.float64]  # (R, K, K)
    gaps: NDArray[np.float64]  # (R, B): confidence minus correct, summed in each bin
    losses: NDArray[np.float64]  # (R, 2): log-likelihood and Brier, summed


def _redraw(
    judged: Judged, bins: metrics.Reliability, groups: NDArray[Any] | None, seed: int
) -> _Draws:
    classes = len(judged.dataset.labels)
    columns = np.concatenate([count_columns(judged, bins), _losses(judged)], axis=1)
    sums = metrics.bootstrap_sums(columns, groups=groups, seed=seed)
    at = classes**2
    confusion = sums[:, :at].reshape(-1, classes, classes)
    return _Draws(confusion, sums[:, at:-2], sums[:, -2:])


def count_columns(judged: Judged, bins: metrics.Reliability) -> NDArray[np.float64]:
    """(N, K * K + B): cell of the confusion matrix, and confidence minus correct by bin."""
    classes = len(judged.dataset.labels)
    cells = np.eye(classes**2)[judged.labels * classes + judged.predicted]
    which = np.searchsorted(bins.low, judged.confidence, side="right") - 1
    gaps = np.eye(len(bins.low))[which] * (judged.confidence - judged.correct)[:, None]
    return np.concatenate([cells, gaps], axis=1)


def _losses(judged: Judged) -> NDArray[np.float64]:
    nll = metrics.nll_per_face(judged.scores, judged.labels)
    return np.stack([nll, metrics.brier_per_face(judged.scores, judged.labels)], axis=1)


class Redrawn(NamedTuple):
    """A metric's value, and its values in resamples."""

    value: float
    draws: NDArray[np.float64]  # (R,); nan where there is nothing to divide by

    def measure(self) -> Measure:
        """The value with its interval."""
        return Measure(self.value, *metrics.percentile_interval(self.draws))


def redraw(
    judged: Judged, *, seed: int = 0
) -> tuple[dict[str, Redrawn], tuple[ClassScore, ...], NDArray[np.float64]]:
    """The metrics of METRICS with their resamples, every class, and recalls (R, K) in resamples."""
    confusion = metrics.confusion_matrix(
        judged.labels, judged.predicted, len(judged.dataset.labels)
    )
    bins = metrics.reliability(judged.confidence, judged.correct, BINS)
    draws = _redraw(judged, bins, clusters(judged, None), seed)
    classes = _per_class(judged.dataset.labels, confusion, draws)
    recalls = metrics.per_class(draws.confusion).recall
    return _redrawn(judged, confusion, bins, draws), classes, recalls


def _measures(
    judged: Judged, confusion: NDArray[np.int64], bins: metrics.Reliability, draws: _Draws
) -> dict[str, Measure]:
    found = _redrawn(judged, confusion, bins, draws)
    return {name: redrawn.measure() for name, redrawn in found.items()}


def _redrawn(
    judged: Judged, confusion: NDArray[np.int64], bins: metrics.Reliability, draws: _Draws
) -> dict[str, Redrawn]:
    faces = draws.confusion.sum(axis=(1, 2))  # (R,), differs between resamples of groups
    losses = draws.losses / faces[:, None]
    mean_losses = _losses(judged).mean(axis=0)
    found: dict[str, tuple[Any, NDArray[np.float64]]] = {
        name: (metric(confusion), metric(draws.confusion))
        for name, metric in (
            ("accuracy", metrics.accuracy),
            ("balanced_accuracy", metrics.balanced_accuracy),
            ("macro_f1", metrics.macro_f1),
        )
    }
    error = metrics.calibration_error(bins)
    errors = np.abs(draws.gaps).sum(axis=1) / faces
    # Redrawing adds noise, and the calibration error counts noise as error: without the shift
    # the interval of a well calibrated model lies above its own estimate.
    found["calibration_error"] = (error, np.maximum(errors - errors.mean() + error, 0))
    found["negative_log_likelihood"] = (mean_losses[0], losses[:, 0])
    found["brier"] = (mean_losses[1], losses[:, 1])
    return {name: Redrawn(float(value), drawn) for name, (value, drawn) in found.items()}


def _per_class(
    labels: tuple[str, ...], confusion: NDArray[np.int64], draws: _Draws
) -> tuple[ClassScore, ...]:
    support, called = confusion.sum(axis=1), confusion.sum(axis=0)
    hits = np.diagonal(confusion)
    f1, resampled = metrics.per_class(confusion).f1, metrics.per_class(draws.confusion).f1
    return tuple(
        ClassScore(
            label=label,
            support=int(support[k]),
            predicted=int(called[k]),
            recall=_share(hits[k], support[k]),
            precision=_share(hits[k], called[k]),
            f1=_measure(f1[k], metrics.percentile_interval(resampled[:, k])),
        )
        for k, label in enumerate(labels)
    )


def _share(hits: Any, n: Any) -> Measure | None:
    if n == 0:
        return None
    low, high = metrics.wilson_interval(hits, n)
    return Measure(float(hits / n), float(low), float(high))


def _measure(value: Any, interval: tuple[float, float]) -> Measure | None:
    return None if np.isnan(value) else Measure(float(value), *interval)


def _bins(bins: metrics.Reliability) -> tuple[Bin, ...]:
    low, high = metrics.wilson_interval(bins.accuracy * bins.size, bins.size)
    return tuple(
        Bin(
            size=int(bins.size[b]),
            low=float(bins.low[b]),
            high=float(bins.high[b]),
            confidence=float(bins.confidence[b]),
            accuracy=Measure(float(bins.accuracy[b]), float(low[b]), float(high[b])),
        )
        for b in range(len(bins.size))
    )


def _baseline(judged: Judged) -> Baseline:
    labels, classes = judged.dataset.labels, len(judged.dataset.labels)
    train = np.asarray(judged.split.train.indices, np.int64)
    counted = judged.dataset.targets[train] if train.size else judged.labels
    commonest = int(np.bincount(counted, minlength=classes).argmax())
    always = np.full(len(judged), commonest)
    confusion = metrics.confusion_matrix(judged.labels, always, classes)
    return Baseline(
        label=labels[commonest],
        accuracy=float(metrics.accuracy(confusion)),
        balanced_accuracy=float(metrics.balanced_accuracy(confusion)),
        macro_f1=float(metrics.macro_f1(confusion)),
    )


def _fingerprint(dataset: Dataset) -> dict[str, Any]:
    from facetell.datasets.fingerprint import fingerprint

    return dict(fingerprint(dataset))


def _facts(contract: Contract) -> dict[str, Any]:
    written = json.loads(contract.to_json())
    return {name: written[name] for name in CONTRACT_FACTS}


def _notes(judged: Judged, confusion: NDArray[np.int64], *, clustered: bool) -> tuple[str, ...]:
    support = confusion.sum(axis=1)
    missing = [name for name, n in zip(judged.dataset.labels, support, strict=True) if n == 0]
    rare = [
        f"{name} ({n})"
        for name, n in zip(judged.dataset.labels, support, strict=True)
        if 0 < n < 50
    ]
    notes = []
    if judged.side == "validation":
        notes.append(
            "Judged on the validation side: if the model's checkpoint and calibration were chosen "
            "on these faces, the numbers flatter it."
        )
    if seen := may_have_seen(judged):
        notes.append(seen)
    if judged.split.groups is not None and not clustered:
        groups = len(np.unique(judged.split.groups[judged.indices]))
        notes.append(
            f"The judged faces come from only {groups} people or groups of near-copies: the "
            "intervals do not express the differences between them."
        )
    if missing:
        notes.append(
            f"No face is labelled {', '.join(missing)}: balanced accuracy is the mean over the "
            "other classes."
        )
    if rare:
        notes.append(f"Few faces, so wide intervals: {', '.join(rare)}.")
    return tuple(notes)
