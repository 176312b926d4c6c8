"""Augmentation."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from facetell.recipe import AugmentOptions  # noqa: E402
from facetell.train.augment import augment, mix_up, spoil  # noqa: E402

NOTHING = AugmentOptions(flip=False, rotate_deg=0, scale=0, shift=0, contrast=0, brightness=0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def faces(*shape):
    return torch.randint(0, 256, shape, generator=generator(9)).to(torch.uint8)


@pytest.mark.parametrize("shape", [(1, 16, 16), (5, 16, 16), (5, 16, 16, 3)])
def test_no_change_asked_for_is_no_change(shape):
    x = faces(*shape)

    assert torch.equal(augment(x, NOTHING, generator(), face_px=16), x)


def test_flip_alone_gives_the_face_or_its_mirror_image():
    x = faces(40, 16, 16)

    out = augment(x, AugmentOptions(**{**vars(NOTHING), "flip": True}), generator(), face_px=16)

    same = (out == x).flatten(1).all(1)
    mirrored = (out == x.flip(2)).flatten(1).all(1)
    assert (same | mirrored).all()
    assert 5 < same.sum() < 35


def test_the_same_generator_gives_the_same_faces_and_another_gives_others():
    x, options = faces(6, 24, 24), AugmentOptions(erase=0.5)

    first = augment(x, options, generator(1), face_px=24)

    assert torch.equal(first, augment(x, options, generator(1), face_px=24))
    assert not torch.equal(first, augment(x, options, generator(2), face_px=24))


def test_faces_do_not_leak_into_each_other():
    x = torch.arange(8, dtype=torch.uint8)[:, None, None].expand(8, 16, 16) * 30
    options = AugmentOptions(contrast=0.0, brightness=0.0, erase=1.0)

    out = augment(x.contiguous(), options, generator(), face_px=16)

    assert torch.equal(out, x)


def test_a_smaller_side_is_the_same_face_smaller():
    x = torch.zeros(1, 48, 48, dtype=torch.uint8)
    x[:, :24] = 200

    out = augment(x, NOTHING, generator(), face_px=36)

    assert out.shape == (1, 36, 36)
    assert (out[0, :17] == 200).all()
    assert (out[0, 19:] == 0).all()


def test_erase_blanks_at_most_a_fifth_of_some_faces():
    x = faces(200, 32, 32)

    out = augment(x, AugmentOptions(**{**vars(NOTHING), "erase": 0.5}), generator(), face_px=32)

    changed = (out != x).flatten(1).float().mean(1)
    assert 60 < (changed > 0).sum() < 140
    assert changed.max() < 0.25


def test_mixup_off_changes_nothing_and_on_keeps_the_larger_share():
    x, targets = torch.randn(8, 3), torch.eye(8)
    same, kept = mix_up((x, targets), 0.0, generator())
    assert torch.equal(same, x)
    assert torch.equal(kept, targets)

    mixed, shares = mix_up((x, targets), 0.4, generator())

    assert (shares.diagonal() >= 0.5).all()
    assert torch.allclose(shares.sum(1), torch.ones(8))
    assert torch.allclose(mixed, shares @ x, atol=1e-6)


def spoilt(**options):
    """400 faces of black and white stripes of one pixel, changed in one way."""
    faces = torch.zeros(400, 24, 24, dtype=torch.uint8)
    faces[:, :, ::2] = 200
    return spoil(faces, replace(NOTHING, **options), generator()).float()


def test_coarse_faces_lose_detail_and_keep_their_brightness():
    before, after = spoilt(), spoilt(coarse=0.5)
    contrast = (after[:, :, 1:] - after[:, :, :-1]).abs().mean((1, 2))
    changed = contrast < 0.99 * (before[:, :, 1:] - before[:, :, :-1]).abs().mean()
    assert 150 < changed.sum() < 250
    assert contrast.min() < 40
    assert (after[~changed] - before[~changed]).abs().max() <= 2
    assert (after - before).mean((1, 2)).abs().max() < 6


def test_every_second_face_gets_noise_of_some_deviation():
    deviation = (spoilt(noise=0.2)[:, :, ::2] - 200).std((1, 2))
    assert 150 < (deviation > 0).sum() < 250
    assert 20 < deviation.max() < 60
