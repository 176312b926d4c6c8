"""Clips made of stills."""

import pytest

torch = pytest.importorskip("torch")

from facetell.recipe import ClipOptions  # noqa: E402
from facetell.train.pseudoclips import make_clips  # noqa: E402


def made(seed=0, *, count=64, frames=24, dark=40, bright=200, **options):
    """Clips of even faces: `dark` has label 0, `bright` label 1."""
    generator = torch.Generator().manual_seed(seed)
    faces, others = (torch.full((count, 16, 16), v, dtype=torch.uint8) for v in (dark, bright))
    zeros = torch.zeros(count, dtype=torch.int64)
    return make_clips(
        faces, zeros, others, zeros + 1, ClipOptions(frames=frames, **options), generator
    )


def test_the_label_is_that_of_the_face_that_is_shown():
    clips = made(change=1.0, shake=0.05)
    brightness = clips.frames.float().mean((2, 3))

    assert ((brightness > 120) == (clips.targets == 1)).float().mean() > 0.99
    assert {0, 1} <= set(clips.targets.unique().tolist())


def test_a_face_gives_way_once_and_within_six_frames():
    clips = made(change=1.0, shake=0.01)
    steps = clips.targets.diff(dim=1)
    middle = ((clips.frames.float().mean((2, 3)) - 120).abs() < 70).sum(1)

    assert steps.min() == 0
    assert steps.sum(1).max() == 1
    assert middle.max() <= 7
    assert made(change=0.0).targets.max() == 0


def test_every_clip_has_a_rate_of_its_own_and_drops_some_frames():
    elapsed = made().elapsed
    usual = elapsed[:, 1:].min(1).values

    assert (elapsed[:, 0] == 0).all()
    assert 1 / 60 - 1e-6 <= usual.min() < 1 / 40
    assert 1 / 12 < usual.max() <= 1 / 8 + 1e-6
    ratio = elapsed[:, 1:] / usual[:, None]
    assert torch.all((ratio - 1).abs().minimum((ratio - 2).abs()) < 1e-3)
    assert 0.01 < (ratio > 1.5).float().mean() < 0.1


def test_frames_near_in_time_look_alike_and_far_ones_do_not():
    generator = torch.Generator().manual_seed(1)
    ramp = torch.arange(16 * 16).reshape(16, 16).clamp_max(255).to(torch.uint8)
    faces, zeros = ramp.expand(64, 16, 16), torch.zeros(64, dtype=torch.int64)
    options = ClipOptions(frames=24, change=0.0)
    frames = make_clips(faces, zeros, faces, zeros, options, generator).frames.float()
    near = (frames[:, 1:] - frames[:, :-1]).abs().mean()
    far = (frames[:, 0] - frames[:, -1]).abs().mean()

    assert near < 0.7 * far


def test_the_same_seed_makes_the_same_clips():
    assert torch.equal(made(3).frames, made(3).frames)
    assert not torch.equal(made(3).frames, made(4).frames)
