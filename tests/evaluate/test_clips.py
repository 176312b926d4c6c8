"""A model on labelled clips: numbers that can be worked out by hand, and how they are told."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("av")

from clipfolder_forms import FindsSquares, frame, label_of, make_empty, make_ravdess
from clipmaking import write_clip
from facetell.contract import Contract
from facetell.datasets.clipfolders import divide, judged_clips, open_clips
from facetell.errors import ContractError, DataError
from facetell.evaluate.clips import ClipEvaluation, as_text, judge_clips, ways_with
from facetell.evaluate.ways import MEAN, WAYS, Way
from facetell.labels import EMOTIONS
from facetell.predictor import Prediction


class ReadsLevels:
    """Reads the emotion that a square's grey level stands for."""

    def __init__(self, name="levels", **contract):
        self.contract = Contract(name=name, face_px=32, **contract)
        self.shapes = []

    def predict(self, faces):
        self.shapes.append(faces.shape)
        names = [EMOTIONS[label_of(face)] for face in faces]
        margins = np.zeros((len(faces), len(self.contract.labels)), np.float32)
        margins[range(len(faces)), [self.contract.labels.index(name) for name in names]] = 3
        scores = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
        return Prediction(margins, scores)

    def predict_next(self, faces, memory, elapsed_s):
        return self.predict(faces), np.zeros(len(faces))


@pytest.fixture(scope="module")
def ravdess(tmp_path_factory):
    """Three actors, three clips each; the last actor's sad clip looks neutral in 6 of 8 frames."""
    return open_clips(make_ravdess(tmp_path_factory.mktemp("clips")))


def judge(clips, model=None, **options):
    return judge_clips(model or ReadsLevels(), clips, detector=FindsSquares(), **options)


def test_every_way_gets_the_score_that_can_be_counted(ravdess):
    found = judge(ravdess)
    assert (found.model, found.clips, found.side) == ("levels", "ravdess", "")
    assert (found.n, found.subjects, found.frames) == (9, 3, 72)
    assert dict(zip(found.labels, found.support, strict=True)) == {
        **dict.fromkeys(EMOTIONS, 0), "happy": 3, "sad": 3, "angry": 3
    }  # fmt: skip
    assert found.commonest == ("angry", pytest.approx(1 / 3))
    single = found.ways["single frames"]
    assert single.accuracy.value == pytest.approx(1 - 6 / 8 / 9)
    assert found.ways[MEAN].accuracy.value == pytest.approx(8 / 9)
    sad = EMOTIONS.index("sad")
    assert single.recall[sad].value == pytest.approx(1 - 6 / 8 / 3)
    assert single.balanced_accuracy.value == pytest.approx((2 + 1 - 6 / 8 / 3) / 3)
    assert single.confusion[sad][EMOTIONS.index("neutral")] == pytest.approx(6 / 8)
    assert single.recall[EMOTIONS.index("fear")] is None


def test_the_switches_of_what_is_shown_are_counted(ravdess):
    found = judge(ravdess)
    minutes = 9 * 7 / 25 / 60
    assert found.ways["single frames"].switches_per_minute == pytest.approx(1 / minutes)
    assert found.ways[MEAN].switches_per_minute == 0


def test_intervals_redraw_people_and_not_clips(ravdess):
    # The first actor is always read right, the others never: three draws are all of others, or
    # none of them, more often than in one case of forty.
    other = EMOTIONS.index("fear")
    clips = tuple(
        clip if clip.subject == "01" else replace(clip, target=other) for clip in ravdess.clips
    )
    afraid = Way(lambda clip: np.full(len(clip.times_s), other), "end")
    found = judge(replace(ravdess, clips=clips), ways={**WAYS, "afraid": afraid})
    assert found.ways[MEAN].accuracy == (pytest.approx(1 / 3), 0, 1)
    beside = found.ways["afraid"].against_mean
    assert beside.difference == (pytest.approx(1 / 3), -1, 1)
    assert (beside.only_this, beside.only_mean) == (6, 3)
    assert judge(ravdess) == judge(ravdess)


def test_ways_are_compared_with_the_mean_clip_by_clip(ravdess):
    found = judge(ravdess)
    assert found.ways[MEAN].against_mean is None
    single = found.ways["single frames"].against_mean
    assert single.difference.value == pytest.approx(2 / 8 / 9)
    assert (single.only_this, single.p_value) == (None, None)
    steady = found.ways["steady labels"].against_mean
    assert (steady.only_this, steady.only_mean, steady.p_value) == (0, 0, 1.0)
    alone = judge(ravdess, ways={"steady labels": WAYS["steady labels"]})
    assert alone.ways["steady labels"].against_mean is None


def test_another_model_is_judged_on_the_same_frames(ravdess):
    model, other = ReadsLevels(), ReadsLevels("lstm", memory=4)
    found = judge(ravdess, model, ways=ways_with(model, other))
    assert list(found.ways) == [*WAYS, "lstm at the end"]
    assert found.ways["lstm at the end"].accuracy.value == pytest.approx(8 / 9)
    assert {shape[1:] for shape in model.shapes} == {(32, 32)}
    assert set(other.shapes) == {(1, 32, 32)}


def test_a_model_with_an_lstm_over_frames_can_be_judged_itself(ravdess):
    assert judge(ravdess, ReadsLevels(memory=3)).ways[MEAN].accuracy.value == pytest.approx(8 / 9)


def test_models_that_take_other_faces_are_not_compared(ravdess):
    colour = {"channels": 3, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    with pytest.raises(
        ContractError,
        match=r"got levels \(grey, 32 px, margin 0\.0, aligned\) and rgb \(RGB, 32 px, .*Judge",
    ):
        ways_with(ReadsLevels(), ReadsLevels("rgb", **colour))
    with pytest.raises(ContractError, match="reads a, b, but the dataset"):
        ways_with(ReadsLevels(), ReadsLevels(labels=("a", "b")))


def test_what_was_judged_can_be_written_and_read(ravdess):
    found = judge(ravdess)
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert ClipEvaluation.from_dict(json.loads(text)) == found


def test_the_text_tells_ways_differences_and_emotions(ravdess):
    lines = as_text(judge(ravdess)).splitlines()
    assert lines[:2] == [
        "model  levels",
        "clips  ravdess: 9 clips of 3 people, 72 frames; always 'angry': 33.33 %",
    ]
    assert lines[3].split()[:6] == ["way", "to", "read", "a", "clip", "accuracy"]
    assert lines[4].startswith("single frames             91.67  ")
    assert lines[10].startswith("single frames minus mean of scores: +2.78 points of accuracy")
    assert lines[10].endswith(").")
    assert lines[13].endswith(
        "only this is right on 0 clips, only the mean on 0; exact McNemar p = 1.000."
    )
    assert lines[-1].split() == ["clips", "3", "0", "0", "3", "0", "3", "0"]


def test_few_people_and_what_was_left_out_are_told(tmp_path):
    make_ravdess(tmp_path, actors=1)
    make_empty(tmp_path, "02-01-02-01-01-01-01.mp4", "02-01-06-01-01-01-01.mp4")
    write_clip(tmp_path / "02-01-07-01-01-01-01.mp4", [frame()] * 3)
    found = judge(open_clips(tmp_path))
    starts = ["The clips show only 1 people", "1 clips are calm", "1 clips could not be read",
              "1 clips show no face"]  # fmt: skip
    assert [any(note.startswith(start) for note in found.notes) for start in starts] == [True] * 4
    assert found.n == 3


def test_no_clip_with_a_face_is_an_error(tmp_path):
    make_empty(tmp_path, "joy/a.mp4")
    with pytest.raises(DataError, match=r"got none of 1 that could be judged: 1 clips could not"):
        judge(open_clips(tmp_path))


def test_a_model_of_other_emotions_is_refused_before_any_clip_is_read(ravdess):
    detector = FindsSquares()
    with pytest.raises(ContractError, match="but the dataset 'ravdess' is labelled angry"):
        judge_clips(ReadsLevels(labels=("a", "b")), ravdess, detector=detector)
    assert detector.asked == 0


def test_the_judged_side_is_the_own_one_or_drawn_by_people(ravdess, tmp_path):
    assert judged_clips(ravdess) is ravdess
    test = judged_clips(ravdess, "test", seed=3)
    assert test == divide(ravdess, seed=3).on("test")
    assert len({clip.subject for clip in test.clips}) == 1
    own = open_clips(make_empty(tmp_path, "train/joy/a.mp4", "val/joy/b.mp4", "test/joy/c.mp4"))
    assert [clip.path.stem for clip in judged_clips(own).clips] == ["c"]
    assert [clip.path.stem for clip in judged_clips(own, "validation").clips] == ["b"]
