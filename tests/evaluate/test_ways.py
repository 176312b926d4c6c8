"""Ways to read a clip, on scores that are written down."""

from __future__ import annotations

import numpy as np
import pytest

from facetell.contract import Contract
from facetell.errors import ContractError, InputError
from facetell.evaluate.ways import (
    MEAN,
    WAYS,
    ClipScores,
    Way,
    answer,
    model_at_the_end,
    score_frames,
)
from facetell.predictor import Prediction
from facetell.runtime.steady import Steady

LABELS = ("sad", "happy", "neutral")


def clip_of(labels, *, sure=0.8, times=None, faces=None):
    """A clip whose frames are sure of these labels."""
    scores = np.full((len(labels), 3), (1 - sure) / 2)
    scores[np.arange(len(labels)), labels] = sure
    times = np.arange(len(labels)) / 25 if times is None else np.array(times, float)
    faces = np.zeros((len(labels), 8, 8), np.uint8) if faces is None else faces
    return ClipScores(
        faces=faces, times_s=times, scores=scores, margins=np.log(scores), labels=LABELS
    )


def answers(clip):
    return {name: answer(way, way.shown(clip), clip).tolist() for name, way in WAYS.items()}


@pytest.mark.parametrize("frames", [1, 2, 50])
def test_all_ways_agree_on_a_clip_that_does_not_change(frames):
    assert set(map(tuple, answers(clip_of([1] * frames)).values())) == {(0, 1, 0)}


def test_each_way_reads_a_clip_that_changes_in_its_own_manner():
    read = answers(clip_of([1] * 30 + [0] * 12 + [2] * 8))
    assert read["single frames"] == pytest.approx([12 / 50, 30 / 50, 8 / 50])
    assert read[MEAN] == [0, 1, 0]
    assert read["smoothed 0.15 s"] == [0, 0, 1]
    assert read["smoothed 1 s"] == [0, 1, 0]
    assert read["steady labels"] == [0, 1, 0]


def test_the_mean_is_shown_at_every_frame_and_counts_how_sure_frames_are():
    clip = clip_of([0, 0, 1], sure=0.8)
    clip.scores[:2] = (0.4, 0.35, 0.25)
    assert WAYS[MEAN].shown(clip).tolist() == [1, 1, 1]


def test_smoothing_goes_by_time_and_not_by_frames():
    quick = clip_of([0] * 20 + [1] * 3, times=np.arange(23) / 100)
    slow = clip_of([0] * 20 + [1] * 3, times=np.arange(23) / 5)
    assert WAYS["smoothed 0.15 s"].shown(quick)[-1] == 0
    assert WAYS["smoothed 0.15 s"].shown(slow)[-1] == 1


def test_steady_labels_are_those_of_a_follower():
    rng = np.random.default_rng(3)
    clip = clip_of(rng.integers(0, 3, 60), sure=0.5)
    steady = Steady()
    rows = zip(clip.scores, clip.margins, clip.times_s, strict=True)
    assert WAYS["steady labels"].shown(clip).tolist() == [steady.update(*row).label for row in rows]


def test_the_longest_shown_counts_by_time():
    way = Way(lambda clip: np.array([0, 1, 1]), "longest")
    for times, expected in (((0, 0.1, 0.2), 1), ((0, 3.0, 3.1), 0)):
        clip = clip_of([0, 1, 1], times=times)
        assert answer(way, way.shown(clip), clip).argmax() == expected


class Spy:
    """Scores a face by its first pixel; its memory counts frames; keeps what it saw."""

    def __init__(self, memory=0, labels=LABELS, sums=1.0):
        self.contract = Contract(name="spy", labels=labels, face_px=8, memory=memory)
        self.sums = sums
        self.seen, self.before, self.elapsed_s = [], [], []

    def predict(self, faces):
        self.seen.append(faces)
        scores = np.full((len(faces), 3), 0.1, np.float32)
        scores[np.arange(len(faces)), faces[:, 0, 0]] = self.sums - 0.2
        return Prediction(np.log(scores), scores)

    def predict_next(self, faces, memory, elapsed_s):
        self.before.append(None if memory is None else int(memory[0]))
        self.elapsed_s += elapsed_s.tolist()
        return self.predict(faces), np.array([len(self.before)])


def faces_of(labels):
    faces = np.zeros((len(labels), 8, 8), np.uint8)
    faces[:, 0, 0] = labels
    faces[:, 1, 1] = np.arange(len(labels))
    return faces


def score(model, faces, labels=LABELS):
    return score_frames(model, faces, np.arange(len(faces)) / 25, labels, "ravdess")


def test_scores_come_in_the_order_of_the_clips_labels():
    model = Spy(labels=("happy", "neutral", "sad"))
    scored = score(model, faces_of([0, 1, 2]))
    assert [LABELS[k] for k in scored.scores.argmax(axis=1)] == ["happy", "neutral", "sad"]
    assert [LABELS[k] for k in scored.margins.argmax(axis=1)] == ["happy", "neutral", "sad"]


def test_a_model_with_an_lstm_over_frames_goes_from_frame_to_frame():
    model = Spy(memory=2)
    scored = score_frames(model, faces_of([0, 2, 1]), np.array([0.5, 0.6, 1.0]), LABELS, "ravdess")
    assert [len(seen) for seen in model.seen] == [1, 1, 1]
    assert model.before == [None, 1, 2]
    assert np.allclose(model.elapsed_s, [0, 0.1, 0.4])
    assert scored.scores.argmax(axis=1).tolist() == [0, 2, 1]


def test_another_model_is_one_more_way():
    clip = clip_of([1, 1, 1], faces=faces_of([0, 0, 2]))
    way = model_at_the_end(Spy(memory=2), name="ravdess")
    shown = way.shown(clip)
    assert shown.tolist() == [0, 0, 2]
    assert answer(way, shown, clip).tolist() == [0, 0, 1]


def test_a_model_of_other_emotions_and_scores_that_are_none_are_errors():
    with pytest.raises(ContractError, match="but the dataset 'ravdess' is labelled sad, happy"):
        score(Spy(labels=("a", "b", "c")), faces_of([0]))
    with pytest.raises(InputError, match="each row summing to 1, from the model 'spy'"):
        score(Spy(sums=0.5), faces_of([0]))


def test_an_lstm_over_frames_that_cannot_go_from_frame_to_frame_is_not_read_as_stills():
    class Run:
        contract = Contract(name="run", labels=LABELS, face_px=8, memory=2)
        predict = Spy().predict

    with pytest.raises(InputError, match=r"frame to frame, got run with .*Export it"):
        score(Run(), faces_of([0]))
