import csv
from dataclasses import replace

import numpy as np
import pytest

from facetell.datasets.splits import split
from facetell.errors import ContractError, DataError, InputError
from facetell.evaluate import judged as module
from facetell.evaluate.judged import judge, judged_side, pool, restrict, write_predictions
from facetell.labels import EMOTIONS, PAPER_ORDER
from facetell.predictor import Prediction
from judging import FakePredictor, small_dataset


@pytest.fixture(scope="module")
def dataset():
    return small_dataset()


@pytest.fixture(scope="module")
def parts(dataset):
    return split(dataset, "official")


def test_the_test_side_is_judged_where_there_is_one(dataset, parts):
    side, indices = judged_side(parts)

    assert side == "test"
    assert indices.tolist() == list(range(3, 140, 4))


def test_the_validation_side_is_judged_where_test_faces_are_kept_back():
    assert judged_side(split(small_dataset(test=False), "official"))[0] == "validation"


def test_a_side_can_be_chosen(dataset, parts):
    judged = judge(FakePredictor(), dataset, parts, side="validation")

    assert judged.side == "validation"
    assert judged.indices.tolist() == list(range(2, 140, 4))


def test_an_empty_side_is_an_error_that_names_the_other():
    parts = split(small_dataset(test=False), "official")

    with pytest.raises(DataError, match=r"on the test side .* found none. Judge on 'validation'"):
        judged_side(parts, "test")


def test_training_faces_are_not_judged(parts):
    with pytest.raises(InputError, match="side must be 'validation' or 'test', got 'train'"):
        judged_side(parts, "train")


def test_batches_do_not_change_the_answers(dataset, parts, monkeypatch):
    whole = judge(FakePredictor(), dataset, parts)
    monkeypatch.setattr(module, "BATCH", 8)
    progress = []
    parted = judge(
        FakePredictor(), dataset, parts, progress=lambda *counts: progress.append(counts)
    )

    np.testing.assert_array_equal(whole.scores, parted.scores)
    np.testing.assert_array_equal(whole.theta, parted.theta)
    assert progress == [(8, 35), (16, 35), (24, 35), (32, 35), (35, 35)]


def test_a_perfect_model_is_right_on_every_face(dataset, parts):
    judged = judge(FakePredictor(skill=50), dataset, parts)

    assert judged.correct.all()
    assert judged.ids[0] == "face/3"


def test_a_model_with_its_labels_in_another_order_is_judged_the_same(dataset, parts):
    judged = judge(FakePredictor(skill=50, labels=PAPER_ORDER), dataset, parts)

    assert judged.correct.all()


def test_a_model_with_other_labels_is_refused(dataset, parts):
    other = FakePredictor(labels=("angry", "calm"))

    with pytest.raises(ContractError, match="reads angry, calm, but the dataset 'small' is"):
        judge(other, dataset, parts)


@pytest.mark.parametrize("spoil", [lambda s: s * 2, lambda s: s[:, :5], lambda s: s * np.nan])
def test_scores_that_are_no_probabilities_are_refused(dataset, parts, spoil):
    class Spoilt(FakePredictor):
        def predict(self, faces):
            found = super().predict(faces)
            return Prediction(found.margins, spoil(found.scores), found.theta)

    with pytest.raises(InputError, match="expected scores of shape"):
        judge(Spoilt(), dataset, parts)


def test_a_model_without_spatial_transformer_has_no_theta(dataset, parts):
    assert judge(FakePredictor(theta=False), dataset, parts).theta is None


def test_faces_come_in_colour_for_the_report(dataset, parts):
    judged = judge(FakePredictor(), dataset, parts)

    faces = judged.faces(np.array([1, 0]))

    assert faces.shape == (2, 48, 48, 3)
    np.testing.assert_array_equal(faces[0, ..., 0], dataset.stack[7])


def test_predictions_are_written_as_one_row_per_face(dataset, parts, tmp_path):
    judged = judge(FakePredictor(), dataset, parts)

    path = write_predictions(judged, tmp_path / "answers.csv")

    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == list(judged.ids)
    assert [row["correct"] == "1" for row in rows] == judged.correct.tolist()
    assert [EMOTIONS.index(row["predicted"]) for row in rows] == judged.predicted.tolist()
    assert [EMOTIONS.index(row["label"]) for row in rows] == judged.labels.tolist()
    scores = [[float(row[f"score_{name}"]) for name in EMOTIONS] for row in rows]
    np.testing.assert_allclose(scores, judged.scores, atol=1e-6)


def test_a_file_of_predictions_is_not_overwritten_unasked(dataset, parts, tmp_path):
    judged = judge(FakePredictor(), dataset, parts)
    path = write_predictions(judged, tmp_path / "answers.csv")

    with pytest.raises(InputError, match="is there already"):
        write_predictions(replace(judged), path)
    write_predictions(judged, path, overwrite=True)


def test_pooled_folds_hold_every_answer_once(dataset, parts):
    folds = [judge(FakePredictor(), dataset, parts, side=side) for side in ("test", "validation")]

    pooled = pool(folds)

    assert pooled.ids == folds[0].ids + folds[1].ids
    assert pooled.correct.tolist() == folds[0].correct.tolist() + folds[1].correct.tolist()
    assert len(pooled.scores) == len(pooled)


def test_a_face_that_two_folds_judge_is_an_error(dataset, parts):
    fold = judge(FakePredictor(), dataset, parts)

    with pytest.raises(InputError, match="judge each face once, got 2 of small with 70 faces"):
        pool([fold, fold])
    with pytest.raises(InputError, match="got 0 of none"):
        pool([])


def test_restricted_answers_are_those_of_judging_again(dataset, parts):
    fewer = replace(parts, test=parts.test[1::2][::-1], protocol="clean")
    everything = judge(FakePredictor(), dataset, parts)

    restricted, again = restrict(everything, fewer), judge(FakePredictor(), dataset, fewer)

    assert restricted.split.protocol == "clean"
    assert restricted.ids == again.ids
    assert np.array_equal(restricted.scores, again.scores)
    assert np.array_equal(restricted.correct, again.correct)
    assert np.array_equal(restricted.theta, again.theta)


def test_answers_that_were_not_given_cannot_be_restricted_to(dataset, parts):
    some = judge(FakePredictor(), dataset, replace(parts, test=parts.test[:3]))

    with pytest.raises(InputError, match="some of the 3 judged faces of small"):
        restrict(some, parts)
    with pytest.raises(InputError, match="got one of small with others"):
        restrict(some, split(small_dataset(), "official"))
