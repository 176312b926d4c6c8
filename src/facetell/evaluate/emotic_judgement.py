"""Every number about features on EMOTIC, as values, JSON and plain text.

A number never stands alone: beside it are the people it is about and what knowing nothing
scores on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from facetell.datasets.sample import Side
from facetell.evaluate.evaluation import Measure
from facetell.evaluate.metrics import RESAMPLES

__all__ = ["ClassPrecision", "EmoticJudgement", "Score", "SevenWay", "as_text"]


class Score(NamedTuple):
    """A number beside what knowing nothing scores.

    Attributes:
        value: the number.
        low, high: the ends of its 95 % interval, photos redrawn.
        baseline: of a constant answer: the share of the class for average precision, the
            median of training for errors, the commonest training emotion for seven classes.
        people: how many it is about.
    """

    value: float
    low: float
    high: float
    baseline: float
    people: int


class ClassPrecision(NamedTuple):
    """One category or emotion.

    Attributes:
        name: of it.
        positives: judged people who carry it.
        precision: average precision, 0-1; None if nobody carries it.
        baseline: the share of people who carry it, which a constant score gets.
    """

    name: str
    positives: int
    precision: Measure | None
    baseline: float


@dataclass(frozen=True, kw_only=True)
class SevenWay:
    """The seven basic emotions under one mapping.

    Attributes:
        mapping: name of the mapping.
        version: of the mapping.
        people: judged people who carry a category.
        none: of them, those who show none of the seven.
        several: of them, those who show more than one.
        mean_precision: mean over the emotions, 0-1, among all who show at least one.
        emotions: one entry per emotion, in the order of `facetell.labels.EMOTIONS`.
        majority: the commonest emotion among training people who show one alone.
        macro_f1, balanced_accuracy, accuracy: 0-1, among people who show one alone.
        confusion: (7, 7) counts among them, rows the label.
        c: the SVMs' C, chosen on validation people.
    """

    mapping: str
    version: int
    people: int
    none: int
    several: int
    mean_precision: Score
    emotions: tuple[ClassPrecision, ...]
    majority: str
    macro_f1: Score
    balanced_accuracy: Score
    accuracy: Score
    confusion: tuple[tuple[int, ...], ...]
    c: float

    @property
    def coverage(self) -> float:
        """Share of the people who show at least one of the seven, 0-1."""
        return 1 - self.none / max(self.people, 1)

    @property
    def single(self) -> int:
        """People who show one emotion alone."""
        return self.people - self.none - self.several


@dataclass(frozen=True, kw_only=True)
class EmoticJudgement:
    """Every number about features on EMOTIC.

    Attributes:
        side: the judged side.
        people: people on it.
        photos: photos they are in; these are redrawn for the intervals.
        faces: judged people with a visible face; the others were read from the body box.
        trained_on: training people.
        mean_precision: mean over the categories that occur, 0-1.
        with_face: the same among people with a visible face; None if it is not known who has.
        categories: one entry for each of the 26.
        errors: mean absolute error of valence, arousal, dominance and their mean, 1-10 scale.
        seven: one entry per mapping.
        c: the SVMs' C, chosen on validation people.
        alpha: the regressors' penalty, chosen on validation people.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        notes: what a reader of the numbers must know, one sentence each.
    """

    side: Side
    people: int
    photos: int
    faces: int
    trained_on: int
    mean_precision: Score
    with_face: Score | None
    categories: tuple[ClassPrecision, ...]
    errors: dict[str, Score]
    seven: tuple[SevenWay, ...]
    c: float
    alpha: float
    seed: int = 0
    resamples: int = RESAMPLES
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` is its inverse."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> EmoticJudgement:
        """The judgement that `to_dict` described."""
        with_face = values["with_face"]
        read = {
            "mean_precision": Score(*values["mean_precision"]),
            "with_face": None if with_face is None else Score(*with_face),
            "categories": _precisions(values["categories"]),
            "errors": {name: Score(*value) for name, value in values["errors"].items()},
            "seven": tuple(_seven_way(value) for value in values["seven"]),
            "notes": tuple(values["notes"]),
        }
        return cls(**{**values, **read})


def _plain(value: Any) -> Any:
    """Tuples as lists, at any depth, as JSON has them."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _precisions(values: list[list[Any]]) -> tuple[ClassPrecision, ...]:
    return tuple(
        ClassPrecision(name, positives, found and Measure(*found), baseline)
        for name, positives, found, baseline in values
    )


def _seven_way(values: dict[str, Any]) -> SevenWay:
    scores = ("mean_precision", "macro_f1", "balanced_accuracy", "accuracy")
    read = {
        **{name: Score(*values[name]) for name in scores},
        "emotions": _precisions(values["emotions"]),
        "confusion": tuple(tuple(row) for row in values["confusion"]),
    }
    return SevenWay(**{**values, **read})


def as_text(judgement: EmoticJudgement) -> str:
    """The judgement for a terminal: EMOTIC's own measures, then the seven emotions.

    Average precisions and shares are in percent, errors on the scale from 1 to 10.
    """
    return "\n".join(_lines(judgement))


def _lines(found: EmoticJudgement) -> Iterator[str]:
    yield (
        f"EMOTIC, {found.side} side: {found.people:,} people in {found.photos:,} photos, "
        f"{found.faces:,} with a visible face; fitted to {found.trained_on:,} people"
    )
    yield ""
    yield f"{'':30}{'value':>8}  {'95 % interval':<16}{'constant':>8}{'people':>9}"
    yield _line("mAP, 26 categories", found.mean_precision)
    if found.with_face is not None:
        yield _line("  with a visible face", found.with_face)
    for name, score in found.errors.items():
        yield _line(f"error of {name} (1 to 10)", score, scale=1, digits=3)
    for seven in found.seven:
        yield ""
        yield from _seven_lines(seven)
    yield ""
    yield f"{'category':<18}{'AP':>8}  {'95 % interval':<16}{'share':>8}{'people':>9}"
    yield from map(_precision_line, found.categories)
    yield from (f"note: {note}" for note in found.notes)


def _seven_lines(seven: SevenWay) -> Iterator[str]:
    share = 100 / max(seven.people, 1)
    yield (
        f"mapping {seven.mapping} {seven.version}: of {seven.people:,} people "
        f"{share * seven.single:.1f} % show one emotion alone, {share * seven.several:.1f} % "
        f"several, {share * seven.none:.1f} % none; the commonest is {seven.majority!r}"
    )
    yield _line("mAP, 7 emotions, one or more", seven.mean_precision)
    yield _line("macro F1, one alone", seven.macro_f1)
    yield _line("balanced accuracy, one alone", seven.balanced_accuracy)
    yield _line("accuracy, one alone", seven.accuracy)
    yield from map(_precision_line, seven.emotions)


def _line(name: str, score: Score, *, scale: float = 100, digits: int = 2) -> str:
    value, low, high, baseline = (f"{scale * number:.{digits}f}" for number in score[:4])
    return f"{name:<30}{value:>8}  {f'{low} to {high}':<16}{baseline:>8}{score.people:>9,}"


def _precision_line(entry: ClassPrecision) -> str:
    share = f"{100 * entry.baseline:.2f}"
    if entry.precision is None:
        return f"{entry.name:<18}{'-':>8}  {'':<16}{share:>8}{entry.positives:>9,}"
    value, low, high = (f"{100 * number:.2f}" for number in entry.precision)
    between = f"{low} to {high}"
    return f"{entry.name:<18}{value:>8}  {between:<16}{share:>8}{entry.positives:>9,}"
