import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facetell.runtime.steady import Steady

RATE = 30


def scores(label: int, sure: float) -> np.ndarray:
    out = np.full(7, (1 - sure) / 6)
    out[label] = sure
    return out


def flickering(truth: np.ndarray, seed: int, spread: float = 0.9) -> np.ndarray:
    """(F, 7) scores of the true label with noise that often puts another one first."""
    rng = np.random.default_rng(seed)
    logits = 1.6 * np.eye(7)[truth] + rng.normal(0, spread, (len(truth), 7))
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True)


def labels(series: np.ndarray, rate: float = RATE) -> np.ndarray:
    steady = Steady()
    return np.array([steady.update(s, s, i / rate).label for i, s in enumerate(series)])


def switches(found: np.ndarray) -> int:
    return int((np.diff(found) != 0).sum())


def test_the_first_frame_stands_for_itself():
    first = Steady().update(scores(3, 0.4), scores(3, 0.4), 5.0)
    assert first.label == 3
    assert np.allclose(first.scores, scores(3, 0.4))


@pytest.mark.parametrize("seed", range(4))
def test_a_minute_of_flicker_switches_less_than_a_fifth_as_often(seed):
    series = flickering(np.zeros(60 * RATE, int), seed)
    single = switches(series.argmax(axis=1))
    assert single > 100
    assert switches(labels(series)) * 5 <= single


@pytest.mark.parametrize("seed", range(8))
def test_a_true_change_is_shown_within_200_ms(seed):
    truth = np.repeat([2, 5], 2 * RATE)
    found = labels(flickering(truth, seed))
    shown = np.flatnonzero(found[2 * RATE :] == 5)
    assert shown[0] / RATE <= 0.2


def test_one_odd_frame_changes_nothing_but_a_clear_change_passes_at_once():
    steady = Steady()
    for i in range(30):
        steady.update(scores(0, 0.8), scores(0, 0.8), i / RATE)
    assert steady.update(scores(1, 0.6), scores(1, 0.6), 1.0).label == 0
    for i in range(1, 5):
        now = steady.update(scores(1, 0.95), scores(1, 0.95), 1 + i / RATE)
    assert now.label == 1


@pytest.mark.parametrize("rate", [10, 25, 60])
def test_the_delay_hardly_depends_on_the_frame_rate(rate):
    truth = np.repeat([2, 5], 2 * rate)
    series = np.array([scores(label, 0.8) for label in truth])
    delay = np.flatnonzero(labels(series, rate)[2 * rate :] == 5)[0] / rate
    assert delay <= 0.2


def test_after_a_long_absence_the_new_look_counts():
    steady = Steady()
    for i in range(60):
        steady.update(scores(0, 0.9), scores(0, 0.9), i / RATE)
    assert steady.update(scores(4, 0.7), scores(4, 0.7), 60.0).label == 4


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.floats(0, 1), st.floats(0, 5)), min_size=1, max_size=40
    )
)
def test_scores_stay_scores_whatever_comes(frames):
    steady, time_s = Steady(), 0.0
    seen = set()
    for label, sure, step in frames:
        time_s += step
        one = scores(label, sure)
        seen.add(int(one.argmax()))
        now = steady.update(one, one, time_s)
        assert now.scores.sum() == pytest.approx(1)
        assert ((now.scores >= 0) & (now.scores <= 1)).all()
        assert 0 <= now.label < 7


@given(label=st.integers(0, 6), sure=st.floats(0.2, 1), frames=st.integers(1, 50))
@settings(deadline=None, max_examples=30)
def test_a_look_that_does_not_change_comes_back_unchanged(label, sure, frames):
    found = [Steady()]
    for i in range(frames):
        now = found[0].update(scores(label, sure), scores(label, sure), i / RATE)
    assert now.label == label
    assert np.allclose(now.scores, scores(label, sure))
