"""From the selected weights to a finished model: SVM, calibration, results, file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facetell.contract import Contract
from facetell.datasets.sample import Dataset
from facetell.datasets.splits import Split
from facetell.evaluate.metrics import accuracy, balanced_accuracy, confusion_matrix
from facetell.model.hybrid import Hybrid
from facetell.model.svm import fit_svm
from facetell.recipe import Recipe
from facetell.train.checkpoint import save_checkpoint
from facetell.train.predictor import TorchPredictor, softmax

__all__ = ["finish", "fit_scale"]


def finish(
    network: Hybrid, recipe: Recipe, contract: Contract, dataset: Dataset, parts: Split,
    folder: Path, *, write: bool = True, say: Callable[[str], None] = lambda _: None,
) -> TorchPredictor:
    """Fit the SVM where the recipe wants it post hoc, calibrate, and write model.safetensors.

    Args:
        network: the selected weights.
        recipe, contract: of the run; the contract comes back with scale, counts and results.
        dataset, parts: the SVM sees training faces only, the calibration validation faces only.
        folder: where to write.
        write: whether this process writes.
        say: progress in words.
    """  # fmt: skip
    predictor = TorchPredictor(network, contract, recipe=recipe)
    if recipe.svm.fit != "end-to-end":
        say(f"fitting the SVM on frozen features ({recipe.svm.fit})")
        _refit(predictor, dataset, parts.train.indices, recipe)
    faces = dataset.faces(
        parts.validation, face_px=contract.face_px, channels=contract.channels
    )
    targets = dataset.targets[parts.validation]
    margins = predictor.predict(faces).margins
    confusion = confusion_matrix(targets, margins.argmax(1), len(contract.labels))
    predictor.contract = replace(
        contract,
        score_scale=fit_scale(margins, targets),
        parameters=sum(p.numel() for p in network.parameters()),
        multiply_adds=count_multiply_adds(network, contract),
        results={
            "side": "validation",
            "faces": len(targets),
            "flip": contract.flip,
            "accuracy": round(float(accuracy(confusion)), 6),
            "balanced_accuracy": round(float(balanced_accuracy(confusion)), 6),
        },
    )
    if write:
        state = {"recipe": recipe.to_dict(), "contract": predictor.contract.to_json()}
        save_checkpoint(folder / "model.safetensors", network.state_dict(), state)
        say(f"wrote {folder / 'model.safetensors'}")
    return predictor


def _refit(
    predictor: TorchPredictor, dataset: Dataset, indices: NDArray[np.int64], recipe: Recipe
) -> None:
    """A linear SVM on the frozen features of the training faces and their mirror images."""
    contract = predictor.contract
    faces = dataset.faces(indices, face_px=contract.face_px, channels=contract.channels)
    features = np.concatenate(
        [predictor.features(faces), predictor.features(faces[:, :, ::-1])]
    )
    targets = np.tile(dataset.targets[indices], 2)
    weight, bias = fit_svm(features, targets, len(contract.labels), recipe.svm)
    with torch.no_grad():
        predictor.model.svm.weight.copy_(torch.from_numpy(weight))
        predictor.model.svm.bias.copy_(torch.from_numpy(bias))


def fit_scale(margins: NDArray[np.floating], targets: NDArray[np.integer]) -> float:
    """The scale a that makes softmax(a * margins) likeliest: temperature scaling.

    One number, so that the order of the scores is the order of the margins.
    Golden-section search over log a; the likelihood has one peak.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2 (a = 1/T).
    """

    def loss(log_scale: float) -> float:
        scores = softmax(margins, float(np.exp(log_scale)))
        return float(-np.log(scores[np.arange(len(targets)), targets] + 1e-12).mean())

    low, high = np.log(1e-3), np.log(1e3)
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def count_multiply_adds(network: Hybrid, contract: Contract) -> int:
    """Multiply-adds of convolutions, linear layers and LSTM for one face."""
    counted = [0]

    def hook(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: object) -> None:
        if isinstance(module, torch.nn.LSTM):
            steps = inputs[0].shape[1]
            counted[0] += steps * sum(w.numel() for w in module.parameters() if w.ndim == 2)
        elif isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            assert isinstance(output, torch.Tensor)
            counted[0] += output.numel() * module.weight[0].numel()

    hooks = [m.register_forward_hook(hook) for m in network.modules()]
    side = contract.face_px
    with torch.inference_mode():
        network.eval()(torch.zeros(1, contract.window, contract.channels, side, side))
    for handle in hooks:
        handle.remove()
    return counted[0]
