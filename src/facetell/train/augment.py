"""Random changes of training faces, as batched tensor operations.

Faces go in and come out as uint8, so that what the network sees is made by the same
`facetell.tensors.to_tensor` as at run time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from facetell.recipe import AugmentOptions

__all__ = ["augment", "mix_up", "spoil"]


def augment(
    faces: Tensor, options: AugmentOptions, generator: torch.Generator, *, face_px: int
) -> Tensor:
    """Each face flipped, turned, resized, moved, relit and partly blanked at random.

    Args:
        faces: (B, S, S) or (B, S, S, 3) uint8.
        options: how much of each.
        generator: the only source of randomness.
        face_px: side of the result; smaller than S for a quick start of the training.

    Returns:
        Same layout as `faces`, uint8, side `face_px`. Pixels beyond the border repeat it.
    """
    x = _planes(faces)
    theta = random_affine(len(x), options, generator)
    grid = F.affine_grid(theta, [len(x), 1, face_px, face_px], align_corners=False)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    x = _relight(x, options, generator)
    if options.erase:
        x = _erase(x, options.erase, generator)
    return _pixels(x, like=faces)


def spoil(faces: Tensor, options: AugmentOptions, generator: torch.Generator) -> Tensor:
    """Each face coarsened and with noise at random: what a worse camera would have made of it.

    Args:
        faces: (B, S, S) or (B, S, S, 3) uint8, as `augment` returns them.
        options, generator: as for `augment`.

    Returns:
        The same shape, uint8; `faces` themselves if the options ask for neither.
    """
    if not (options.coarse or options.noise):
        return faces
    x = _planes(faces)
    if options.coarse:
        x = _coarsen(x, options.coarse, generator)
    if options.noise:
        x = _add_noise(x, options.noise, generator)
    return _pixels(x, like=faces)


def random_affine(count: int, options: AugmentOptions, generator: torch.Generator) -> Tensor:
    """(B, 2, 3) output-to-input maps: turn, scale, shift, mirror."""
    angle = _spread(count, math.radians(options.rotate_deg), generator)
    zoom = torch.exp(_spread(count, math.log1p(options.scale), generator))
    mirror = torch.ones(count)
    if options.flip:
        mirror = mirror - 2 * torch.randint(0, 2, (count,), generator=generator)
    shift = _spread(2 * count, 2 * options.shift, generator).unflatten(0, (count, 2))
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    linear = torch.stack([cos * mirror, -sin, sin * mirror, cos], 1).unflatten(1, (2, 2))
    return torch.cat([linear, shift[:, :, None]], 2)


def mix_up(
    tensors: Sequence[Tensor], alpha: float, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Each row of every tensor (B, ...), faces and their targets, blended with another one.

    Source: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", equation 2. The
    share is drawn once per batch and is at least one half, which only swaps names.
    """
    if not alpha:
        return tuple(tensors)
    draws = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=generator)
    share = float(draws.max() / draws.sum())
    partner = torch.randperm(len(tensors[0]), generator=generator)
    return tuple(torch.lerp(x[partner], x, share) for x in tensors)


def _planes(faces: Tensor) -> Tensor:
    """Faces, uint8, (B, S, S) or (B, S, S, 3) -> (B, C, S, S) float32, 0 to 255."""
    return (faces[:, None] if faces.ndim == 3 else faces.permute(0, 3, 1, 2)).float()


def _pixels(x: Tensor, *, like: Tensor) -> Tensor:
    """What `_planes` made of faces, changed -> uint8 in the layout of those faces."""
    x = x.round().clamp(0, 255).to(torch.uint8)
    return x[:, 0] if like.ndim == 3 else x.permute(0, 2, 3, 1)


def _spread(count: int, limit: float, generator: torch.Generator) -> Tensor:
    return (2 * torch.rand(count, generator=generator) - 1) * limit


def _relight(x: Tensor, options: AugmentOptions, generator: torch.Generator) -> Tensor:
    gain = torch.exp(_spread(len(x), math.log1p(options.contrast), generator))
    offset = _spread(len(x), 255 * options.brightness, generator)
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * gain[:, None, None, None] + mean + offset[:, None, None, None]


def _coarsen(x: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Mixed with itself at half, a third or a quarter of its size."""
    batch, side = len(x), x.shape[-1]
    draw = torch.rand(batch, 3, generator=generator)
    share = (draw[:, 0] * (draw[:, 1] < probability))[:, None, None, None]
    factor = 2 + (3 * draw[:, 2]).long().clamp_max(2)
    soft = x.clone()
    for size in (2, 3, 4):
        chosen = factor == size
        if chosen.any():
            small = F.adaptive_avg_pool2d(x[chosen], side // size)
            soft[chosen] = F.interpolate(small, (side, side), mode="bilinear", align_corners=False)
    return torch.lerp(x, soft, share)


def _add_noise(x: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise on every second face, of a deviation from 0 to the most."""
    draw = torch.rand(len(x), 2, generator=generator)
    deviation = 255 * most * draw[:, 0] * (draw[:, 1] < 0.5)
    noise = torch.randn(x.shape, generator=generator)
    return x + noise * deviation[:, None, None, None]


def _erase(x: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """A rectangle of 2 to 20 % of the face becomes its mean (Zhong et al. 2020, algorithm 1)."""
    batch, side = len(x), x.shape[-1]
    draw = torch.rand(batch, 5, generator=generator)
    area = 0.02 + 0.18 * draw[:, 0]
    ratio = torch.exp((2 * draw[:, 1] - 1) * math.log(3.0))
    height, width = (area * ratio).sqrt().clamp_max(1), (area / ratio).sqrt().clamp_max(1)
    top, left = draw[:, 2] * (1 - height), draw[:, 3] * (1 - width)
    at = (torch.arange(side) + 0.5) / side
    rows = (at >= top[:, None]) & (at < (top + height)[:, None])  # (B, S)
    columns = (at >= left[:, None]) & (at < (left + width)[:, None])
    hit = rows[:, :, None] & columns[:, None, :] & (draw[:, 4] < probability)[:, None, None]
    return torch.where(hit[:, None], x.mean((1, 2, 3), keepdim=True), x)
