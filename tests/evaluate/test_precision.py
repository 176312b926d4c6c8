from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facetell.evaluate.metrics import mean_of_defined
from facetell.evaluate.precision import average_precision, average_precisions, redraws


def sklearn_precision(truth, scores, weights=None) -> float:
    metrics = pytest.importorskip("sklearn.metrics")
    return metrics.average_precision_score(truth, scores, sample_weight=weights)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=40).filter(
        lambda rows: any(truth for truth, _ in rows)
    )
)
def test_average_precision_is_scikit_learns_also_with_ties(rows):
    truth, scores = np.array([t for t, _ in rows]), np.array([s for _, s in rows], float)
    assert average_precision(truth, scores)[0] == pytest.approx(sklearn_precision(truth, scores))


def test_weighted_average_precision_is_scikit_learns():
    rng = np.random.default_rng(0)
    truth, scores = rng.random(200) < 0.2, rng.integers(0, 50, 200)
    weights = rng.integers(0, 4, (5, 200)).astype(float)
    found = average_precision(truth, scores, weights)
    assert found == pytest.approx([sklearn_precision(truth, scores, row) for row in weights])


def test_weights_count_people_as_if_they_were_there_that_often():
    rng = np.random.default_rng(1)
    truth, scores = rng.random(50) < 0.3, rng.random(50)
    times = rng.integers(0, 3, 50)
    repeated = average_precision(np.repeat(truth, times), np.repeat(scores, times))
    assert average_precision(truth, scores, times[None]) == pytest.approx(repeated)


@pytest.mark.parametrize("count", [0, 4])
def test_a_class_that_nobody_carries_has_no_precision(count):
    assert np.isnan(average_precision(np.zeros(count, bool), np.arange(count))).all()


def test_a_constant_score_gets_the_share_of_the_class():
    truth = np.arange(10) < 3
    assert average_precision(truth, np.zeros(10))[0] == pytest.approx(0.3)
    assert average_precision(truth, -np.arange(10.0))[0] == 1


def test_the_order_of_the_people_does_not_matter():
    rng = np.random.default_rng(2)
    truth, scores = rng.random(100) < 0.4, rng.integers(0, 5, 100)
    order = rng.permutation(100)
    assert average_precision(truth, scores) == average_precision(truth[order], scores[order])


def test_people_of_one_photo_are_drawn_together():
    groups = np.array([5, 5, 7, 9, 9, 9])
    drawn = np.concatenate(list(redraws(groups, seed=0, resamples=50)))
    assert drawn.shape == (50, 6)
    for group in (5, 9):
        of_group = drawn[:, groups == group]
        assert (of_group == of_group[:, :1]).all()
    assert (drawn[:, [0, 2, 3]].sum(axis=1) == 3).all()  # three photos, each time


def test_blocks_of_redraws_are_bounded_and_complete():
    blocks = list(redraws(np.arange(30_000), seed=0, resamples=100))
    assert [len(block) for block in blocks] == [66, 34]


def test_intervals_cover_a_known_precision():
    rng = np.random.default_rng(3)
    truth = rng.random((2000, 2)) < 0.25
    value, drawn = average_precisions(
        truth, rng.random((2000, 2)), groups=np.arange(2000), resamples=200
    )
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    assert drawn.shape == (200, 2)
    assert ((low < 0.25) & (high > 0.25)).all()
    assert ((low < value) & (value < high)).all()


def test_redraws_do_not_raise_the_precision_of_a_rare_class():
    rng = np.random.default_rng(5)
    truth, scores, groups = (np.arange(300) < 9)[:, None], rng.random((300, 20)), np.arange(300)
    truth = np.repeat(truth, 20, axis=1)
    value, drawn = average_precisions(truth, scores, groups=groups, resamples=100)
    assert drawn.mean(axis=0) == pytest.approx(value, abs=2e-3)
    weights = np.concatenate(list(redraws(groups, seed=0, resamples=100)))
    raw = [average_precision(truth[:, k], scores[:, k], weights).mean() for k in range(20)]
    assert np.mean(raw) > 1.1 * value.mean()  # this is what they are moved for


def test_the_mean_leaves_nans_out():
    values = np.array([[1, np.nan, 3], [np.nan] * 3])
    assert mean_of_defined(values)[0] == 2
    assert np.isnan(mean_of_defined(values)[1])
