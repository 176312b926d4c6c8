"""The features of a finished model -> those that a larger network begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights

from facetell.contract import Contract
from facetell.errors import TrainingError, require
from facetell.model.cnn import ResidualTrunk
from facetell.model.hybrid import Hybrid
from facetell.recipe import ModelOptions, Recipe
from facetell.runtime.session import load, locate
from facetell.train.predictor import load_run
from facetell.train.teachers import check_alike

__all__ = ["Folded", "grow", "read_trunk", "with_start"]

_GRAPH = "network.cnn."  # what an exported graph calls our trunk


class Folded(NamedTuple):
    """A convolution with the normalisation behind it folded in.

    Attributes:
        weight: (O, I, k, k).
        bias: (O,).
    """

    weight: Tensor
    bias: Tensor


def read_trunk(start: str | Path, recipe: Recipe, contract: Contract) -> dict[str, Folded]:
    """The residual trunk of a finished run, a bundled model or an .onnx file.

    Args:
        start: the run's folder, the model's name or the file.
        recipe, contract: of the network that will begin with it.

    Returns:
        Its convolutions by the names they have in `ResidualTrunk`.

    Raises:
        TrainingError: it or the recipe has no residual trunk, the recipe's is smaller somewhere,
            or it was not kept from the faces that the new network is chosen on.
        InputError, ContractError: no model of that name, or no facetell model in that file.
    """
    if recipe.model.trunk != "residual":
        raise TrainingError(
            f"expected a recipe with a residual trunk to go with --start, got model.trunk = "
            f"{recipe.model.trunk!r}. Set model.trunk=residual, or leave --start out."
        )
    if Path(start).is_dir():
        run = load_run(start)
        check_alike(start, run.contract, contract, labels=False)
        found = _folded_in_run(run.model.cnn)
    else:
        check_alike(start, load(str(start)).contract, contract, labels=False)
        found = _folded_in_file(locate(str(start)))
    if "3.path.0" not in found:
        raise TrainingError(
            f"expected one network with a residual trunk at {start}, found none. Start from one "
            "like compact."
        )
    _check_room(recipe.model, found)
    return found


def _check_room(options: ModelOptions, trunk: dict[str, Folded]) -> None:
    """Whether a network of these options is as deep and as wide as the trunk everywhere."""
    with torch.device("meta"):
        layers = _layers(ResidualTrunk(options.channels, options.widths, options.depths))
    for ours, twin in _twins(list(layers), list(trunk)).items():
        room, weight = layers[ours][0].weight.shape, trunk[twin].weight.shape
        if any(mine < other for mine, other in zip(room, weight, strict=True)):
            raise TrainingError(
                f"expected a model no wider than the recipe to start from, got weights of "
                f"{tuple(weight)} for {tuple(room)} at cnn.{twin}. Set model.widths at least as "
                "large."
            )


def with_start(contract: Contract, start: str | Path) -> Contract:
    """The contract of a network that begins with the features of this model."""
    said = f"began with the features of {Path(start).stem}"
    return replace(contract, training=(*contract.training, said))


@torch.no_grad()
def grow(network: Hybrid, trunk: dict[str, Folded], faces: Tensor) -> None:
    """Make the network's trunk compute what `trunk` does, with room for more.

    Channels and blocks that `trunk` lacks begin as nothing to those behind them: the old filters
    read the new channels, which are random filters, with weights of zero, and the new blocks add
    zero. So the feature maps hold the smaller network's, and everything learns from the first
    step. Filters get the length that freshly drawn ones have, so that the learning rate means
    the same; the normalisations undo it.

    Source: Chen et al. 2016, "Net2Net: Accelerating learning via knowledge transfer", which
    copies channels where this draws new ones.

    Args:
        network: with a residual trunk and freshly drawn weights; all but the trunk stays.
        trunk: as `read_trunk` returns it for the network's recipe.
        faces: (B, T, C, S, S), some hundred training faces, on which the normalisations measure.
    """
    cnn = network.cnn
    assert isinstance(cnn, ResidualTrunk)
    layers = _layers(cnn)
    twins = _twins(list(layers), list(trunk))
    hooks = []
    for name, (convolution, norm) in layers.items():
        twin = twins.get(name)
        if twin is None:
            gain, bias = torch.empty(0), torch.empty(0)
            if name.endswith("path.3"):
                nn.init.zeros_(norm.weight)
        else:
            weight, bias = trunk[twin]
            gain = _take(convolution, weight)
        hooks.append(norm.register_forward_pre_hook(_Measured(gain, bias)))
    training = network.training
    network.eval()(faces)  # in order: each measures behind those that are right already
    network.train(training)
    for hook in hooks:
        hook.remove()


def _take(convolution: nn.Conv2d, weight: Tensor) -> Tensor:
    """Weights (O, I, k, k) into the first O filters; returns the gains (O,) that they now lack."""
    ours = convolution.weight
    outputs, inputs = weight.shape[:2]
    length = weight.flatten(1).norm(dim=1).clamp(min=1e-6)
    usual = 2**0.5  # of He et al. 2015, by fan in
    ours[:outputs] = 0
    ours[:outputs, :inputs] = weight * (usual / length)[:, None, None, None]
    gains: Tensor = length / usual
    return gains


class _Measured:
    """Before a normalisation: set it so that, of its input x, it makes gain * x + bias.

    Channels beyond these keep their weight and bias and are normalised.
    """

    def __init__(self, gain: Tensor, bias: Tensor) -> None:
        self.gain, self.bias = gain, bias

    def __call__(self, norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        known = len(self.gain)
        norm.weight[:known] = self.gain * (variance + norm.eps).sqrt()[:known]
        norm.bias[:known] = self.gain * mean[:known] + self.bias


def _twins(ours: list[str], theirs: list[str]) -> dict[str, str]:
    """Which of their convolutions each of ours begins as; those of new blocks are not there."""
    mine, other = _stages(ours), _stages(theirs)
    counts = [len(stage) for stage in mine], [len(stage) for stage in other]
    if len(mine) != len(other) or any(a < b for a, b in zip(*counts, strict=True)):
        raise TrainingError(
            f"expected a model no deeper than the recipe to start from, got stages of {counts[1]} "
            f"blocks for {counts[0]}. Set model.depths at least as large, for as many stages."
        )
    blocks = {"0": "0"}
    for stage, others in zip(mine, other, strict=True):
        blocks |= dict(zip(stage, others, strict=False))
    pairs = {}
    for name in ours:
        block, dot, rest = name.partition(".")
        if block in blocks:
            pairs[name] = blocks[block] + dot + rest
    return pairs


def _stages(names: list[str]) -> list[list[str]]:
    """Names of the blocks of each stage; from the second on, a stage begins with a shortcut."""
    blocks = list(dict.fromkeys(name.partition(".")[0] for name in names if "path" in name))
    stages: list[list[str]] = []
    for block in blocks:
        if not stages or f"{block}.shortcut.0" in names:
            stages.append([])
        stages[-1].append(block)
    return stages


def _layers(cnn: ResidualTrunk) -> dict[str, tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution by its name, with the normalisation that follows it."""
    found = {}
    for name, module in cnn.named_modules():
        if isinstance(module, nn.Conv2d):
            before, _, position = name.rpartition(".")
            norm = cnn.get_submodule(f"{before}.{int(position) + 1}".lstrip("."))
            assert isinstance(norm, nn.BatchNorm2d)
            found[name] = (module, norm)
    return found


def _folded_in_run(cnn: nn.Module) -> dict[str, Folded]:
    if not isinstance(cnn, ResidualTrunk):
        return {}
    found = {}
    for name, (convolution, norm) in _layers(cnn).items():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        weight, bias = fuse_conv_bn_weights(
            convolution.weight, None, norm.running_mean, norm.running_var, norm.eps,
            norm.weight, norm.bias,
        )  # fmt: skip
        found[name] = Folded(weight.detach(), bias.detach())
    return found


def _folded_in_file(path: Path) -> dict[str, Folded]:
    """The convolutions that the exporter named after ours, from a file of any precision."""
    onnx = require("onnx", extra="train", purpose="starting from an .onnx file")
    graph = onnx.load(path).graph
    numbers = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:
        if node.op_type in ("Cast", "DequantizeLinear") and node.input[0] in numbers:
            numbers[node.output[0]] = _floats(*(numbers[name] for name in node.input))
    found = {}
    for node in graph.node:
        named = node.op_type == "Conv" and node.input[1].startswith(_GRAPH)
        if named and len(node.input) == 3 and set(node.input[1:]) <= numbers.keys():
            name = node.input[1].removeprefix(_GRAPH).partition(".weight")[0]
            weight, bias = (torch.tensor(numbers[n], dtype=torch.float32) for n in node.input[1:])
            found[name] = Folded(weight, bias)
    return found


def _floats(
    stored: NDArray[Any], scale: NDArray[Any] | None = None, zero: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Numbers (O, ...) that a file keeps in half precision, or in eight bits with O scales."""
    values = stored.astype(np.float32)
    if scale is None:
        return values
    shape = (-1,) + (1,) * (values.ndim - 1)
    shift = np.zeros((), np.float32) if zero is None else zero.astype(np.float32)
    floats: NDArray[Any] = (values - shift.reshape(shape)) * scale.reshape(shape)
    return floats
