"""A model on labelled clips: several ways to read a clip, compared on the same frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facetell.contract import Contract
from facetell.datasets.clipfaces import FRAMES, ClipFaces, CutClips, Cutting
from facetell.datasets.clipfolders import LabelledClip, LabelledClips
from facetell.errors import ContractError, DataError
from facetell.evaluate import metrics
from facetell.evaluate.evaluation import Measure
from facetell.evaluate.judged import score_columns
from facetell.evaluate.table import in_paper_order
from facetell.evaluate.ways import (
    MEAN,
    WAYS,
    Way,
    answer,
    model_at_the_end,
    score_frames,
)  # fmt: skip
from facetell.predictor import Predictor

if TYPE_CHECKING:
    from facetell.faces.detect import Detector

__all__ = ["AgainstMean", "ClipEvaluation", "WayScore", "as_text", "judge_clips", "ways_with"]

Floats = NDArray[np.float64]

_FEW = 10  # subjects, below which an interval is not to be trusted


class AgainstMean(NamedTuple):
    """A way beside the mean of the scores, on the same clips.

    Attributes:
        difference: of the accuracies, with the 95 % interval of the paired difference.
        only_this: clips that only this way reads right; None where it has no one answer.
        only_mean: clips that only the mean reads right, likewise.
        p_value: exact McNemar test, two-sided, likewise; the clips of a person count as one.
    """

    difference: Measure
    only_this: int | None
    only_mean: int | None
    p_value: float | None


@dataclass(frozen=True, kw_only=True)
class WayScore:
    """What one way to read clips scores.

    Attributes:
        accuracy, balanced_accuracy: 0-1; where every frame counts, the mean over clips of the
            share of right frames.
        recall: one per label, 0-1; None where no clip has the label.
        confusion: (K, K), rows the label; a clip counts 1, in shares where every frame counts.
        switches_per_minute: how often the label shown changes.
        against_mean: None for the mean itself, and where it was not among the ways.
    """

    accuracy: Measure
    balanced_accuracy: Measure
    recall: tuple[Measure | None, ...]
    confusion: tuple[tuple[float, ...], ...]
    switches_per_minute: float
    against_mean: AgainstMean | None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> WayScore:
        """The score that `ClipEvaluation.to_dict` described."""
        beside = values["against_mean"]
        if beside is not None:
            beside = AgainstMean(**{**beside, "difference": Measure(**beside["difference"])})
        read = {
            "accuracy": Measure(**values["accuracy"]),
            "balanced_accuracy": Measure(**values["balanced_accuracy"]),
            "recall": tuple(found and Measure(**found) for found in values["recall"]),
            "confusion": tuple(map(tuple, values["confusion"])),
            "against_mean": beside,
        }
        return cls(**{**values, **read})


@dataclass(frozen=True, kw_only=True)
class ClipEvaluation:
    """What a model scores on labelled clips, read in several ways.

    Attributes:
        model: name of the model.
        clips: name of the folder's form.
        side: the judged side, "" for all clips.
        n: clips judged.
        subjects: people in them, the unit that is redrawn for the intervals.
        frames: frames judged.
        labels: K emotions.
        support: clips with each label.
        commonest: the commonest label of these clips, and the accuracy of always giving it.
        ways: name -> scores.
        seed: of the bootstrap.
        notes: what a reader of the numbers must know, one sentence each.
        licence: terms of the data.
    """

    model: str
    clips: str
    side: str
    n: int
    subjects: int
    frames: int
    labels: tuple[str, ...]
    support: tuple[int, ...]
    commonest: tuple[str, float]
    ways: dict[str, WayScore]
    seed: int = 0
    notes: tuple[str, ...] = ()
    licence: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` is its inverse."""
        return {entry.name: _plain(getattr(self, entry.name)) for entry in fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ClipEvaluation:
        """The evaluation that `to_dict` described."""
        read = {
            "labels": tuple(values["labels"]),
            "support": tuple(values["support"]),
            "commonest": tuple(values["commonest"]),
            "ways": {name: WayScore.from_dict(way) for name, way in values["ways"].items()},
            "notes": tuple(values["notes"]),
        }
        return cls(**{**values, **read})


def judge_clips(
    model: Predictor,
    clips: LabelledClips,
    *,
    ways: Mapping[str, Way] = WAYS,
    at_most: int = FRAMES,
    detector: Detector | None = None,
    threads: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ClipEvaluation:
    """What a model scores on labelled clips, read in each of the ways.

    The model sees faces and nothing else. Clips that cannot be read and clips without a face
    are named in the notes.

    Args:
        model: anything with a contract and a `predict` method.
        clips: what is judged; of a model that was trained on the set, `divide(clips).on("test")`.
        ways: name -> way; the others are compared with `MEAN` if it is among them.
        at_most: frames of a clip, see `Cutting`.
        detector, threads: as for `cut_clip`.
        seed: of the bootstrap.
        progress: called with (clips done, clips in all).

    Raises:
        ContractError: the model reads other emotions.
        DataError: not one clip could be judged.

    Example:
        found = judge_clips(load("compact"), open_clips("RAVDESS/"))
        print(as_text(found))
    """
    score_columns(model.contract, clips.labels, clips.name)  # before minutes of work
    cut = CutClips(
        clips.clips,
        Cutting.of(model.contract, at_most=at_most),
        detector=detector,
        threads=threads,
        progress=progress,
    )
    rows = [_row(model, clip, faces, clips, ways) for clip, faces in cut]
    if not rows:
        raise DataError(
            f"expected clips of {clips.name} with a face, got none of {len(clips)} that could be "
            f"judged: {'; '.join(cut.notes)}. Look at one of them with `facetell read`.",
            path=clips.source,
        )
    return _evaluation(model, clips, rows, tuple(ways), seed, cut.notes)


def ways_with(model: Predictor, other: Predictor, *, name: str = "clips") -> dict[str, Way]:
    """The usual ways, and what another model shows at the end of the same frames.

    Args:
        model: the one that is judged.
        other: the other one, for stills or with an LSTM over frames.
        name: of the clips, for errors.

    Raises:
        ContractError: the other model takes other faces, or reads other emotions.
    """
    same = Cutting.of(model.contract) == Cutting.of(other.contract)
    if not same:
        raise ContractError(
            f"expected two models that take the same faces, got {_faces(model.contract)} and "
            f"{_faces(other.contract)}. Judge them one after the other, without --against."
        )
    score_columns(other.contract, model.contract.labels, name)
    return {**WAYS, f"{other.contract.name} at the end": model_at_the_end(other, name=name)}


def _faces(contract: Contract) -> str:
    kind = "grey" if contract.channels == 1 else "RGB"
    turned = "aligned" if contract.align else "not aligned"
    return (
        f"{contract.name} ({kind}, {contract.face_px} px, margin {contract.crop_margin}, {turned})"
    )


class _Row(NamedTuple):
    """One clip: label, who is shown, frames, seconds; by way the answer and the switches."""

    target: int
    subject: str
    frames: int
    seconds: float
    answers: dict[str, Floats]
    switches: dict[str, int]


def _row(
    model: Predictor,
    clip: LabelledClip,
    cut: ClipFaces,
    clips: LabelledClips,
    ways: Mapping[str, Way],
) -> _Row:
    scored = score_frames(model, cut.faces, cut.times_s, clips.labels, clips.name)
    shown = {name: way.shown(scored) for name, way in ways.items()}
    return _Row(
        target=clip.target,
        subject=clip.subject,
        frames=len(cut),
        seconds=float(cut.times_s[-1] - cut.times_s[0]),
        answers={name: answer(ways[name], labels, scored) for name, labels in shown.items()},
        switches={name: int((np.diff(labels) != 0).sum()) for name, labels in shown.items()},
    )


def _evaluation(
    model: Predictor,
    clips: LabelledClips,
    rows: Sequence[_Row],
    ways: Sequence[str],
    seed: int,
    notes: tuple[str, ...],
) -> ClipEvaluation:
    support = np.bincount([row.target for row in rows], minlength=len(clips.labels))
    subjects = len({row.subject for row in rows})
    sides = {clip.side for clip in clips.clips}
    return ClipEvaluation(
        model=model.contract.name,
        clips=clips.name,
        side=sides.pop() if len(sides) == 1 else "",
        n=len(rows),
        subjects=subjects,
        frames=sum(row.frames for row in rows),
        labels=clips.labels,
        support=tuple(support.tolist()),
        commonest=(clips.labels[int(support.argmax())], float(support.max() / len(rows))),
        ways={way: _score(rows, way, seed) for way in ways},
        seed=seed,
        notes=(*_few(subjects), *clips.notes, *notes),
        licence=clips.licence,
    )


def _score(rows: Sequence[_Row], way: str, seed: int) -> WayScore:
    answers = np.stack([row.answers[way] for row in rows])  # (N, K)
    targets = np.array([row.target for row in rows])
    subjects = [row.subject for row in rows]
    classes = answers.shape[1]
    cells = np.eye(classes)[targets][:, :, None] * answers[:, None]  # (N, K, K)
    redrawn = metrics.bootstrap_sums(cells.reshape(len(rows), -1), groups=subjects, seed=seed)
    redrawn = redrawn.reshape(-1, classes, classes)
    confusion = cells.sum(axis=0)
    recall, recalls = metrics.per_class(confusion).recall, metrics.per_class(redrawn).recall
    minutes = sum(row.seconds for row in rows) / 60
    return WayScore(
        accuracy=_measure(metrics.accuracy(confusion), metrics.accuracy(redrawn)),
        balanced_accuracy=_measure(
            metrics.balanced_accuracy(confusion), metrics.balanced_accuracy(redrawn)
        ),
        recall=tuple(
            None if np.isnan(value) else _measure(value, recalls[:, k])
            for k, value in enumerate(recall)
        ),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        switches_per_minute=sum(row.switches[way] for row in rows) / minutes if minutes else 0.0,
        against_mean=_against_mean(rows, way, seed),
    )


def _against_mean(rows: Sequence[_Row], way: str, seed: int) -> AgainstMean | None:
    if way == MEAN or MEAN not in rows[0].answers:
        return None
    this, mean = (np.array([row.answers[name][row.target] for row in rows]) for name in (way, MEAN))
    people = [row.subject for row in rows]
    difference = metrics.bootstrap_mean(this - mean, groups=people, seed=seed)
    if any(row.answers[way].max() < 1 for row in rows):
        return AgainstMean(difference, None, None, None)
    test = metrics.mcnemar(this == 1, mean == 1, groups=people)
    return AgainstMean(difference, test.only_a, test.only_b, test.p_value)


def _measure(value: Any, redrawn: Floats) -> Measure:
    return Measure(float(value), *metrics.percentile_interval(redrawn))


def _few(subjects: int) -> tuple[str, ...]:
    if subjects >= _FEW:
        return ()
    return (
        f"The clips show only {subjects} people: the intervals do not express the differences "
        "between people.",
    )


def _plain(value: Any) -> Any:
    """Values as JSON has them, named numbers by their names."""
    if is_dataclass(value):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def as_text(found: ClipEvaluation) -> str:
    """The ways side by side, how they differ from the mean, and each emotion's recall."""
    return "\n".join(_lines(found))


def _lines(found: ClipEvaluation) -> Iterator[str]:
    label, share = found.commonest
    side = f", {found.side} side" if found.side else ""
    yield f"model  {found.model}"
    yield (
        f"clips  {found.clips}{side}: {found.n:,} clips of {found.subjects:,} people, "
        f"{found.frames:,} frames; always {label!r}: {100 * share:.2f} %"
    )
    wide = max(20, *map(len, found.ways)) + 2
    yield ""
    yield (
        f"{'way to read a clip':<{wide}}{'accuracy':>9}  {'95 % interval':<16}{'balanced':>9}  "
        f"{'95 % interval':<16}{'switches/min':>13}"
    )
    for name, way in found.ways.items():
        accuracy, balanced = _cells(way.accuracy), _cells(way.balanced_accuracy)
        yield f"{name:<{wide}}{accuracy}{balanced}{way.switches_per_minute:>13.1f}"
    yield ""
    yield from (
        _beside(name, way.against_mean) for name, way in found.ways.items() if way.against_mean
    )
    yield ""
    yield from _recalls(found, wide)


def _cells(measure: Measure) -> str:
    value, low, high = (100 * number for number in measure)
    between = f"{low:.2f} to {high:.2f}"
    return f"{value:>9.2f}  {between:<16}"


def _beside(name: str, found: AgainstMean) -> str:
    points, low, high = (100 * number for number in found.difference)
    text = (
        f"{name} minus {MEAN}: {points:+.2f} points of accuracy "
        f"(95 % interval {low:+.2f} to {high:+.2f})"
    )
    if found.p_value is None:
        return f"{text}."
    p = "p < 0.001" if found.p_value < 0.001 else f"p = {found.p_value:.3f}"
    return (
        f"{text}; only this is right on {found.only_this} clips, only the mean on "
        f"{found.only_mean}; exact McNemar {p}."
    )


def _recalls(found: ClipEvaluation, wide: int) -> Iterator[str]:
    order = in_paper_order(found.labels)
    yield f"{'recall, %':<{wide}}" + "".join(f"{found.labels[k]:>10}" for k in order)
    for name, way in found.ways.items():
        recalls = [way.recall[k] for k in order]
        cells = ("-" if recall is None else f"{100 * recall.value:.2f}" for recall in recalls)
        yield f"{name:<{wide}}" + "".join(f"{cell:>10}" for cell in cells)
    yield f"{'clips':<{wide}}" + "".join(f"{found.support[k]:>10,}" for k in order)
