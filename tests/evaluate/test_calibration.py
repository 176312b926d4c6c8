"""Calibration, sets and abstention on drawn scores, whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facetell.contract import Contract
from facetell.datasets.fingerprint import fingerprint
from facetell.datasets.sample import Sample
from facetell.errors import ContractError, DataError
from facetell.evaluate.calibration import (
    LEVELS,
    SHARES,
    Margins,
    calibrate,
    calibration_rows,
    fit_certainty,
    fit_least_scores,
    fit_scores,
    margins_of,
)
from facetell.evaluate.metrics import calibration_error, negative_log_likelihood, reliability
from facetell.predictor import bent, calibrated, softmax
from facetell.runtime.certainty import label_sets
from judging import FakePredictor, small_dataset

CONTRACT = Contract(name="x")
PRIOR = np.array([0.2, 0.03, 0.15, 0.3, 0.12, 0.1, 0.1])


def draw(n, *, seed=0, sharpness=1.0):
    """Margins, and labels drawn from softmax(sharpness * margins): scores that are true."""
    rng = np.random.default_rng(seed)
    lean = rng.choice(7, n, p=PRIOR)
    margins = rng.normal(-1, 0.7, (n, 7))
    margins[np.arange(n), lean] += 2.5
    chances = softmax(margins, sharpness)
    labels = (chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, 6)
    return margins, labels


def scores_and_labels(n, *, seed=0):
    margins, labels = draw(n, seed=seed)
    return softmax(margins, 1.0).astype(np.float64), labels


def test_the_calibration_finds_the_scale_that_the_labels_were_drawn_with():
    margins, labels = draw(20_000, sharpness=2.0)
    fitted = fit_scores(CONTRACT, margins, labels)
    scales = fitted.score_scale * np.array(fitted.score_factors)
    assert scales == pytest.approx(np.full(7, 2.0), abs=0.35)
    scores = calibrated(margins, fitted)
    truth = negative_log_likelihood(softmax(margins, 2.0), labels)
    assert negative_log_likelihood(scores, labels) <= truth + 1e-4


def test_a_model_that_is_too_sure_only_of_one_answer_is_mended():
    margins, labels = draw(20_000)
    loud = margins * np.where(margins.argmax(axis=1) == 3, 3.0, 1.0)[:, None]
    fitted = fit_scores(CONTRACT, loud, labels)
    before, after = softmax(loud, 1.0), calibrated(loud, fitted)
    right = loud.argmax(axis=1) == labels
    errors = [calibration_error(reliability(s.max(axis=1), right, 15)) for s in (before, after)]
    assert errors[0] > 0.05
    assert errors[1] < 0.015
    assert fitted.score_factors[3] < 0.6 * min(fitted.score_factors[:3])


def test_margins_of_a_squared_hinge_become_the_probabilities_that_they_stand_for():
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(3 * PRIOR, 20_000)
    labels = (chances.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1).clip(0, 6)
    fitted = fit_scores(CONTRACT, 2 * chances - 1, labels)
    assert calibrated(2 * chances - 1, fitted) == pytest.approx(chances, abs=0.06)
    truth = negative_log_likelihood(chances, labels)
    assert negative_log_likelihood(calibrated(2 * chances - 1, fitted), labels) < truth + 0.01
    straight = replace(fitted, score_bend=0.0)
    assert negative_log_likelihood(calibrated(2 * chances - 1, straight), labels) > truth + 0.1


def test_a_small_bend_is_hardly_one_and_no_bend_is_none():
    margins = np.array([-900.0, -2.0, -1.0, 0.0, 3.0, 900.0])
    assert (bent(margins, 0.0) == margins).all()
    assert bent(margins[1:5], 1e-4) == pytest.approx(margins[1:5] + 1, abs=1e-3)
    steep = bent(margins, 20.0)
    assert np.isfinite(steep).all()
    assert (np.diff(steep) > 0).all()


@given(seed=st.integers(0, 50), bend=st.floats(0, 50))
@settings(max_examples=30)
def test_calibration_keeps_the_order_of_the_labels(seed, bend):
    margins, _ = draw(40, seed=seed)
    factors = tuple(np.random.default_rng(seed).uniform(0.3, 3, 7))
    contract = replace(CONTRACT, score_factors=factors, score_bend=bend)
    scores = calibrated(margins, contract).astype(np.float64)
    assert scores.sum(axis=1) == pytest.approx(np.ones(40), abs=1e-6)
    ordered = np.take_along_axis(scores, margins.argsort(axis=1), axis=1)
    assert (np.diff(ordered, axis=1) >= 0).all()


def test_no_faces_have_no_scores():
    contract = replace(CONTRACT, score_bend=2.0)
    assert calibrated(np.empty((0, 7)), contract).shape == (0, 7)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_sets_of_other_faces_of_the_same_kind_hold_the_label_as_often_as_promised(level):
    covered, by_label = [], []
    for seed in range(20):
        scores, labels = scores_and_labels(1500, seed=seed)
        fresh, truth = scores_and_labels(1500, seed=1000 + seed)
        inside = label_sets(fresh, fit_least_scores(scores, labels, level))
        held = inside[np.arange(len(truth)), truth]
        covered.append(held.mean())
        by_label.append([held[truth == k].mean() for k in range(7)])
    assert np.mean(covered) >= level - 0.005
    assert np.mean(by_label, axis=0).min() >= 1 - 1.3 * (1 - level) - 0.01


def test_on_the_faces_themselves_every_label_is_covered():
    scores, labels = scores_and_labels(3000)
    inside = label_sets(scores, fit_least_scores(scores, labels, 0.9))
    held = inside[np.arange(3000), labels]
    assert 0.9 <= held.mean() < 0.93
    assert min(held[labels == k].mean() for k in range(7)) >= 0.87


def test_a_label_without_faces_shares_the_threshold_of_all():
    scores, labels = scores_and_labels(800)
    kept = labels != 1
    least = fit_least_scores(scores[kept], labels[kept], 0.9)
    assert np.isfinite(least).all()
    assert least[1] == least.max()


@given(seed=st.integers(0, 30))
@settings(max_examples=15)
def test_a_higher_level_only_adds_labels_and_a_larger_share_only_answers(seed):
    scores, labels = scores_and_labels(300, seed=seed)
    found = fit_certainty(scores, labels)
    least = np.array(found.least_scores)
    assert (np.diff(least, axis=0) <= 0).all()
    assert (np.diff(found.sure_scores) <= 0).all()
    assert found.sure_scores[-1] == 0.0
    assert Contract(name="x", certainty=found).certainty == found


def test_shares_are_answered_and_their_accuracy_is_told():
    scores, labels = scores_and_labels(2000)
    found = fit_certainty(scores, labels, data="drawn")
    assert (found.data, found.faces, found.levels, found.shares) == ("drawn", 2000, LEVELS, SHARES)
    best, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    for share, least, accuracy in zip(
        found.shares, found.sure_scores, found.accuracies, strict=True
    ):
        assert (best >= least).mean() == pytest.approx(share, abs=0.002)
        assert right[best >= least].mean() == pytest.approx(accuracy, abs=0.002)
    assert found.accuracies[0] > found.accuracies[-1]


def test_too_few_faces_are_refused():
    margins, labels = draw(99)
    with pytest.raises(DataError, match=r"at least 100 faces of different photographs.*got 99"):
        calibrate(CONTRACT, Margins(margins, labels, labels), data="few")


def test_each_photograph_calibrates_once_and_none_that_was_trained_on():
    dataset = small_dataset(80)
    stack = dataset.stack.copy()
    sides = np.array([sample.side for sample in dataset.samples])
    train, validation = np.flatnonzero(sides == "train"), np.flatnonzero(sides == "validation")
    stack[validation[0]] = stack[train[0]][:, ::-1]
    stack[validation[1]] = stack[validation[2]]
    dataset = replace(dataset, stack=stack)

    rows = calibration_rows(dataset)
    assert set(rows) == set(validation) - {validation[0], validation[2]}
    assert set(calibration_rows(dataset, side="test")) == set(np.flatnonzero(sides == "test"))


def test_faces_without_sides_all_calibrate():
    samples = tuple(Sample(id=str(i), label=i % 7) for i in range(40))
    dataset = replace(small_dataset(40), samples=samples)
    assert calibration_rows(dataset).tolist() == list(range(40))


def test_the_training_data_without_sides_are_refused_and_others_are_not():
    samples = tuple(Sample(id=str(i), label=i % 7) for i in range(40))
    mine = replace(small_dataset(40), samples=samples)
    with pytest.raises(DataError, match="has not seen, got small, on which it was trained"):
        calibration_rows(mine, trained_on=fingerprint(mine))
    other = replace(small_dataset(40, seed=1), samples=samples)
    assert len(calibration_rows(other, trained_on=fingerprint(mine))) == 40
    sided = small_dataset(40)
    assert len(calibration_rows(sided, trained_on=fingerprint(sided))) == 10
    with pytest.raises(DataError, match="on which it was trained"):  # on sides that were drawn
        calibration_rows(sided, trained_on=fingerprint(sided), own_sides=False)


def test_a_side_without_faces_is_refused():
    with pytest.raises(DataError, match=r"on the test side of small, found none.*--side"):
        calibration_rows(small_dataset(40, test=False), side="test")


def test_margins_and_labels_follow_the_models_order_of_labels():
    dataset = small_dataset(140)
    turned = FakePredictor(skill=9.0, labels=tuple(reversed(dataset.labels)))
    counted = []
    found = margins_of(turned, dataset, np.arange(140), progress=counted.append)
    assert (found.margins.argmax(axis=1) == found.labels).mean() > 0.95
    assert (found.labels == 6 - dataset.targets).all()
    assert sum(counted) == 140
    assert margins_of(turned, dataset, np.arange(0)).margins.shape == (0, 7)
    with pytest.raises(ContractError, match="labelled"):
        margins_of(FakePredictor(labels=("happy", "sad")), dataset, np.arange(3))


def test_faces_of_one_person_count_as_one_person():
    dataset = small_dataset(20)
    people = ["a", "b", None, "a"] * 5
    samples = tuple(replace(s, subject=p) for s, p in zip(dataset.samples, people, strict=True))
    found = margins_of(FakePredictor(), replace(dataset, samples=samples), np.arange(20))
    assert len(np.unique(found.people)) == 2 + 5
    assert found.people[0] == found.people[3] != found.people[1]
