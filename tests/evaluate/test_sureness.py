from dataclasses import replace

import numpy as np
import pytest

from facetell.contract import Contract
from facetell.datasets.splits import split
from facetell.evaluate.calibration import Margins, fit_certainty
from facetell.evaluate.evaluation import Evaluation
from facetell.evaluate.judged import judge
from facetell.evaluate.sureness import Sureness, cross_fitted, shipped, sureness_of
from facetell.evaluate.table import as_table, sureness_table
from facetell.predictor import softmax
from judging import FakePredictor, small_dataset


def judged(n=1000, **contract):
    dataset = small_dataset(n)
    return judge(FakePredictor(skill=1.5, **contract), dataset, split(dataset, "official"))


def certainty(seed=5):
    rng = np.random.default_rng(seed)
    margins, labels = rng.normal(size=(900, 7)), rng.integers(0, 7, 900)
    margins[np.arange(900), labels] += 1.5
    return fit_certainty(softmax(margins, 1.0), labels)


def test_cross_fitted_sets_cover_and_shares_are_answered():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 4000)
    margins = rng.normal(size=(4000, 7)).astype(np.float32)
    margins[np.arange(4000), labels] += 1.5
    found = cross_fitted(Contract(name="x"), Margins(margins, labels, np.arange(4000)))
    assert (found.fitted, found.n) == ("cross-fitted", 4000)
    assert found.calibration_error < found.calibration_floor + 0.01
    for row in found.sets:
        assert row.coverage == pytest.approx(row.level, abs=0.012)
        assert row.worst > 1 - 1.3 * (1 - row.level) - 0.025
        assert sum(row.sizes) == pytest.approx(1)
        assert row.size == pytest.approx(np.dot(row.sizes, np.arange(1, 8)))
    for row in found.answers:
        assert row.share == pytest.approx(row.asked, abs=0.01)
    assert found.curve[0][1] > found.curve[-1][1]


def test_what_the_model_was_fitted_to_says_nothing_about_the_half_it_was_not():
    """Labels that are noise: sets that looked at them would be small, and cover by luck."""
    rng = np.random.default_rng(1)
    margins = rng.normal(size=(1000, 7)).astype(np.float32)
    found = cross_fitted(
        Contract(name="x"), Margins(margins, rng.integers(0, 7, 1000), np.arange(1000))
    )
    assert found.sets[1].size > 5.9
    assert found.calibration_error < 0.06


def test_faces_of_one_group_are_never_on_both_halves():
    """Copies of noise: whoever had seen the other copies would be sure, and right."""
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(250), 4)
    margins = rng.normal(size=(250, 7)).astype(np.float32)[groups]
    labels = rng.integers(0, 7, 250)[groups]
    apart = cross_fitted(Contract(name="x"), Margins(margins, labels, groups))
    assert apart.sets[1].size > 5.5


def test_a_calibrated_model_is_judged_as_it_ships_and_cross_fitted():
    first, second = sureness_of(judged(certainty=certainty()))
    assert (first.fitted, first.n) == ("shipped", 250)
    assert (second.fitted, second.n) == ("cross-fitted", 250)
    assert first.sets[1].coverage == pytest.approx(0.9, abs=0.06)


def test_few_faces_and_an_uncalibrated_model_tell_nothing():
    assert sureness_of(judged(400)) == ()
    assert sureness_of(replace(judged(), margins=None)) == ()


def test_sets_as_shipped_follow_the_labels_not_their_order():
    plain = judged(certainty=certainty())
    order = tuple(reversed(plain.dataset.labels))
    given = plain.contract.certainty
    turned = replace(given, least_scores=tuple(row[::-1] for row in given.least_scores))
    contract = replace(plain.contract, labels=order, certainty=turned)
    assert shipped(replace(plain, contract=contract)).sets == shipped(plain).sets


def test_one_face_of_each_group_is_taken():
    found = judged()
    groups = np.arange(len(found.dataset)) // 8
    (one,) = sureness_of(replace(found, split=replace(found.split, groups=groups)))[-1:] or [None]
    assert one is None  # 125 groups are too few halves
    pairs = np.arange(len(found.dataset)) // 2
    assert sureness_of(replace(found, split=replace(found.split, groups=pairs)))[-1].n == 250


def test_sureness_comes_back_from_json_alone_and_in_an_evaluation():
    evaluation = Evaluation.of(judged(certainty=certainty()))
    for found in evaluation.sureness:
        assert Sureness.from_dict(found.to_dict()) == found
    assert Evaluation.from_dict(evaluation.to_dict()) == evaluation
    old = evaluation.to_dict()
    del old["sureness"]
    assert Evaluation.from_dict(old).sureness == ()


def test_the_table_says_coverage_size_worst_label_and_accuracy_when_silent():
    evaluation = Evaluation.of(judged(certainty=certainty()))
    text = as_table(evaluation)
    assert "sure or not, shipped, 250 faces" in text
    assert "sure or not, cross-fitted, 250 faces" in text
    lines = sureness_table(evaluation.sureness[1]).splitlines()
    assert "by chance" in lines[1]
    assert lines[3].startswith("  sets at 90%: hold the label of ")
    assert "labels in the mean; worst " in lines[3]
    assert lines[6].startswith("  answering 70%: ")
