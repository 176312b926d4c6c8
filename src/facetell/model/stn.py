"""Straighten: a spatial transformer.

Source: Jaderberg et al. 2015, "Spatial Transformer Networks"; the localisation network has the
paper's three convolutions, each with pooling and a rectified unit, and three fully connected
layers, or as many as a recipe asks for.
"""

from __future__ import annotations

from itertools import pairwise
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["SpatialTransformer", "straighten"]


def straighten(faces: Tensor, theta: Tensor, base: Tensor) -> Tensor:
    """Resample faces under an affine map.

    Args:
        faces: (B, C, S, S), any scale.
        theta: (B, 2, 3), output-to-input coordinates in [-1, 1], pixel centres at
            (2 i + 1) / S - 1. The identity is [[1, 0, 0], [0, 1, 0]].
        base: (R * R, 3), homogeneous output coordinates, see `base_grid`.

    Returns:
        (B, C, R, R). Points that map outside the face are zero.

    Source: Jaderberg et al. 2015, section 3, equation 1.
    """
    side = isqrt(len(base))
    grid = base @ theta.transpose(1, 2)  # (B, R * R, 2)
    grid = grid.unflatten(1, (side, side))  # (B, R, R, 2)
    return F.grid_sample(faces, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


class SpatialTransformer(nn.Module):
    """Predicts an affine map from a face and straightens the face with it.

    Departs from the source twice. It predicts an offset from the identity whose last layer
    starts at zero, so that an untrained network passes faces through unchanged. And no entry
    of the offset exceeds `limit`: unbounded, the map leaves the face within twenty steps, and
    no gradient leads back from a picture that is all border.

    Args:
        face_px: side S.
        out_px: side R of the straightened face. A larger one than S lets the layers behind see
            finer feature maps, for more multiply-adds and no more weights.
        channels: C.
        widths: channels of the convolutions, one to three.
        hidden: units of the fully connected layers before the last one.
        limit: largest offset of any entry of the map; 0 = unbounded, as printed.
        batch_norm: normalise in the fully connected layers. Without it the map comes to be the
            same for every face.
    """

    base: Tensor
    identity: Tensor

    def __init__(
        self, face_px: int, out_px: int, channels: int, widths: tuple[int, ...],
        hidden: tuple[int, ...], limit: float, batch_norm: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.limit = limit
        self.face_px, self.out_px = face_px, out_px
        sizes = (channels, *widths)
        convolutions: list[nn.Module] = []
        for before, after in pairwise(sizes):
            convolutions += [nn.Conv2d(before, after, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()]
        self.convolutions = nn.Sequential(*convolutions)
        cells = (face_px // 2 ** len(widths)) ** 2
        connected: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise((widths[-1] * cells, *hidden)):
            connected += fully_connected(before, after, batch_norm)
        self.locate = nn.Sequential(*connected)
        self.offset = nn.Linear(hidden[-1], 6)
        self.register_buffer("identity", torch.tensor([1.0, 0, 0, 0, 1, 0]), persistent=False)
        # A constant grid instead of affine_grid: a fifth less time at batch 64 in onnxruntime.
        self.register_buffer("base", base_grid(out_px), persistent=False)

    def reset_offset(self) -> None:
        """Back to the identity map, whatever initialisation was drawn."""
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, S, S) -> straightened (B, C, R, R) and theta (B, 2, 3).

        Faces of another side than S, as in the first epochs of a recipe with `small_share`, are
        located at side S and straightened to a side as much smaller or larger than R.
        """
        seen, base = faces, self.base
        if faces.shape[-1] != self.face_px:
            seen = F.interpolate(faces, self.face_px, mode="bilinear", align_corners=False)
            base = base_grid(faces.shape[-1] * self.out_px // self.face_px).to(faces)
        offset = self.offset(self.locate(self.convolutions(seen)))  # (B, 6)
        if self.limit:
            # Without the tenth the map runs into its limit in the first epoch and stays there.
            offset = self.limit * torch.tanh(0.1 * offset)
        theta = (offset + self.identity).unflatten(1, (2, 3))
        return straighten(faces, theta, base), theta


def fully_connected(before: int, after: int, batch_norm: bool) -> list[nn.Module]:
    """A linear layer, normalised if asked, and a rectified unit."""
    normalise: list[nn.Module] = [nn.BatchNorm1d(after)] if batch_norm else []
    return [nn.Linear(before, after), *normalise, nn.ReLU(inplace=True)]


def base_grid(side: int) -> Tensor:
    """(R * R, 3) for side R: x, y, 1 of every output pixel centre, row by row."""
    centres = (2 * torch.arange(side, dtype=torch.float32) + 1) / side - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x.flatten(), y.flatten(), torch.ones(side * side)], 1)
