"""The only file that knows the order: straighten -> features -> sequence -> decision."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from facetell.model.cnn import ConvolutionGroups, ResidualTrunk
from facetell.model.lstm import SequenceReader
from facetell.model.stn import SpatialTransformer, fully_connected
from facetell.recipe import ModelOptions, TrainOptions

__all__ = ["Hybrid", "Output", "build_model", "describe"]


class Output(NamedTuple):
    """What the network says.

    Attributes:
        margins: (B, K).
        features: (B, D), what the SVM sees.
        theta: (B, T, 2, 3), or None without a spatial transformer.
    """

    margins: Tensor
    features: Tensor
    theta: Tensor | None


class Hybrid(nn.Module):
    """Spatial transformer, CNN, LSTM and linear SVM in one network.

    Args:
        options: which blocks, and how large.
        classes: K.
    """

    def __init__(self, options: ModelOptions, classes: int) -> None:
        super().__init__()
        self.options = options
        o = options
        self.stn = (
            SpatialTransformer(
                o.face_px, o.channels, o.stn_widths, o.stn_hidden, o.stn_limit, o.batch_norm
            )
            if o.stn else None
        )  # fmt: skip
        self.cnn: nn.Module
        if o.trunk == "residual":
            self.cnn = ResidualTrunk(o.channels, o.widths, o.depths)
        else:
            each = {"six": 3, "four": 2}[o.trunk]
            self.cnn = ConvolutionGroups(
                o.channels, o.widths, each, relu_each=o.relu_each, batch_norm=o.batch_norm
            )
        # cells per step
        together = {"frames": o.grid**2, "whole": o.grid**2, "rows": o.grid}.get(o.sequence, 1)
        sizes = (o.widths[-1] * together, *[o.features] * o.layers)
        self.fully_connected = nn.Sequential(
            *(
                layer
                for before, after in pairwise(sizes)
                for layer in fully_connected(before, after, o.batch_norm)
            )
        )
        without = o.sequence in ("mean", "whole")
        self.reader = None if without else SequenceReader(o.features, o.hidden)
        size = o.features if self.reader is None else o.hidden
        self.standardise = _Standardise(size) if o.batch_norm else nn.Identity()
        # Not before the LSTM: its noise would be part of the deviation that `standardise`
        # learns, and without it at run time every margin would shrink towards the commonest class.
        self.dropout = nn.Dropout(o.dropout)
        self.svm = nn.Linear(size, classes)

    def forward(self, faces: Tensor) -> Output:
        """(B, T, C, S, S) float32 as made by `facetell.tensors` -> margins, features, theta."""
        batch, frames = faces.shape[:2]
        x = faces.flatten(0, 1)  # (B * T, C, S, S): the CNN sees single faces
        theta = None
        if self.stn is not None:
            x, theta = self.stn(x)
            theta = theta.unflatten(0, (batch, frames))
        cells = self.cells(self.cnn(x))  # (B * T, L, D)
        features = self.standardise(self.read(cells, batch, frames))  # (B, D)
        return Output(self.svm(self.dropout(features)), features, theta)

    def cells(self, maps: Tensor) -> Tensor:
        """Feature maps (B * T, C, h, w) -> fully connected features (B * T, L, D).

        L is grid^2 for `regions`, row by row, grid for `rows`, h * w for `mean` and 1 for
        `frames` and `whole`.
        """
        grid = self.options.grid
        if maps.shape[-1] != grid and self.options.sequence != "mean":
            maps = F.adaptive_avg_pool2d(maps, grid)
        if self.options.sequence in ("frames", "whole"):
            return self.fully_connected(maps.flatten(1))[:, None]  # type: ignore[no-any-return]
        if self.options.sequence == "rows":
            cells = maps.transpose(1, 2).flatten(2)  # (B * T, L, C * grid)
        else:
            cells = maps.flatten(2).transpose(1, 2)  # (B * T, L, C)
        count = cells.shape[1]
        features = self.fully_connected(cells.flatten(0, 1))  # (B * T * L, D)
        return features.unflatten(0, (-1, count))  # type: ignore[no-any-return]

    def read(self, cells: Tensor, batch: int, frames: int) -> Tensor:
        """Cells (B * T, L, D) -> one vector per window (B, D)."""
        if self.reader is None:
            return cells.unflatten(0, (batch, frames)).mean((1, 2))  # type: ignore[no-any-return]
        if self.options.sequence == "frames":
            return self.reader(cells.unflatten(0, (batch, frames))[:, :, 0])  # type: ignore[no-any-return]
        return self.reader(cells).unflatten(0, (batch, frames)).mean(1)  # type: ignore[no-any-return]


class _Standardise(nn.BatchNorm1d):
    """Features with mean zero and, over all of them, an average squared length of one.

    An SVM wants standardised features: averages over many cells differ so little between faces
    that without this, training stays at the class frequencies for epochs. The length of one
    keeps the squared hinge's gradient steps stable at the convolutions' learning rate.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size, affine=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) -> (B, D)."""
        length: float = self.num_features**-0.5
        return super().forward(features) * length


def build_model(options: ModelOptions, classes: int, train: TrainOptions) -> Hybrid:
    """A Hybrid with freshly drawn weights (torch's global generator)."""
    model = Hybrid(options, classes)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            _draw(module, train)
        elif isinstance(module, nn.LSTM):
            for name, parameter in module.named_parameters():
                if train.init == "gaussian" and "weight" in name:
                    nn.init.normal_(parameter, 0.0, train.init_std)
                elif "bias" in name:
                    nn.init.zeros_(parameter)
    if model.stn is not None:
        model.stn.reset_offset()
    if train.init == "he":
        spread = 0.1 if options.batch_norm else model.svm.in_features**-0.5
        nn.init.normal_(model.svm.weight, 0.0, spread)
    return model


def _draw(layer: nn.Conv2d | nn.Linear, train: TrainOptions) -> None:
    if train.init == "gaussian":
        nn.init.normal_(layer.weight, 0.0, train.init_std)
    else:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def describe(options: ModelOptions) -> str:
    """The blocks in use, in one line."""
    trunk = {
        "six": f"six convolutions {'+'.join(map(str, options.widths))}",
        "four": f"four convolutions {'+'.join(map(str, options.widths))}",
        "residual": f"residual trunk {'+'.join(map(str, options.widths))}",
    }[options.trunk]
    sequence = {
        "regions": f"LSTM over {options.grid}x{options.grid} regions",
        "rows": f"LSTM over {options.grid} rows",
        "frames": "LSTM over frames",
        "mean": "mean pooling",
        "whole": "",
    }[options.sequence]
    head = {"svm": "linear SVM", "softmax": "softmax"}[options.head]
    stn = "spatial transformer" if options.stn else ""
    blocks = (stn, trunk, f"fully connected {options.features}", sequence, head)
    return " > ".join(filter(None, blocks))
