"""What frozen features tell about EMOTIC, by its own measures and by seven emotions.

EMOTIC's own are the mean average precision over 26 categories and the mean absolute error of
valence, arousal and dominance on their scale from 1 to 10 (Kosti et al. 2017 and 2019). Seven
emotions need a mapping, which covers some of the people only; every number stands beside the
share of people it is about and what knowing nothing scores on them.

Letters: N people, D features, K = 26 categories or 7 emotions, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.sample import Side
from facetell.errors import DataError
from facetell.evaluate import metrics
from facetell.evaluate.emotic_judgement import ClassPrecision, EmoticJudgement, Score, SevenWay
from facetell.evaluate.evaluation import Measure
from facetell.evaluate.metrics import RESAMPLES
from facetell.evaluate.precision import average_precision, average_precisions
from facetell.evaluate.probes import Linear, Scaling, fit_one_vs_rest, fit_ridge
from facetell.labels import EMOTIONS

if TYPE_CHECKING:
    from facetell.datasets.emotic import People
    from facetell.datasets.found_faces import FoundFaces

__all__ = ["DIMENSIONS", "Answers", "judge_answers", "judge_emotic"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
Progress = Callable[[str, float], None]

DIMENSIONS = ("valence", "arousal", "dominance")
#: Tried on validation people; the best is kept, of equals the first (the smoothest).
_CS = (0.0001, 0.001, 0.01, 0.1)
_ALPHAS = (10000.0, 1000.0, 100.0, 10.0)
_SCALE = (1.0, 10.0)
_BATCH = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """Features and truth of N people, and who of them is for what.

    Attributes:
        features: (N, D).
        categories: (N, 26) bool; a row without any is judged by valence and the like alone.
        vad: (N, 3) from 1 to 10; a row with a nan is left out of the errors.
        photos: (N,) equal for people of one photo.
        train, validation, judged: (M,) indices to fit to, to choose by, to judge by.
        emotions: mapping name -> its version and (N, 7) bool.
        has_face: (N,) bool, whose face is visible; None where it is not known.
    """

    features: NDArray[Any]
    categories: Flags
    vad: Floats
    photos: Ints
    train: Ints
    validation: Ints
    judged: Ints
    emotions: dict[str, tuple[int, Flags]] = field(default_factory=dict)
    has_face: Flags | None = None


def judge_emotic(
    features_of: Callable[[NDArray[np.uint8]], NDArray[np.floating]],
    people: People,
    *,
    face_px: int = 48,
    side: Side = "test",
    mappings: Sequence[str] = ("strict", "broad"),
    faces: FoundFaces | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    progress: Progress | None = None,
) -> EmoticJudgement:
    """What linear models read from a network's features about the people of EMOTIC.

    Faces are searched in the body boxes (remembered on disk), and who has none is read from the
    body box. SVMs and regressors are fitted to the training side; how smooth they are is chosen
    on the validation side; the judged side is looked at once.

    Args:
        features_of: (N, S, S) grey uint8 -> (N, D), such as `TorchPredictor.features`.
        people: of `facetell.datasets.emotic.read_people`.
        face_px: S, the side of the faces that `features_of` takes, px.
        side: the judged side.
        mappings: ways to seven emotions, by name.
        faces: where the faces are; by default the packaged detector searches them.
        seed: of the bootstrap behind the intervals.
        resamples: of the bootstrap.
        progress: called with a phase and its share done, 0-1.

    Raises:
        DataError: a side without people.
        MissingExtra: scikit-learn is not installed.

    Example:
        judgement = judge_emotic(load_run("runs/mine").features, read_people("emotic/"))
        print(as_text(judgement))
    """
    from facetell.datasets.emotic.emotions import emotion_table, mapping_of
    from facetell.datasets.found_faces import FoundFaces

    chosen = [mapping_of(name) for name in mappings]
    report = progress or (lambda phase, share: None)
    found = faces or FoundFaces(people.persons)
    found.find(progress=lambda done, total: report("searching faces", done / total))
    answers = Answers(
        features=_features(features_of, found, face_px, report),
        categories=people.categories,
        vad=people.vad,
        photos=people.images,
        train=people.on("train"),
        validation=people.on("validation"),
        judged=people.on(side),
        emotions={m.name: (m.version, emotion_table(people, m)) for m in chosen},
        has_face=np.array([found.face(i) is not None for i in range(len(people))], np.bool_),
    )
    return judge_answers(
        answers, side=side, seed=seed, resamples=resamples, notes=people.notes, progress=progress
    )


def _features(
    features_of: Callable[[NDArray[np.uint8]], NDArray[np.floating]],
    faces: FoundFaces,
    face_px: int,
    report: Progress,
) -> NDArray[np.floating]:
    """(N, D), a few hundred faces at a time."""
    total = len(faces.pictures)
    parts = []
    for start in range(0, total, _BATCH):
        batch = range(start, min(start + _BATCH, total))
        parts.append(np.asarray(features_of(faces.stack(batch, face_px=face_px))))
        report("reading features", batch.stop / total)
    return np.concatenate(parts)


def judge_answers(
    answers: Answers,
    *,
    side: Side = "test",
    seed: int = 0,
    resamples: int = RESAMPLES,
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> EmoticJudgement:
    """`judge_emotic` on arrays.

    Args:
        answers: features and truth.
        side: name of the judged side.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        notes: about the data, to be passed on.
        progress: called with a phase and its share done, 0-1.

    Raises:
        DataError: a side without people who carry a category, or without valence and the like.
    """
    report = progress or (lambda phase, share: None)
    draws = _Draws(seed, resamples)
    labelled: Flags = np.asarray(answers.categories.any(axis=1), np.bool_)
    sides = _Sides.of(answers, labelled, "a category")
    scaled = Scaling.of(answers.features[answers.train]).apply(answers.features)
    report("fitting", 0.0)
    margins, c = _chosen_svms(scaled, answers.categories, sides)
    report("fitting", 0.4)
    errors, alpha = _errors(scaled, answers, draws)
    seven = []
    for number, (name, (version, shown)) in enumerate(answers.emotions.items(), 1):
        seven.append(_seven(scaled, answers, labelled, name, version, shown, draws))
        report("fitting", 0.4 + 0.6 * number / len(answers.emotions))
    precisions, mean = _judged_precisions(answers, answers.categories, margins, sides.judged, draws)
    categories = _named_precisions(_category_names(), *precisions)
    face = answers.has_face
    with_face = None if face is None else sides.judged[face[sides.judged]]
    return EmoticJudgement(
        side=side,
        people=len(answers.judged),
        photos=len(np.unique(answers.photos[answers.judged])),
        faces=0 if face is None else int(face[answers.judged].sum()),
        trained_on=len(answers.train),
        mean_precision=mean,
        with_face=None
        if with_face is None or not len(with_face)
        else _judged_precisions(answers, answers.categories, margins, with_face, draws)[1],
        categories=categories,
        errors=errors,
        seven=tuple(seven),
        c=c,
        alpha=alpha,
        seed=seed,
        resamples=resamples,
        notes=(*_notes(side, categories), *notes),
    )


class _Draws(NamedTuple):
    seed: int
    resamples: int


class _Sides(NamedTuple):
    """The people of each side that something is known of."""

    train: Ints
    validation: Ints
    judged: Ints

    @classmethod
    def of(cls, answers: Answers, known: Flags, what: str) -> _Sides:
        every = (answers.train, answers.validation, answers.judged)
        kept = [side[known[side]] for side in every]
        if not all(map(len, kept)):
            counts = ", ".join(map(str, map(len, kept)))
            raise DataError(
                f"expected people with {what} on the training, the validation and the judged "
                f"side, got {counts}. EMOTIC's own sides are train, val and test: read all of them."
            )
        return cls(*kept)


def _chosen_svms(features: Floats, truth: Flags, sides: _Sides) -> tuple[Floats, float]:
    """Margins (N, K) of the SVMs whose C gives the best mean precision on validation people."""
    fits = [fit_one_vs_rest(features[sides.train], truth[sides.train], c=c) for c in _CS]
    chosen = sides.validation
    quality = [_mean_precision(truth[chosen], fit.apply(features[chosen])) for fit in fits]
    best = int(np.argmax(quality))
    return fits[best].apply(features), _CS[best]


def _mean_precision(truth: Flags, margins: Floats) -> float:
    found = [average_precision(truth[:, k], margins[:, k])[0] for k in range(truth.shape[1])]
    return float(metrics.mean_of_defined(np.array(found)))


def _judged_precisions(
    answers: Answers, truth: Flags, margins: Floats, side: Ints, draws: _Draws
) -> tuple[tuple[Floats, Floats, Flags], Score]:
    """Per-class precisions, their redraws and the truth; and the mean over the classes."""
    own = truth[side]
    found, drawn = average_precisions(
        own, margins[side], groups=answers.photos[side], seed=draws.seed, resamples=draws.resamples
    )
    shares = own.mean(axis=0)
    mean = Score(
        float(metrics.mean_of_defined(found)),
        *metrics.percentile_interval(metrics.mean_of_defined(drawn)),
        baseline=float(metrics.mean_of_defined(np.where(shares > 0, shares, np.nan))),
        people=len(side),
    )
    return (found, drawn, own), mean


def _named_precisions(
    names: Sequence[str], found: Floats, drawn: Floats, truth: Flags
) -> tuple[ClassPrecision, ...]:
    return tuple(
        ClassPrecision(
            name,
            int(truth[:, k].sum()),
            None
            if np.isnan(found[k])
            else Measure(float(found[k]), *metrics.percentile_interval(drawn[:, k])),
            float(truth[:, k].mean()),
        )
        for k, name in enumerate(names)
    )


def _errors(features: Floats, answers: Answers, draws: _Draws) -> tuple[dict[str, Score], float]:
    """Mean absolute errors with those of the training median, and the chosen penalty."""
    known: Flags = np.asarray(~np.isnan(answers.vad).any(axis=1), np.bool_)
    sides = _Sides.of(answers, known, "valence, arousal and dominance")
    values = answers.vad
    fits = [fit_ridge(features[sides.train], values[sides.train], alpha=a) for a in _ALPHAS]
    chosen = [np.abs(_told(fit, features[sides.validation]) - values[sides.validation]).mean()
              for fit in fits]  # fmt: skip
    best = int(np.argmin(chosen))
    truth = values[sides.judged]
    wrong = np.abs(_told(fits[best], features[sides.judged]) - truth)  # (M, 3)
    constant = np.abs(np.median(values[sides.train], axis=0) - truth)
    columns = np.column_stack([wrong, wrong.mean(axis=1)])
    baselines = [*constant.mean(axis=0), constant.mean()]
    sums = metrics.bootstrap_sums(
        np.column_stack([columns, np.ones(len(columns))]),
        groups=answers.photos[sides.judged], seed=draws.seed, resamples=draws.resamples,
    )  # fmt: skip
    drawn = sums[:, :-1] / sums[:, -1:]
    return {
        name: Score(
            float(columns[:, k].mean()),
            *metrics.percentile_interval(drawn[:, k]),
            baseline=float(baselines[k]),
            people=len(columns),
        )
        for k, name in enumerate((*DIMENSIONS, "mean"))
    }, _ALPHAS[best]


def _told(fit: Linear, features: Floats) -> Floats:
    return np.clip(fit.apply(features), *_SCALE)


def _seven(
    features: Floats,
    answers: Answers,
    labelled: Flags,
    mapping: str,
    version: int,
    shown: Flags,
    draws: _Draws,
) -> SevenWay:
    """One mapping: SVMs on all who show an emotion, judged in two ways."""
    groups = shown.sum(axis=1)
    sides = _Sides.of(answers, groups > 0, f"an emotion under the mapping {mapping!r}")
    margins, c = _chosen_svms(features, shown, sides)
    precisions, mean = _judged_precisions(answers, shown, margins, sides.judged, draws)
    alone = _Sides.of(answers, groups == 1, f"one emotion alone under the mapping {mapping!r}")
    truth, called = shown[alone.judged].argmax(axis=1), margins[alone.judged].argmax(axis=1)
    majority = int(shown[alone.train].sum(axis=0).argmax())
    confusion = metrics.confusion_matrix(truth, called, len(EMOTIONS))
    always = metrics.confusion_matrix(truth, np.full(len(truth), majority), len(EMOTIONS))
    cells = np.eye(len(EMOTIONS) ** 2)[truth * len(EMOTIONS) + called]
    sums = metrics.bootstrap_sums(
        cells, groups=answers.photos[alone.judged], seed=draws.seed, resamples=draws.resamples
    ).reshape(-1, len(EMOTIONS), len(EMOTIONS))

    def score(metric: Callable[[NDArray[Any]], Floats]) -> Score:
        interval = metrics.percentile_interval(metric(sums))
        return Score(float(metric(confusion)), *interval, float(metric(always)), len(truth))

    judged = answers.judged[labelled[answers.judged]]
    return SevenWay(
        mapping=mapping,
        version=version,
        people=len(judged),
        none=int((groups[judged] == 0).sum()),
        several=int((groups[judged] > 1).sum()),
        mean_precision=mean,
        emotions=_named_precisions(EMOTIONS, *precisions),
        majority=EMOTIONS[majority],
        macro_f1=score(metrics.macro_f1),
        balanced_accuracy=score(metrics.balanced_accuracy),
        accuracy=score(metrics.accuracy),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        c=c,
    )


def _category_names() -> tuple[str, ...]:
    from facetell.datasets.emotic.categories import CATEGORIES

    return CATEGORIES


def _notes(side: Side, categories: Sequence[ClassPrecision]) -> list[str]:
    absent = [entry.name for entry in categories if entry.precision is None]
    notes = [
        "Training people are labelled by one annotator, the others by the union of several, so "
        "that they carry more categories: shares differ between the sides."
    ]
    if absent:
        notes.append(
            f"Nobody judged carries {', '.join(absent)}: the mean is over the other categories."
        )
    if side == "validation":
        notes.append("Judged on the people that C and the penalty were chosen by.")
    return notes
