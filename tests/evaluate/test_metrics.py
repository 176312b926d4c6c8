import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as oracle

from facetell.errors import InputError
from facetell.evaluate import metrics


def answers(n=600, classes=7, seed=0, skill=2.0):
    """Labels and softmax scores that know something about them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    margins = rng.normal(size=(n, classes)) + skill * np.eye(classes)[labels]
    scores = np.exp(margins)
    return labels, scores / scores.sum(axis=1, keepdims=True)


@pytest.fixture(params=[0, 1, 2])
def judged(request):
    labels, scores = answers(seed=request.param)
    predicted = scores.argmax(axis=1)
    return labels, scores, predicted, metrics.confusion_matrix(labels, predicted, 7)


def test_headline_numbers_are_those_of_scikit_learn(judged):
    labels, scores, predicted, confusion = judged

    assert (confusion == oracle.confusion_matrix(labels, predicted)).all()
    assert metrics.accuracy(confusion) == pytest.approx(oracle.accuracy_score(labels, predicted))
    assert metrics.balanced_accuracy(confusion) == pytest.approx(
        oracle.balanced_accuracy_score(labels, predicted)
    )
    assert metrics.macro_f1(confusion) == pytest.approx(
        oracle.f1_score(labels, predicted, average="macro")
    )
    assert metrics.negative_log_likelihood(scores, labels) == pytest.approx(
        oracle.log_loss(labels, scores)
    )
    assert metrics.brier(scores, labels) == pytest.approx(
        oracle.brier_score_loss(labels, scores, scale_by_half=False)
    )


def test_per_class_numbers_are_those_of_scikit_learn(judged):
    labels, _, predicted, confusion = judged
    precision, recall, f1, support = oracle.precision_recall_fscore_support(labels, predicted)

    ours = metrics.per_class(confusion)

    np.testing.assert_allclose(ours.recall, recall)
    np.testing.assert_allclose(ours.precision, precision)
    np.testing.assert_allclose(ours.f1, f1)
    assert (ours.support == support).all()


def test_balanced_accuracy_is_the_mean_over_classes_that_occur():
    confusion = np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])

    assert metrics.balanced_accuracy(confusion) == pytest.approx((3 / 4 + 1) / 2)
    assert np.isnan(metrics.per_class(confusion).recall[2])


def test_macro_f1_leaves_out_classes_that_nobody_mentions():
    labels, predicted = [0, 0, 1, 1], [0, 1, 1, 1]
    confusion = metrics.confusion_matrix(labels, predicted, 3)

    assert metrics.macro_f1(confusion) == pytest.approx(
        oracle.f1_score(labels, predicted, average="macro")
    )


def test_no_face_at_all_gives_nan_without_a_warning():
    empty = metrics.confusion_matrix([], [], 7)

    assert empty.shape == (7, 7)
    assert np.isnan(metrics.accuracy(empty))
    assert np.isnan(metrics.balanced_accuracy(empty))


def test_a_stack_of_matrices_is_judged_one_by_one(judged):
    confusion = judged[3]
    stack = np.stack([confusion, confusion.T])

    for metric in (metrics.accuracy, metrics.balanced_accuracy, metrics.macro_f1):
        np.testing.assert_allclose(metric(stack), [metric(confusion), metric(confusion.T)])


def test_bins_are_of_equal_mass_and_hold_every_face_once(judged):
    labels, scores, predicted, _ = judged
    confidence, correct = scores.max(axis=1), predicted == labels

    bins = metrics.reliability(confidence, correct)

    assert bins.size.tolist() == [40] * 15
    assert (bins.low[1:] > bins.high[:-1]).all()
    assert (bins.size * bins.accuracy).sum() == pytest.approx(correct.sum())
    assert (bins.size * bins.confidence).sum() == pytest.approx(confidence.sum())


def test_calibration_error_equals_a_slow_loop(judged):
    labels, scores, predicted, _ = judged
    confidence, correct = scores.max(axis=1), predicted == labels
    order = np.argsort(confidence)
    slow = 0.0
    for faces in np.array_split(order, 15):
        slow += abs(confidence[faces].mean() - correct[faces].mean()) * len(faces) / len(order)

    assert metrics.calibration_error(metrics.reliability(confidence, correct)) == pytest.approx(
        slow
    )


def test_a_model_that_is_always_equally_sure_has_one_bin():
    bins = metrics.reliability(np.full(100, 0.5), np.arange(100) % 2 == 0)

    assert bins.size.tolist() == [100]
    assert metrics.calibration_error(bins) == pytest.approx(0)


def test_fewer_faces_than_bins_fill_as_many_bins():
    bins = metrics.reliability([0.9, 0.5, 0.7], [1, 0, 1])

    assert bins.size.tolist() == [1, 1, 1]
    assert bins.confidence.tolist() == [0.5, 0.7, 0.9]


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(60)), st.integers(1, 20))
def test_the_order_of_the_faces_changes_no_bin(order, bins):
    rng = np.random.default_rng(3)
    confidence, correct = rng.integers(20, 40, 60) / 40, rng.random(60) < 0.5

    here = metrics.reliability(confidence, correct, bins)
    there = metrics.reliability(confidence[order], correct[order], bins)

    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(a, b)


def test_a_score_of_zero_costs_much_but_not_infinitely_much():
    scores = np.array([[1.0, 0.0]])

    assert metrics.negative_log_likelihood(scores, np.array([1])) == pytest.approx(-math.log(1e-12))


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (1, 40), (33, 55), (0, 1)])
def test_wilson_interval_is_that_of_scipy(hits, n):
    expected = stats.binomtest(hits, n).proportion_ci(method="wilson")

    low, high = metrics.wilson_interval(hits, n)

    assert (low, high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_wilson_interval_of_nothing_is_everything():
    assert metrics.wilson_interval(0, 0) == (0, 1)


def test_a_means_interval_agrees_with_scipys():
    labels, scores = answers(300)
    correct = (scores.argmax(axis=1) == labels).astype(float)
    expected = stats.bootstrap(
        (correct,), np.mean, method="percentile", n_resamples=2000, rng=np.random.default_rng(1)
    ).confidence_interval

    mean, low, high = metrics.bootstrap_mean(correct)

    assert (mean, low, high) == (
        correct.mean(),
        pytest.approx(expected.low, abs=0.008),
        pytest.approx(expected.high, abs=0.008),
    )


def test_same_seed_same_interval_other_seed_another():
    values = np.random.default_rng(0).normal(size=50)

    def interval(seed):
        return metrics.bootstrap_mean(values, seed=seed)

    assert interval(4) == interval(4)
    assert interval(4) != interval(5)


def test_intervals_cover_the_true_accuracy_as_often_as_they_say():
    rng = np.random.default_rng(8)
    truth, worlds = 0.7, 300
    covered = 0
    for world in range(worlds):
        correct = (rng.random(200) < truth).astype(float)
        _, low, high = metrics.bootstrap_mean(correct, seed=world, resamples=400)
        covered += low <= truth <= high

    assert stats.binomtest(covered, worlds, 0.94).pvalue > 0.01  # 0.94: percentile, 200 faces


def test_copies_in_groups_widen_the_interval_as_if_they_were_not_there():
    rng = np.random.default_rng(2)
    alone = (rng.random(150) < 0.6).astype(float)
    copied, groups = np.repeat(alone, 4), np.repeat(np.arange(150), 4)

    def width(correct, groups=None):
        _, low, high = metrics.bootstrap_mean(correct, groups=groups)
        return high - low

    assert width(copied, groups) == pytest.approx(width(alone))
    assert width(copied) == pytest.approx(width(alone) / 2, rel=0.1)


def test_chunks_of_resamples_do_not_share_faces():
    sums = metrics.bootstrap_sums(np.ones((30_000, 1)), resamples=150)

    assert sums.shape == (150, 1)
    assert (sums == 30_000).all()


@pytest.mark.parametrize(
    ("only_a", "only_b", "p_value"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 2 / 32),  # 2 * (1/2)^5
        (1, 6, 2 * (1 + 7) / 128),  # C(7,0) + C(7,1) = 8 of 128, both tails
        (3, 3, 1.0),
        (2, 8, 2 * (1 + 10 + 45) / 1024),
    ],
)
def test_mcnemar_gives_the_numbers_worked_by_hand(only_a, only_b, p_value):
    a = [1] * only_a + [0] * only_b + [1, 0]
    b = [0] * only_a + [1] * only_b + [1, 0]

    assert metrics.mcnemar(a, b) == (only_a, only_b, pytest.approx(p_value))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 900), st.integers(0, 900))
def test_mcnemar_is_the_binomial_test_of_the_discordant_faces(only_a, only_b):
    a, b = np.repeat([1, 0], [only_a, only_b]), np.repeat([0, 1], [only_a, only_b])
    n = only_a + only_b
    expected = stats.binomtest(only_a, n).pvalue if n else 1.0

    assert metrics.mcnemar(a, b).p_value == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_swapping_the_models_swaps_the_counts_and_keeps_the_p_value():
    rng = np.random.default_rng(0)
    a, b = rng.random(100) < 0.7, rng.random(100) < 0.5
    forth, back = metrics.mcnemar(a, b), metrics.mcnemar(b, a)

    assert (forth.only_a, forth.only_b, forth.p_value) == (back.only_b, back.only_a, back.p_value)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), max_size=40))
def test_mcnemar_over_groups_flips_the_signs_of_whole_groups(faces):
    a, b, groups = (np.array([face[i] for face in faces], int) for i in range(3))
    sums = [int((a - b)[groups == g].sum()) for g in range(6)]
    flips = [sum(s * f for s, f in zip(sums, signs, strict=True))
             for signs in product([-1, 1], repeat=6)]  # fmt: skip
    expected = np.mean(np.abs(flips) >= abs(sum(sums)))

    assert metrics.mcnemar(a, b, groups=groups).p_value == pytest.approx(expected)


def test_mcnemar_over_groups_of_one_face_is_the_plain_test():
    rng = np.random.default_rng(0)
    a, b = rng.random(1000) < 0.7, rng.random(1000) < 0.6

    assert metrics.mcnemar(a, b, groups=rng.permutation(1000)) == metrics.mcnemar(a, b)


def test_mcnemar_refuses_different_faces():
    with pytest.raises(InputError, match="judged on the same faces, got 3 and 2 answers"):
        metrics.mcnemar([1, 0, 1], [1, 0])
