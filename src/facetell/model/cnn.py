"""Features: trunks from a straightened face to a feature map."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ConvolutionGroups", "Residual", "ResidualTrunk"]


class ConvolutionGroups(nn.Sequential):
    """A plain trunk: (B, C, S, S) -> (B, widths[-1], S / 2^n, S / 2^n) for n groups.

    Groups of 3x3 convolutions; each group is followed by max-pooling and a rectified unit. The
    paper has two groups of three and prints neither widths nor kernel sizes; Deep-Emotion
    (Minaee & Abdolrashidi 2019) has two groups of two with 10 channels.

    Args:
        channels: C.
        widths: channels of each group.
        each: convolutions per group.
        relu_each: also rectify between the convolutions of a group. Without it, the
            convolutions of a group are one linear map.
        batch_norm: normalise after every convolution.
    """

    def __init__(
        self, channels: int, widths: Sequence[int], each: int, *, relu_each: bool, batch_norm: bool
    ) -> None:
        layers: list[nn.Module] = []
        before = channels
        for width in widths:
            for position in range(each):
                layers.append(nn.Conv2d(before, width, 3, padding=1, bias=not batch_norm))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(width))
                if relu_each and position < each - 1:
                    layers.append(nn.ReLU(inplace=True))
                before = width
            layers += [nn.MaxPool2d(2), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H / stride, W / stride)."""
        return F.relu(self.path(x) + self.shortcut(x), inplace=True)


class ResidualTrunk(nn.Sequential):
    """A small ResNet: (B, C, S, S) -> (B, widths[-1], S / 2^n, S / 2^n) for n stages.

    The 5x5 stem halves the face at once: at 48 px that costs little detail and saves the
    memory traffic that dominates small networks on a CPU. Every later stage halves again.
    """

    def __init__(self, channels: int, widths: Sequence[int], depths: Sequence[int]) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(channels, widths[0], 5, 2, padding=2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        ]
        before = widths[0]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(Residual(before, width, stride))
                before = width
        super().__init__(*layers)
