"""The canary sings on copies and is silent without them."""

from __future__ import annotations

import numpy as np
import pytest

from facetell.datasets.splits import split
from facetell.errors import InputError
from facetell.evaluate import canary as module
from facetell.evaluate.canary import canary, nearest_labels
from facetell.evaluate.evaluation import Evaluation
from judging import small_dataset

pytest.importorskip("skimage")


def test_nobody_to_label_gives_no_labels():
    found = nearest_labels(np.zeros((3, 4)), np.array([1, 2, 3]), np.zeros((0, 4)))
    assert found.shape == (0,)
    assert found.dtype == np.int64


def test_the_labels_are_scikit_learns_in_blocks_of_any_size(monkeypatch):
    neighbors = pytest.importorskip("sklearn.neighbors")
    rng = np.random.default_rng(0)
    train, faces = rng.normal(size=(50, 6)), rng.normal(size=(23, 6))
    targets = rng.integers(0, 7, 50)
    expected = neighbors.KNeighborsClassifier(1).fit(train, targets).predict(faces)
    for block in (1, 7, 1000):
        monkeypatch.setattr(module, "_BLOCK", block)
        assert (nearest_labels(train, targets, faces) == expected).all()


def test_a_face_is_as_near_as_its_nearer_way_round():
    train = np.array([[0.0, 1.0], [5.0, 5.0]])
    faces, mirrored = np.array([[4.0, 4.0], [9.0, 9.0]]), np.array([[0.0, 1.0], [5.0, 6.0]])
    targets = np.array([3, 6])
    assert nearest_labels(train, targets, faces).tolist() == [6, 6]
    assert nearest_labels(train, targets, faces, mirrored=mirrored).tolist() == [3, 6]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((np.zeros((0, 2)), [], np.zeros((1, 2)), None), "at least one training face"),
        ((np.zeros((3, 2)), [0, 1, 2], np.zeros((1, 5)), None), r"\(3, 2\), \(1, 5\)"),
        ((np.zeros((3, 2)), [0], np.zeros((1, 2)), None), "each of the 3 training faces, got 1"),
        ((np.zeros((1, 2)), [0], np.zeros((2, 2)), np.zeros((1, 2))), "of all 2 faces, got 1"),
    ],
)
def test_tables_that_do_not_fit_are_refused(values, said):
    train, targets, faces, mirrored = values
    with pytest.raises(InputError, match=said):
        nearest_labels(train, np.array(targets, int), faces, mirrored=mirrored)


@pytest.mark.parametrize("mirror", [1, -1])
def test_copies_on_the_judged_side_are_found_also_when_mirrored(mirror):
    data = small_dataset()
    parts = split(data)
    labels, train = data.targets, parts.train.indices
    for index in parts.test:
        original = next(i for i in train if labels[i] == labels[index])
        data.stack[index] = data.stack[original][:, ::mirror]

    judged = canary(data, parts)

    assert judged.side == "test"
    assert judged.correct.all()
    assert Evaluation.of(judged).metrics["accuracy"].value == 1


def test_unrelated_faces_are_labelled_by_chance():
    data = small_dataset(280)
    judged = canary(data, split(data))
    assert judged.correct.mean() < 0.4


def test_the_answer_says_what_it_is_and_whom_it_judged():
    data = small_dataset()
    parts = split(data)
    seen = []
    judged = canary(
        data, parts, "validation", kind="pixels", progress=lambda *done: seen.append(done)
    )
    assert judged.contract.name == "canary (pixels)"
    assert judged.contract.protocol == "official"
    assert judged.indices.tolist() == parts.validation.tolist()
    assert judged.scores.sum(axis=1).tolist() == [1] * 35
    assert seen[-1] == (140, 140)


def test_the_leaky_protocol_makes_the_canary_sing():
    data = small_dataset(70)
    parts = split(data, "leaky-80-10-10")
    leaky = canary(parts.dataset, parts).correct.mean()
    honest = canary(data, split(data)).correct.mean()
    assert leaky > 0.7 > 0.4 > honest
