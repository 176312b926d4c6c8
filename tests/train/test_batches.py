"""Order and share of training batches."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from facetell.contract import Contract  # noqa: E402
from facetell.datasets.splits import oversample, split  # noqa: E402
from facetell.datasets.toon import make_toon  # noqa: E402
from facetell.errors import TrainingError  # noqa: E402
from facetell.labels import EMOTIONS  # noqa: E402
from facetell.recipe import load_recipe  # noqa: E402
from facetell.train import batches  # noqa: E402
from facetell.train.batches import TrainingFaces  # noqa: E402


@pytest.fixture(scope="module")
def side():
    return split(make_toon(characters=4, per_emotion=3, face_px=16), "official").train


def training_faces(side, *others, **settings):
    overrides = [f"train.{k}={v}" for k, v in {"batch_size": 8, **settings}.items()]
    recipe = load_recipe("quick", overrides=[*overrides, *others, "model.face_px=16"])
    return TrainingFaces(side, recipe, Contract(name="x", face_px=16))


def test_an_epoch_sees_no_face_twice_and_leaves_less_than_a_batch_out(side):
    faces = training_faces(side)
    rows = faces._order(0)

    assert sorted(rows) == list(range(len(side)))
    assert len(side) - faces.steps() * 8 < 8


def test_the_same_epoch_is_the_same_and_the_next_one_differs(side):
    def first(epoch):
        return next(training_faces(side).epoch(epoch)).faces

    assert torch.equal(first(3), first(3))
    assert not torch.equal(first(3), first(4))


def test_processes_share_every_batch_without_overlap(side):
    faces = training_faces(side)
    alone = [batch.targets[:, 0] for batch in faces.epoch(0)]
    shared = [
        torch.cat([a.targets, b.targets], 1).flatten(0, 1)
        for a, b in zip(
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
    sides = [next(faces.epoch(epoch)).faces.shape[-1] for epoch in range(4)]

    assert sides == [12, 12, 16, 16]


def test_what_teachers_see_is_the_face_before_it_was_spoilt(side):
    plain = next(training_faces(side).epoch(0))
    spoilt = next(training_faces(side, "augment.noise=0.3", "augment.coarse=0.5").epoch(0))
    assert torch.equal(spoilt.clear, plain.faces)
    assert not torch.equal(spoilt.faces, plain.faces)
    assert torch.equal(plain.clear, plain.faces)


def training_clips(side, share=0.5):
    overrides = ["model.face_px=16", "model.memory=4", "clips.frames=5", "train.batch_size=8",
                 f"clips.share={share}"]  # fmt: skip
    recipe = load_recipe("quick", overrides=overrides)
    return batches.training_faces(side, recipe, Contract(name="x", face_px=16, memory=4))


def test_a_recipe_with_clips_trains_on_frames_made_of_a_share_of_its_faces(side):
    clips = training_clips(side)
    batch = next(clips.epoch(0))

    assert clips.steps() == max(1, len(side) // 2 // 8)
    assert batch.faces.shape == (8, 5, 1, 16, 16)
    assert batch.targets.shape[:2] == batch.elapsed.shape == (8, 5)
    assert torch.equal(next(clips.epoch(0)).faces, batch.faces)
    assert not torch.equal(next(clips.epoch(1)).faces, batch.faces)


def test_the_clips_that_an_epoch_is_judged_by_are_always_the_same(side):
    recipe = load_recipe("quick", overrides=["model.face_px=16", "model.memory=4",
                                             "clips.frames=5"])  # fmt: skip
    contract = Contract(name="x", face_px=16, memory=4)
    made = [batches.held_out_clips(side.dataset, side.indices, recipe, contract) for _ in range(2)]

    assert len(made[0].frames) == min(len(side), 400)
    assert torch.equal(made[0].frames, made[1].frames)


def voted(*votes):
    """Toon faces with these FER+ votes on the first ones."""
    dataset = make_toon(characters=3, per_emotion=1, face_px=16)
    samples = [
        replace(sample, votes=tuple(cast))
        for sample, cast in zip(dataset.samples, votes, strict=False)
    ]
    return replace(dataset, samples=(*samples, *dataset.samples[len(samples) :]))


def test_votes_are_their_share_of_the_target_and_faces_without_keep_their_label():
    happy_and_sad = (0, 6, 0, 4, 0, 0, 0, 0, 0, 0)
    no_face = (0, 0, 0, 0, 0, 0, 0, 0, 0, 10)
    dataset = voted(happy_and_sad, no_face)
    soft = batches.soft_targets(dataset, np.arange(3), 0.5)
    label = torch.eye(7)[dataset.targets[:3]]
    expected = 0.5 * label[0]
    expected[EMOTIONS.index("happy")] += 0.3
    expected[EMOTIONS.index("sad")] += 0.2
    assert torch.allclose(soft[0], expected)
    assert torch.equal(soft[1:], label[1:])
    assert torch.equal(batches.soft_targets(dataset, np.arange(3), 0.0), label)


def test_votes_that_nobody_cast_are_an_error():
    with pytest.raises(TrainingError, match=r"FER\+ votes with the training faces.*data\.votes=0"):
        batches.soft_targets(voted(), np.arange(3), 0.5)
