"""The only file that knows the order: straighten -> features -> sequence -> decision."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facetell.model.cnn import ConvolutionGroups, ResidualTrunk
from facetell.model.lstm import FrameMemory, SequenceReader
from facetell.model.stn import SpatialTransformer, fully_connected
from facetell.recipe import ModelOptions, TrainOptions

__all__ = ["Hybrid", "Output", "build_model", "describe"]


class Output(NamedTuple):
    """What the network says of every frame; a still is a clip of one frame.

    Attributes:
        margins: (B, T, K).
        features: (B, T, D), what the SVM sees of each frame alone.
        theta: (B, T, 2, 3), or None without a spatial transformer.
        state: (B, 2, H) of the LSTM over frames after the last one, or None without one.
        steps: (B, T, L, K), what each step of the LSTM over a face adds to the margins of the
            frame alone; None without that LSTM, and while training.
    """

    margins: Tensor
    features: Tensor
    theta: Tensor | None
    state: Tensor | None
    steps: Tensor | None = None


class Hybrid(nn.Module):
    """Spatial transformer, CNN, LSTM and linear SVM in one network.

    With `options.memory` another LSTM goes from frame to frame.

    Args:
        options: which blocks, and how large.
        classes: K.

    Attributes:
        bf16: the CNN computes in bfloat16, all else in float32. For training: a network comes
            out of its run with this off.
    """

    bf16 = False

    def __init__(self, options: ModelOptions, classes: int) -> None:
        super().__init__()
        self.options = options
        o = options
        self.stn = (
            SpatialTransformer(
                o.face_px, o.stn_px or o.face_px, o.channels, o.stn_widths, o.stn_hidden,
                o.stn_limit, o.batch_norm,
            )
            if o.stn else None
        )  # fmt: skip
        self.cnn: nn.Module
        if o.trunk == "residual":
            self.cnn = ResidualTrunk(o.channels, o.widths, o.depths)
        else:
            each = {"six": 3, "four": 2, "plain": 2}[o.trunk]
            self.cnn = ConvolutionGroups(
                o.channels, o.widths, each, relu_each=o.relu_each, batch_norm=o.batch_norm
            )
        # cells per step
        together = {"whole": o.grid**2, "rows": o.grid}.get(o.sequence, 1)
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
        self.memory = FrameMemory(size, classes, o.memory) if o.memory else None

    def forward(
        self, faces: Tensor, elapsed: Tensor | None = None, state: Tensor | None = None
    ) -> Output:
        """What each frame shows.

        Args:
            faces: (B, T, C, S, S) float32 as made by `facetell.tensors`.
            elapsed: (B, T) seconds since the frame before, for an LSTM over frames; None: 0.
            state: (B, 2, H) of that LSTM before the first frame; None: there was nothing.
        """
        batch, frames = faces.shape[:2]
        x = faces.flatten(0, 1)  # (B * T, C, S, S): the CNN sees single faces
        theta = None
        if self.stn is not None:
            x, theta = self.stn(x)
            theta = theta.unflatten(0, (batch, frames))
        maps = _in_bfloat16(self.cnn, x) if self.bf16 else self.cnn(x)
        outputs = self.sequence(self.cells(maps))  # (B * T, L, D)
        features = self.standardise(outputs.mean(1))  # (B * T, D)
        steps = None
        if self.reader is not None and not self.training:
            steps = self.shares(outputs).unflatten(0, (batch, frames))
        margins = self.svm(self.dropout(features)).unflatten(0, (batch, frames))
        features = features.unflatten(0, (batch, frames))
        if self.memory is None:
            return Output(margins, features, theta, None, steps)
        if elapsed is None:
            elapsed = torch.zeros_like(margins[..., 0])
        margins, state = self.memory(features, margins, elapsed, state)
        return Output(margins, features, theta, state, steps)

    def cells(self, maps: Tensor) -> Tensor:
        """Feature maps (B * T, C, h, w) -> fully connected features (B * T, L, D).

        L is grid^2 for `regions`, row by row, grid for `rows`, h * w for `mean` and 1 for `whole`.
        """
        grid = self.options.grid
        if maps.shape[-1] != grid and self.options.sequence != "mean":
            maps = F.adaptive_avg_pool2d(maps, grid)
        if self.options.sequence == "whole":
            return self.fully_connected(maps.flatten(1))[:, None]  # type: ignore[no-any-return]
        if self.options.sequence == "rows":
            cells = maps.transpose(1, 2).flatten(2)  # (B * T, L, C * grid)
        else:
            cells = maps.flatten(2).transpose(1, 2)  # (B * T, L, C)
        count = cells.shape[1]
        features = self.fully_connected(cells.flatten(0, 1))  # (B * T * L, D)
        return features.unflatten(0, (-1, count))  # type: ignore[no-any-return]

    def sequence(self, cells: Tensor) -> Tensor:
        """Cells (B * T, L, D) -> what a face's vector is the mean of: the LSTM's, or the cells."""
        return cells if self.reader is None else self.reader(cells)

    def shares(self, outputs: Tensor) -> Tensor:
        """(B * T, L, D) -> (B * T, L, K), what each step of the LSTM adds to the margins.

        Exact: behind the LSTM everything is affine, so that the margins of the mean are the mean
        of the steps' margins. Over the steps the shares sum to the margins less the bias.
        """
        count = outputs.shape[1]
        features = self.standardise(outputs.flatten(0, 1))  # (B * T * L, D)
        shares = F.linear(features, self.svm.weight) / count
        return shares.unflatten(0, (-1, count))  # type: ignore[no-any-return]

    def freeze_faces(self) -> None:
        """Leave everything as it is from now on but the LSTM over frames."""
        assert self.memory is not None
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith("memory."))

    def train(self, mode: bool = True) -> Hybrid:
        """Training mode; what is frozen keeps its statistics and drops nothing."""
        frozen = self.memory is not None and not self.svm.weight.requires_grad
        super().train(mode and not frozen)
        if self.memory is not None:
            self.memory.train(mode)
        return self


def _in_bfloat16(cnn: nn.Module, x: Tensor) -> Tensor:
    """Feature maps, float32, by convolutions in bfloat16; the weights stay float32."""
    with torch.autocast(x.device.type, torch.bfloat16):
        maps: Tensor = cnn(x)
    return maps.float()


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
    if model.memory is not None:
        nn.init.zeros_(model.memory.svm.weight)
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
        "plain": f"plain pairs of convolutions {'+'.join(map(str, options.widths))}",
        "residual": f"residual trunk {'+'.join(map(str, options.widths))}",
    }[options.trunk]
    sequence = {
        "regions": f"LSTM over {options.grid}x{options.grid} regions",
        "rows": f"LSTM over {options.grid} rows",
        "mean": "mean pooling",
        "whole": "",
    }[options.sequence]
    head = {"svm": "linear SVM", "softmax": "softmax"}[options.head]
    stn = "spatial transformer" if options.stn else ""
    memory = f"LSTM of {options.memory} over frames" if options.memory else ""
    blocks = (stn, trunk, f"fully connected {options.features}", sequence, memory, head)
    return " > ".join(filter(None, blocks))
