"""Ways to read a clip: what is shown at each of its frames, and what counts as the answer.

The first ones need no more than a still model's scores. A model of sequences is one more way:

    ways = {**WAYS, "LSTM": model_at_the_end(lstm)}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facetell.evaluate.judged import checked_scores, score_columns
from facetell.predictor import Prediction, Predictor, frame_by_frame
from facetell.runtime.steady import Steady

__all__ = ["MEAN", "WAYS", "ClipScores", "Way", "answer", "model_at_the_end", "score_frames"]


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class ClipScores:
    """What a model says about the F frames of one clip; no label is in it.

    Attributes:
        faces: (F, S, S) or (F, S, S, 3) uint8, what the model saw.
        times_s: (F,) ascending, seconds.
        scores: (F, K), rows sum to 1, columns in the order of `labels`.
        margins: (F, K), likewise.
        labels: K emotions.
    """

    faces: NDArray[np.uint8]
    times_s: NDArray[np.float64]
    scores: NDArray[np.float64]
    margins: NDArray[np.float64]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """A way to read a clip.

    Attributes:
        shown: a clip's scores -> (F,) label shown at each frame.
        counts: what is judged: the label at the `end`, the one shown for the `longest`, or
            `every` frame, for a share of the clip.
    """

    shown: Callable[[ClipScores], NDArray[np.int64]]
    counts: Literal["end", "longest", "every"]


def _single(clip: ClipScores) -> NDArray[np.int64]:
    return np.asarray(clip.scores.argmax(axis=1), np.int64)


def _mean(clip: ClipScores) -> NDArray[np.int64]:
    """The label of the mean over the whole clip, which is known only when it is over."""
    return np.full(len(clip.scores), clip.scores.mean(axis=0).argmax(), np.int64)


def _smoothed(average_s: float) -> Callable[[ClipScores], NDArray[np.int64]]:
    """Exponential averages over this time; the frame before counts less the longer ago it was."""

    def shown(clip: ClipScores) -> NDArray[np.int64]:
        average = clip.scores[0]
        labels = [int(average.argmax())]
        for step, scores in zip(np.diff(clip.times_s), clip.scores[1:], strict=True):
            average = average + (1 - math.exp(-step / average_s)) * (scores - average)
            labels.append(int(average.argmax()))
        return np.array(labels, np.int64)

    return shown


def _steady(clip: ClipScores) -> NDArray[np.int64]:
    """What `facetell read` shows."""
    steady = Steady()
    rows = zip(clip.scores, clip.margins, clip.times_s.tolist(), strict=True)
    return np.array([steady.update(*row).label for row in rows], np.int64)


#: The way that the others are compared with.
MEAN = "mean of scores"
#: Ways that need a model's scores and nothing else.
WAYS: dict[str, Way] = {
    "single frames": Way(_single, "every"),
    MEAN: Way(_mean, "end"),
    "smoothed 0.15 s": Way(_smoothed(0.15), "end"),
    "smoothed 1 s": Way(_smoothed(1.0), "end"),
    "steady labels": Way(_steady, "longest"),
}


def model_at_the_end(model: Predictor, *, name: str = "clips") -> Way:
    """What another model shows at each frame, judged by the last one.

    Args:
        model: takes the same faces; one with an LSTM over frames goes from frame to frame.
        name: of the clips, for errors.
    """

    def shown(clip: ClipScores) -> NDArray[np.int64]:
        other = score_frames(model, clip.faces, clip.times_s, clip.labels, name)
        return np.asarray(other.scores.argmax(axis=1), np.int64)

    return Way(shown, "end")


def score_frames(
    model: Predictor,
    faces: NDArray[np.uint8],
    times_s: NDArray[np.float64],
    labels: tuple[str, ...],
    name: str,
) -> ClipScores:
    """A model's scores of the frames of one clip.

    A model with an LSTM over frames sees them one after the other, as in a `Follower`.

    Args:
        model: what is judged.
        faces: (F, S, S) or (F, S, S, 3) uint8, of one person.
        times_s: (F,) seconds.
        labels: the order of the columns.
        name: of the clips, for errors.

    Raises:
        ContractError: the model reads other emotions.
        InputError: its scores are none, or its LSTM cannot be run frame by frame.
    """
    columns = score_columns(model.contract, labels, name)
    parts = list(_predictions(model, faces, times_s))
    scores = np.concatenate([part.scores for part in parts])
    margins = np.concatenate([part.margins for part in parts])
    shape = (len(faces), len(labels))
    return ClipScores(
        faces=faces,
        times_s=times_s,
        scores=checked_scores(scores, shape, model.contract.name)[:, columns],
        margins=margins.astype(np.float64)[:, columns],
        labels=labels,
    )


def _predictions(
    model: Predictor, faces: NDArray[np.uint8], times_s: NDArray[np.float64]
) -> Iterator[Prediction]:
    framewise = frame_by_frame(model)
    if framewise is None:
        yield model.predict(faces)
        return
    memory = None
    for frame, elapsed in enumerate(np.diff(times_s, prepend=times_s[:1])):
        one = faces[frame : frame + 1]
        scored, memory = framewise.predict_next(one, memory, np.array([elapsed]))
        yield scored


def answer(way: Way, shown: NDArray[np.int64], clip: ClipScores) -> NDArray[np.float64]:
    """(K,) the share of each label in what is judged of a clip; sum 1.

    Args:
        way: what counts.
        shown: (F,) label at each frame.
        clip: times and labels are read.
    """
    if way.counts == "every":
        return np.asarray(np.bincount(shown, minlength=len(clip.labels)) / len(shown))
    lasts = np.bincount(shown, _lasts_s(clip.times_s), minlength=len(clip.labels))
    label = shown[-1] if way.counts == "end" else lasts.argmax()
    return np.asarray(np.eye(len(clip.labels))[label])


def _lasts_s(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F,) how long each frame is shown; the last one for as long as the others on average."""
    if len(times_s) == 1:
        return np.ones(1)
    steps = np.diff(times_s)
    return np.append(steps, max(float(steps.mean()), 1e-9))
