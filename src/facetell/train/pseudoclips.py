"""Clips made of stills: faces that move, are lit anew, blur, hide and give way to others.

What an LSTM over frames can learn from photographs: which part of the difference between two
frames is nuisance. It cannot learn from them how expressions grow and fade.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from facetell.recipe import ClipOptions

__all__ = ["Clips", "make_clips"]

_SLOWEST, _FASTEST = 8.0, 60.0  # frames a second
_BLEND = 6  # frames at most in which one face gives way to another


class Clips(NamedTuple):
    """Frames to learn from.

    Attributes:
        frames: (B, T, S, S) grey uint8.
        elapsed: (B, T) float32 seconds since the frame before; 0 for the first.
        targets: (B, T) int64, the label of the face that is shown.
    """

    frames: Tensor
    elapsed: Tensor
    targets: Tensor

    def joined(self, others: Clips) -> Clips:
        """These clips, then the others, of as many frames."""
        return Clips(*(torch.cat(pair) for pair in zip(self, others, strict=True)))


def make_clips(
    faces: Tensor,
    targets: Tensor,
    others: Tensor,
    other_targets: Tensor,
    options: ClipOptions,
    generator: torch.Generator,
) -> Clips:
    """One clip of each face; in some of them the other face takes over.

    Both faces of a clip pass through the same movement and light, so that these do not tell
    that something changed. Each clip has its own rate, 8 to 60 frames a second.

    Args:
        faces, targets: (B, S, S) grey uint8 stills and their labels (B,).
        others, other_targets: whom they give way to.
        options: frames T, the share of clips with a change, how much is disturbed.
        generator: the only source of randomness.
    """
    batch, frames = len(faces), options.frames
    elapsed = _elapsed(batch, frames, generator)
    weight = _takeover(batch, frames, options.change, generator)  # (B, T) of the other face
    x = torch.lerp(faces[:, None].float(), others[:, None].float(), weight[:, :, None, None])
    x = _moved(x, elapsed, options.shake, generator)
    x = _softened(x, elapsed, options.shake, generator)
    x = _hidden(x, generator)
    x = _lit(x, elapsed, options.shake, generator)
    noise = torch.randn(x.shape, generator=generator)
    x = x + noise * (10 * options.shake * torch.rand(batch, 1, 1, 1, generator=generator))
    shown = torch.where(weight > 0.5, other_targets[:, None], targets[:, None])
    return Clips(x.round().clamp(0, 255).to(torch.uint8), elapsed, shown)


def _elapsed(batch: int, frames: int, generator: torch.Generator) -> Tensor:
    """(B, T) seconds; one frame in twenty was dropped."""
    low, high = math.log(_SLOWEST), math.log(_FASTEST)
    rate = torch.exp(low + (high - low) * torch.rand(batch, 1, generator=generator))
    dropped = torch.rand(batch, frames, generator=generator) < 0.05
    elapsed = (1 + dropped.float()) / rate
    elapsed[:, 0] = 0
    return elapsed


def _takeover(batch: int, frames: int, change: float, generator: torch.Generator) -> Tensor:
    """(B, T) from 0 to 1 where the other face takes over, within a few frames; 0 elsewhere."""
    draw = torch.rand(batch, 3, generator=generator)
    start = draw[:, 0] * frames
    length = 1 + draw[:, 1] * _BLEND
    ramp = (torch.arange(frames) - start[:, None]) / length[:, None]
    return ramp.clamp(0, 1) * (draw[:, 2] < change)[:, None]


def _wander(elapsed: Tensor, spread: float, lasting_s: float, generator: torch.Generator) -> Tensor:
    """(B, T) a quantity around 0 with that deviation and correlation time."""
    keep = torch.exp(-elapsed / lasting_s)
    draws = torch.randn(elapsed.shape, generator=generator) * spread
    out = [draws[:, 0]]
    for step in range(1, elapsed.shape[1]):
        new = draws[:, step] * (1 - keep[:, step] ** 2).sqrt()
        out.append(keep[:, step] * out[-1] + new)
    return torch.stack(out, 1)


def _moved(x: Tensor, elapsed: Tensor, shake: float, generator: torch.Generator) -> Tensor:
    """Each frame turned, resized and shifted, half of the clips mirrored; (B, T, S, S)."""
    batch, frames, side = x.shape[:3]

    def path(spread: float, lasting_s: float) -> Tensor:
        return _wander(elapsed, shake * spread, lasting_s, generator)

    # a tremble of the box from frame to frame, a drift, and where the clip happens to be
    x_shift, y_shift = (path(0.02, 0.03) + path(0.04, 0.7) + path(0.05, 1e3) for _ in "xy")
    angle = torch.deg2rad(path(3.0, 0.7) + path(5.0, 1e3))
    zoom = torch.exp(path(0.03, 0.5) + path(0.06, 1e3))
    mirror = 1 - 2 * torch.randint(0, 2, (batch, 1), generator=generator)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    top = torch.stack([cos * mirror, -sin, x_shift], 2)
    bottom = torch.stack([sin * mirror, cos, y_shift], 2)
    theta = torch.stack([top, bottom], 2).flatten(0, 1)  # (B * T, 2, 3)
    grid = F.affine_grid(theta, [batch * frames, 1, side, side], align_corners=False)
    moved = F.grid_sample(
        x.flatten(0, 1)[:, None], grid, padding_mode="border", align_corners=False
    )
    return moved[:, 0].unflatten(0, (batch, frames))  # type: ignore[no-any-return]


def _softened(x: Tensor, elapsed: Tensor, shake: float, generator: torch.Generator) -> Tensor:
    """Out of focus now and then: mixed with itself at half and at a quarter of its size."""
    side = x.shape[-1]
    for size, spread in ((2, 0.5), (4, 0.35)):
        share = _wander(elapsed, shake * spread, 0.3, generator).clamp(0, 1)[:, :, None, None]
        small = F.avg_pool2d(x, size)
        soft = F.interpolate(small, (side, side), mode="bilinear", align_corners=False)
        x = torch.lerp(x, soft, share)
    return x


def _hidden(x: Tensor, generator: torch.Generator) -> Tensor:
    """In every third clip a grey rectangle covers a part of the face for some frames."""
    batch, frames, side = x.shape[:3]
    draw = torch.rand(batch, 7, generator=generator)
    at = (torch.arange(side) + 0.5) / side
    when = torch.arange(frames) / frames
    size = 0.2 + 0.4 * draw[:, :2]
    corner = draw[:, 2:4] * (1 - size)
    start, length = draw[:, 4], 0.05 + 0.25 * draw[:, 5]
    rows, columns = (
        (at >= corner[:, i, None]) & (at < (corner + size)[:, i, None]) for i in (0, 1)
    )
    shown = (when >= start[:, None]) & (when < (start + length)[:, None])
    hit = rows[:, None, :, None] & columns[:, None, None, :] & shown[:, :, None, None]
    hit &= (draw[:, 6] < 1 / 3)[:, None, None, None]
    return torch.where(hit, x.mean((2, 3), keepdim=True), x)


def _lit(x: Tensor, elapsed: Tensor, shake: float, generator: torch.Generator) -> Tensor:
    """Brighter and darker, as a whole and from side to side."""
    light, tilt = (
        _wander(elapsed, shake * spread, 1.0, generator)[:, :, None, None]
        for spread in (0.15, 0.15)
    )
    across = torch.linspace(-1, 1, x.shape[-1])
    return x * (1 + light + tilt * across)
