"""Order and share of training batches."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from facetell.contract import Contract  # noqa: E402
from facetell.datasets.splits import oversample, split  # noqa: E402
from facetell.datasets.toon import make_toon  # noqa: E402
from facetell.recipe import load_recipe  # noqa: E402
from facetell.train.batches import TrainingFaces  # noqa: E402


@pytest.fixture(scope="module")
def side():
    return split(make_toon(characters=4, per_emotion=3, face_px=16), "official").train


def training_faces(side, **settings):
    overrides = [f"train.{k}={v}" for k, v in {"batch_size": 8, **settings}.items()]
    recipe = load_recipe("quick", overrides=[*overrides, "model.face_px=16"])
    return TrainingFaces(side, recipe, Contract(name="x", face_px=16))


def test_an_epoch_sees_no_face_twice_and_leaves_less_than_a_batch_out(side):
    faces = training_faces(side)
    rows = faces._order(0)

    assert sorted(rows) == list(range(len(side)))
    assert len(side) - faces.steps() * 8 < 8


def test_the_same_epoch_is_the_same_and_the_next_one_differs(side):
    def first(epoch):
        return next(training_faces(side).epoch(epoch))[0]

    assert torch.equal(first(3), first(3))
    assert not torch.equal(first(3), first(4))


def test_processes_share_every_batch_without_overlap(side):
    faces = training_faces(side)
    alone = [targets for _, targets, _ in faces.epoch(0)]
    shared = [
        torch.stack([a, b], 1).flatten()
        for (_, a, _), (_, b, _) in zip(
            faces.epoch(0, rank=0, processes=2), faces.epoch(0, rank=1, processes=2), strict=True
        )
    ]

    assert all(torch.equal(x, y) for x, y in zip(alone, shared, strict=True))


def test_oversampled_classes_are_equally_frequent(side):
    faces = training_faces(oversample(side, seed=0))
    counts = np.bincount(faces._targets[faces._row], minlength=7)

    assert len(set(counts.tolist())) == 1


def test_the_first_epochs_see_smaller_faces_when_the_recipe_says_so(side):
    faces = training_faces(side, small_share=0.5, epochs=4)
    sides = [next(faces.epoch(epoch))[0].shape[-1] for epoch in range(4)]

    assert sides == [12, 12, 16, 16]
