"""Judging features on EMOTIC: the numbers, what stands beside them, and what is never looked at."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from facetell.datasets.emotic import CATEGORIES, MAPPINGS, People, Person, emotion_table
from facetell.datasets.emotic.pixels import Array
from facetell.datasets.found_faces import FoundFaces
from facetell.errors import DataError
from facetell.evaluate import emotic
from facetell.evaluate.emotic import Answers, judge_answers, judge_emotic
from facetell.evaluate.emotic_judgement import EmoticJudgement, as_text
from facetell.evaluate.probes import Linear, Scaling
from facetell.labels import EMOTIONS
from facetell.results import Detection

pytest.importorskip("sklearn")

SIDES = (("train", 240), ("validation", 80), ("test", 120))


def made_people() -> People:
    """Two people to a photo; each carries one to three of the categories, Yearning nobody."""
    rng = np.random.default_rng(4)
    persons = []
    for side, count in SIDES:
        for n in range(count):
            seen = np.zeros(26, bool)
            seen[rng.choice(25, rng.integers(1, 4), replace=False)] = True
            vad = tuple(np.clip(5.5 + 2 * rng.normal(size=3), 1, 10))
            persons.append(
                Person(
                    id=f"{side}{n}", image=f"{side}{n // 2}", box_xyxy=(0, 0, 8, 8), vad=vad,
                    categories=tuple(seen.tolist()), annotators=(), side=side,
                )
            )  # fmt: skip
    return People(persons=tuple(persons), notes=("3 photos are missing",))


def answers_of(people: People, features: np.ndarray) -> Answers:
    return Answers(
        features=features,
        categories=people.categories,
        vad=people.vad,
        photos=people.images,
        train=people.on("train"),
        validation=people.on("validation"),
        judged=people.on("test"),
        emotions={
            name: (mapping.version, emotion_table(people, mapping))
            for name, mapping in MAPPINGS.items()
        },
        has_face=np.arange(len(people)) % 3 > 0,
    )


def telling(people: People) -> np.ndarray:
    """Features that hold the truth, also about the emotions, which categories alone do not."""
    shown = [emotion_table(people, mapping) for mapping in MAPPINGS.values()]
    return np.hstack([people.categories, np.nan_to_num(people.vad), *shown]).astype(np.float32)


PEOPLE = made_people()
TELLING = answers_of(PEOPLE, telling(PEOPLE))


@pytest.fixture(scope="module")
def judged() -> EmoticJudgement:
    return judge_answers(TELLING, resamples=50, notes=PEOPLE.notes)


@pytest.fixture(scope="module")
def judged_noise() -> EmoticJudgement:
    noise = np.random.default_rng(0).normal(size=(len(PEOPLE), 8))
    return judge_answers(replace(TELLING, features=noise), resamples=200)


def test_features_that_hold_the_truth_score_all_there_is(judged):
    assert judged.mean_precision.value > 0.99
    assert judged.errors["mean"].value < 0.15
    for seven in judged.seven:
        assert seven.mean_precision.value > 0.95
        assert seven.macro_f1.value > 0.9


def test_features_that_hold_nothing_score_what_a_constant_scores(judged_noise):
    mean = judged_noise.mean_precision
    assert mean.value - mean.baseline < 0.1
    error = judged_noise.errors["mean"]
    assert error.low < error.baseline < error.high
    assert judged_noise.seven[0].macro_f1.value < 0.4


def test_baselines_are_shares_medians_and_the_commonest_training_emotion(judged):
    test = PEOPLE.take(PEOPLE.on("test"))
    train = PEOPLE.take(PEOPLE.on("train"))
    shares = test.categories.mean(axis=0)
    assert [entry.baseline for entry in judged.categories] == pytest.approx(shares.tolist())
    assert judged.mean_precision.baseline == pytest.approx(shares[shares > 0].mean())
    wrong = np.abs(np.median(train.vad, axis=0) - test.vad)
    assert judged.errors["arousal"].baseline == pytest.approx(wrong[:, 1].mean())
    assert judged.errors["mean"].baseline == pytest.approx(wrong.mean())
    seven = judged.seven[0]
    table = emotion_table(train)
    alone = table[table.sum(axis=1) == 1].sum(axis=0)
    assert seven.majority == EMOTIONS[int(alone.argmax())]
    truth = emotion_table(test)
    truth = truth[truth.sum(axis=1) == 1]
    share = truth[:, int(alone.argmax())].mean()
    assert seven.accuracy.baseline == pytest.approx(share)
    assert seven.balanced_accuracy.baseline == pytest.approx(1 / truth.any(axis=0).sum())


def test_everyone_is_counted(judged):
    assert (judged.people, judged.photos, judged.trained_on) == (120, 60, 240)
    assert judged.faces == 80
    assert judged.with_face is not None
    assert judged.with_face.people == 80
    assert judged.mean_precision.people == judged.errors["valence"].people == 120
    for seven in judged.seven:
        assert seven.people == 120
        assert seven.mean_precision.people == seven.people - seven.none
        assert seven.macro_f1.people == seven.single == np.sum(seven.confusion)
        assert seven.coverage == pytest.approx(1 - seven.none / 120)
    strict, broad = judged.seven
    assert (strict.mapping, broad.mapping) == ("strict", "broad")
    assert strict.coverage < broad.coverage


def test_values_lie_in_their_intervals(judged_noise):
    scores = [judged_noise.mean_precision, *judged_noise.errors.values()]
    scores += [seven.accuracy for seven in judged_noise.seven]
    assert all(score.low <= score.value <= score.high for score in scores)
    assert all(score.low < score.high for score in scores)


def test_a_category_that_nobody_carries_is_told_and_left_out(judged):
    yearning = judged.categories[CATEGORIES.index("Yearning")]
    assert (yearning.positives, yearning.precision) == (0, None)
    assert "Nobody judged carries Yearning: the mean is over the other categories." in judged.notes
    precisions = [entry.precision.value for entry in judged.categories if entry.precision]
    assert len(precisions) == 25
    assert judged.mean_precision.value == pytest.approx(np.mean(precisions))


def test_notes_of_the_data_are_passed_on(judged):
    assert judged.notes[-1] == "3 photos are missing"


def test_unknown_dimensions_and_missing_categories_leave_the_rest(judged):
    vad = TELLING.vad.copy()
    vad[TELLING.judged[:20], 0] = np.nan
    categories = TELLING.categories.copy()
    categories[TELLING.judged[20:30]] = False
    found = judge_answers(replace(TELLING, vad=vad, categories=categories), resamples=5)
    assert found.people == 120
    assert found.errors["valence"].people == found.errors["mean"].people == 100
    assert found.mean_precision.people == 110
    assert found.seven[0].people == 110


def turned_round(side):
    """Answers that hold the truth, with the truth of one side then turned into its opposite."""
    features = np.hstack([TELLING.categories, TELLING.vad])
    categories, vad = TELLING.categories.copy(), TELLING.vad.copy()
    categories[side], vad[side] = ~categories[side], 11 - vad[side]
    return replace(TELLING, features=features, categories=categories, vad=vad, emotions={})


def test_smoothness_is_chosen_on_validation_people_and_never_on_the_judged(monkeypatch):
    # Of two settings each, one reads the features as they are and the other upside down.
    eye, scaling = np.eye(29), Scaling.of(turned_round(TELLING.judged).features[TELLING.train])
    mean, deviation = scaling.mean[26:], scaling.deviation[26:]

    def svm(features, truth, *, c):
        return Linear(c * eye[:26], np.zeros(26))

    def ridge(features, values, *, alpha):
        bias = mean if alpha > 0 else 11 - mean
        return Linear(alpha * deviation[:, None] * eye[26:], bias)

    for name, value in (("fit_one_vs_rest", svm), ("fit_ridge", ridge)):
        monkeypatch.setattr(emotic, name, value)
    for name in ("_CS", "_ALPHAS"):
        monkeypatch.setattr(emotic, name, (-1.0, 1.0))

    found = judge_answers(turned_round(TELLING.judged), resamples=5)
    assert (found.c, found.alpha) == (1, 1)
    other = judge_answers(turned_round(TELLING.validation), resamples=5)
    assert (other.c, other.alpha) == (-1, -1)


def test_the_same_seed_gives_the_same_numbers(judged):
    again = judge_answers(TELLING, resamples=50, notes=PEOPLE.notes)
    assert again == judged
    other = judge_answers(TELLING, resamples=50, seed=1).errors["mean"]
    assert other.value == judged.errors["mean"].value
    assert other != judged.errors["mean"]


def test_judgements_survive_json(judged):
    assert EmoticJudgement.from_dict(json.loads(json.dumps(judged.to_dict()))) == judged
    without = replace(judged, with_face=None)
    assert EmoticJudgement.from_dict(json.loads(json.dumps(without.to_dict()))) == without


def test_the_text_has_every_number_beside_its_baseline(judged):
    text = as_text(judged)
    lines = {line[:30].strip(): line[30:].split() for line in text.splitlines()}
    mean = judged.mean_precision
    assert lines["mAP, 26 categories"] == [
        f"{100 * mean.value:.2f}", f"{100 * mean.low:.2f}", "to", f"{100 * mean.high:.2f}",
        f"{100 * mean.baseline:.2f}", "120",
    ]  # fmt: skip
    assert lines["error of valence (1 to 10)"][0] == f"{judged.errors['valence'].value:.3f}"
    assert "120 people in 60 photos, 80 with a visible face; fitted to 240 people" in text
    assert "mapping strict 1: of 120 people" in text
    assert all(name in text for name in CATEGORIES)
    assert text.count("note: ") == len(judged.notes)


@pytest.mark.parametrize("side", ["train", "validation", "judged"])
def test_an_empty_side_is_an_error(side):
    empty = replace(TELLING, **{side: np.array([], np.int64)})
    with pytest.raises(DataError, match=r"expected people with a category.*train, val and test"):
        judge_answers(empty)


class NoFaces:
    """Finds a face in every second image."""

    asked = 0

    def detect(self, image):
        self.asked += 1
        found = Detection(box_xyxy=(1.0, 1.0, 7.0, 7.0), score=0.9)
        return (found,) if self.asked % 2 else ()


def test_a_network_is_judged_through_its_features(tmp_path):
    people = PEOPLE.take(np.arange(0, len(PEOPLE), 2))
    rng = np.random.default_rng(0)
    np.save(tmp_path / "bodies.npy", rng.integers(0, 255, (len(people), 8, 8, 3), np.uint8))
    people = replace(
        people,
        persons=tuple(
            replace(person, body=Array(path=tmp_path / "bodies.npy", row=row))
            for row, person in enumerate(people.persons)
        ),
    )
    asked, told = [], []

    def features_of(faces):
        asked.append(faces.shape)
        assert faces.dtype == np.uint8
        return faces.reshape(len(faces), -1)[:, ::8].astype(np.float32)

    found = judge_emotic(
        features_of,
        people,
        face_px=16,
        faces=FoundFaces(people.persons, NoFaces()),
        resamples=5,
        progress=lambda phase, share: told.append((phase, share)),
    )
    assert sum(shape[0] for shape in asked) == len(people) == 220
    assert {shape[1:] for shape in asked} == {(16, 16)}
    assert (found.people, found.faces) == (60, 30)
    assert [seven.mapping for seven in found.seven] == ["strict", "broad"]
    assert found.notes[-1] == "3 photos are missing"
    phases = [phase for phase, share in told if share == 1]
    assert phases == ["searching faces", "reading features", "fitting"]
