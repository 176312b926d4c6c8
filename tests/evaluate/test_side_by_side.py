"""Accuracies beside speeds."""

from dataclasses import replace

import numpy as np
import pytest

from facetell.datasets.duplicates import cached_near_copies, known_near_copies
from facetell.datasets.splits import split
from facetell.evaluate.judged import judge
from facetell.evaluate.side_by_side import accuracies, known_clean
from judging import FakePredictor, small_dataset


def with_copies():
    """Ten test faces are copies of train faces."""
    dataset = small_dataset(140)
    sides = np.array([sample.side for sample in dataset.samples])
    test, train = np.flatnonzero(sides == "test")[:10], np.flatnonzero(sides == "train")[:10]
    dataset.stack[test] = dataset.stack[train]
    return dataset


def test_clean_accuracy_is_given_only_where_the_search_was_done_before():
    dataset = with_copies()
    assert known_near_copies(dataset.faces()) is None
    assert known_clean(dataset) is None

    cached_near_copies(dataset.faces())
    clean = known_clean(dataset)

    found = accuracies(FakePredictor(skill=3.0, flip=False), split(dataset), clean)
    assert (found.faces, found.clean_faces) == (35, 25)
    assert found.side == "test"
    assert not found.judged_with_flip


def test_the_numbers_are_those_of_the_whole_judgement():
    dataset = with_copies()
    cached_near_copies(dataset.faces())
    model, clean = FakePredictor(skill=1.0), known_clean(dataset)
    found = accuracies(model, split(dataset), clean)
    assert found.accuracy == pytest.approx(judge(model, dataset, split(dataset)).correct.mean())
    assert found.clean_accuracy == pytest.approx(judge(model, dataset, clean).correct.mean())
    assert found.clean_accuracy != found.accuracy
    without = accuracies(model, split(dataset), None)
    assert (without.clean_faces, without.clean_accuracy) == (0, None)


def test_where_a_seed_draws_the_judged_faces_the_clean_ones_are_not_known():
    dataset = with_copies()
    cached_near_copies(dataset.faces())
    alone = tuple(replace(sample, side="train") for sample in dataset.samples)
    assert known_clean(replace(dataset, samples=alone)) is None
