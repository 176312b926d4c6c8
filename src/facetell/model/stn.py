"""Straighten: a spatial transformer.

Source: Jaderberg et al. 2015, "Spatial Transformer Networks"; the localisation network has the
paper's three convolutions, each with pooling and a rectified unit, and three fully connected
layers.
"""

from __future__ import annotations

from itertools import pairwise

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
        base: (S * S, 3), homogeneous output coordinates, see `SpatialTransformer.base`.

    Returns:
        (B, C, S, S). Points that map outside the face are zero.

    Source: Jaderberg et al. 2015, section 3, equation 1.
    """
    side = faces.shape[-1]
    grid = base @ theta.transpose(1, 2)  # (B, S * S, 2)
    grid = grid.unflatten(1, (side, side))  # (B, S, S, 2)
    return F.grid_sample(faces, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


class SpatialTransformer(nn.Module):
    """Predicts an affine map from a face and straightens the face with it.

    Departs from the source twice. It predicts an offset from the identity whose last layer
    starts at zero, so that an untrained network passes faces through unchanged. And no entry
    of the offset exceeds `limit`: unbounded, the map leaves the face within twenty steps, and
    no gradient leads back from a picture that is all border.

    Args:
        face_px: side S.
        channels: C.
        widths: channels of the three convolutions.
        hidden: units of the first two fully connected layers.
        limit: largest offset of any entry of the map; 0 = unbounded, as printed.
    """

    base: Tensor
    identity: Tensor

    def __init__(
        self, face_px: int, channels: int, widths: tuple[int, ...], hidden: tuple[int, ...],
        limit: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.limit = limit
        sizes = (channels, *widths)
        convolutions: list[nn.Module] = []
        for before, after in pairwise(sizes):
            convolutions += [nn.Conv2d(before, after, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()]
        self.convolutions = nn.Sequential(*convolutions)
        cells = (face_px // 8) ** 2
        self.locate = nn.Sequential(
            nn.Flatten(),
            nn.Linear(widths[-1] * cells, hidden[0]), nn.ReLU(),
            nn.Linear(hidden[0], hidden[1]), nn.ReLU(),
        )  # fmt: skip
        self.offset = nn.Linear(hidden[1], 6)
        self.register_buffer("identity", torch.tensor([1.0, 0, 0, 0, 1, 0]), persistent=False)
        # A constant grid instead of affine_grid: a fifth less time at batch 64 in onnxruntime.
        self.register_buffer("base", base_grid(face_px), persistent=False)

    def reset_offset(self) -> None:
        """Back to the identity map, whatever initialisation was drawn."""
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, S, S) -> straightened (B, C, S, S) and theta (B, 2, 3)."""
        found = self.locate(self.convolutions(faces))  # (B, hidden)
        offset = self.offset(found)
        if self.limit:
            # The tenth slows the map down beside the rest of the network.
            offset = self.limit * torch.tanh(0.1 * offset)
        theta = (offset + self.identity).unflatten(1, (2, 3))
        return straighten(faces, theta, self.base), theta


def base_grid(face_px: int) -> Tensor:
    """(S * S, 3): x, y, 1 of every output pixel centre, row by row."""
    centres = (2 * torch.arange(face_px, dtype=torch.float32) + 1) / face_px - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x.flatten(), y.flatten(), torch.ones(face_px * face_px)], 1)
