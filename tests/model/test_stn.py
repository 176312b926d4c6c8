"""The spatial transformer."""

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

from facetell.model.stn import SpatialTransformer, base_grid, straighten  # noqa: E402

IDENTITY = torch.tensor([[1.0, 0, 0], [0, 1, 0]])


def test_the_identity_map_changes_nothing():
    faces = torch.rand(3, 1, 16, 16)

    out = straighten(faces, IDENTITY.expand(3, 2, 3), base_grid(16))

    assert torch.allclose(out, faces, atol=1e-5)


def test_a_map_that_looks_one_pixel_right_moves_the_picture_one_pixel_left():
    faces = torch.rand(1, 2, 8, 8)
    theta = IDENTITY.clone()[None]
    theta[0, 0, 2] = 2 / 8  # one pixel of eight, in [-1, 1]

    out = straighten(faces, theta, base_grid(8))

    assert torch.allclose(out[..., :-1], faces[..., 1:], atol=1e-5)
    assert torch.allclose(out[..., -1], torch.zeros(1), atol=1e-5)


def test_the_constant_grid_does_what_affine_grid_does():
    faces, theta = torch.rand(4, 3, 24, 24), IDENTITY + 0.3 * torch.randn(4, 2, 3)
    grid = F.affine_grid(theta, [4, 3, 24, 24], align_corners=False)

    ours = straighten(faces, theta, base_grid(24))

    assert torch.allclose(ours, F.grid_sample(faces, grid, align_corners=False), atol=1e-5)


def test_an_untrained_transformer_passes_faces_through():
    block = SpatialTransformer(16, 16, 1, (4, 4, 4), (8, 8), 0.3, False)
    block.reset_offset()
    faces = torch.rand(2, 1, 16, 16)

    out, theta = block(faces)

    assert torch.equal(theta, IDENTITY.expand(2, 2, 3))
    assert torch.allclose(out, faces, atol=1e-5)


@pytest.mark.parametrize(("limit", "stays"), [(0.3, True), (0.0, False)])
def test_no_weights_can_push_a_bounded_offset_beyond_its_limit(limit, stays):
    block = SpatialTransformer(16, 16, 1, (4, 4, 4), (8, 8), limit, False)
    torch.nn.init.constant_(block.offset.bias, 50.0)

    _, theta = block(torch.rand(2, 1, 16, 16))

    assert bool(((theta - IDENTITY).abs() <= 0.3 + 1e-6).all()) is stays


@pytest.mark.parametrize(
    ("widths", "hidden"), [((4,), (8,)), ((4, 5), (8,)), ((4, 4, 4), (8, 8, 8))]
)
def test_the_localisation_network_has_as_many_layers_as_asked_for(widths, hidden):
    block = SpatialTransformer(16, 16, 1, widths, hidden, 0.3, False)

    assert sum(isinstance(m, torch.nn.Conv2d) for m in block.modules()) == len(widths)
    assert sum(isinstance(m, torch.nn.Linear) for m in block.modules()) == len(hidden) + 1
    assert block(torch.rand(2, 1, 16, 16))[1].shape == (2, 2, 3)


def test_the_map_is_learnable():
    block = SpatialTransformer(16, 16, 1, (4, 4, 4), (8, 8), 0.3, False)
    block.reset_offset()

    block(torch.rand(2, 1, 16, 16))[0].square().sum().backward()

    assert block.offset.bias.grad.abs().sum() > 0


def test_a_smaller_face_is_straightened_at_its_own_size_by_the_same_map():
    block = SpatialTransformer(16, 16, 1, (4, 4, 4), (8, 8), 0.3, True).eval()
    torch.nn.init.constant_(block.offset.bias, 1.0)
    flat = torch.full((2, 1, 12, 12), 0.5)  # resizing a flat face changes nothing

    out, theta = block(flat)
    _, full = block(torch.full((2, 1, 16, 16), 0.5))

    assert out.shape == (2, 1, 12, 12)
    assert torch.allclose(theta, full, atol=1e-6)
    assert torch.allclose(out, straighten(flat, theta, base_grid(12)), atol=1e-6)


def test_a_larger_side_shows_the_same_face_enlarged():
    block = SpatialTransformer(16, 24, 1, (4, 4, 4), (8, 8), 0.3, True).eval()
    block.reset_offset()
    ramp = torch.linspace(0, 1, 16).expand(1, 1, 16, 16)  # enlarged, a ramp stays one

    out, theta = block(ramp)
    small, _ = block(ramp[..., 2:14, 2:14])

    assert torch.equal(theta, IDENTITY[None])
    assert out.shape == (1, 1, 24, 24)
    enlarged = F.interpolate(ramp, 24, mode="bilinear", align_corners=False)
    inside = slice(1, -1)  # at the border the transformer sees what lies outside: zeros
    assert torch.allclose(out[..., inside, inside], enlarged[..., inside, inside], atol=1e-5)
    assert small.shape == (1, 1, 18, 18)
