"""Agreement with raters: numbers that can be worked out by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from facetell.datasets.ferplus import EIGHT
from facetell.datasets.toon import make_toon
from facetell.evaluate.raters import RaterScore, rater_score, votes_for
from facetell.evaluate.table import raters_line
from facetell.labels import EMOTIONS


def test_the_model_agrees_with_the_share_of_raters_who_say_the_same():
    score = rater_score([0, 2], np.array([[9, 1, 0], [2, 2, 6]]))
    assert score.n == 2
    assert score.model.value == pytest.approx((0.9 + 0.6) / 2)
    assert score.model.low <= score.model.value <= score.model.high


def test_faces_with_few_votes_do_not_count():
    assert rater_score([0, 0], np.array([[7, 0], [8, 0]])).n == 1
    assert rater_score([0], np.array([[7, 0]])) is None


def test_copies_are_redrawn_together_and_faces_with_few_votes_in_no_group():
    votes = np.random.default_rng(0).multinomial(10, [0.5, 0.3, 0.2], 60)
    few, people = np.ones((20, 3), int), np.arange(60)
    alone = rater_score(np.zeros(60, int), votes).model

    def score(groups=None):
        table = np.concatenate([few, votes, votes, votes, votes])
        return rater_score(np.zeros(260, int), table, groups=groups).model

    assert score([*range(100, 120), *np.tile(people, 4)]) == pytest.approx(alone)
    assert score().high - score().low < 0.6 * (alone.high - alone.low)


def test_one_rater_foresees_another_as_two_draws_without_putting_back_agree():
    votes = np.tile([6, 3, 1], (2000, 1))
    expected = (6 * 5 + 3 * 2 + 0) / (10 * 9)
    assert rater_score(np.zeros(2000, int), votes).pools[1] == pytest.approx(expected, abs=0.01)


def test_more_raters_foresee_better_and_unanimous_ones_always():
    pools = rater_score(np.zeros(500, int), np.tile([8, 2], (500, 1))).pools
    assert pools[1] < pools[3] < 0.8
    assert set(rater_score([1], np.array([[0, 10]])).pools.values()) == {1.0}


def test_votes_come_in_the_order_of_the_labels_and_others_are_left_out():
    dataset = make_toon(characters=3, per_emotion=1, face_px=16)
    first = replace(dataset.samples[0], votes=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
    dataset = replace(dataset, samples=(first, *dataset.samples[1:]))
    assert votes_for(dataset, np.arange(2), EMOTIONS).tolist() == [[5, 6, 7, 2, 4, 3, 1], [0] * 7]
    assert votes_for(dataset, np.array([0]), EIGHT)[0, 7] == 8
    assert not votes_for(dataset, np.array([0]), ("cross", "calm")).any()


def test_a_score_survives_json_and_is_told_in_one_line():
    score = rater_score([0, 2], np.array([[9, 1, 0], [2, 2, 6]]))
    assert RaterScore.from_dict(json.loads(json.dumps(score.to_dict()))) == score
    assert raters_line(score).startswith("a rater agrees with the model on 75.00 % (")
    assert "of 2 faces with 8 votes or more" in raters_line(score)
