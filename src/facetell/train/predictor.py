"""A torch network as something that can be judged, and the folder it lives in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facetell.contract import Contract
from facetell.errors import TrainingError
from facetell.model.hybrid import Hybrid
from facetell.predictor import Prediction, calibrated
from facetell.recipe import Recipe, recorded_recipe
from facetell.tensors import to_tensor
from facetell.train.batches import clip_tensor
from facetell.train.checkpoint import load_checkpoint
from facetell.train.pseudoclips import Clips

__all__ = ["TorchPredictor", "load_run"]

BATCH = 256
CLIPS = 16


class TorchPredictor:
    """Scores faces with a torch network; see `facetell.predictor.Predictor`.

    Args:
        model: the network; switched to evaluation mode for each call and back afterwards.
        contract: how faces become tensors and margins become scores.
    """

    def __init__(self, model: Hybrid, contract: Contract, *, recipe: Recipe | None = None) -> None:
        self.model = model
        self.contract = contract
        self.recipe = recipe

    def predict(self, faces: NDArray[np.uint8]) -> Prediction:
        """Margins, scores and theta of (N, S, S) grey or (N, S, S, 3) RGB uint8 faces."""
        margins, _, theta = self.run(faces)
        if self.contract.flip:
            mirrored, _, _ = self.run(faces[:, :, ::-1])
            margins = (margins + mirrored) * np.float32(0.5)
        return Prediction(margins, calibrated(margins, self.contract), theta)

    def features(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, D): what the SVM sees."""
        return self.run(faces)[1]

    @torch.inference_mode()
    def run(
        self, faces: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
        """Margins (N, K), features (N, D), theta (N, 2, 3) or None; no mirroring."""
        was_training = self.model.training
        self.model.eval()
        device = next(self.model.parameters()).device
        starts = range(0, len(faces), BATCH) if len(faces) else [0]
        outputs = [
            self.model(torch.from_numpy(to_tensor(faces[i : i + BATCH], self.contract)).to(device))
            for i in starts
        ]
        self.model.train(was_training)
        margins, features = (
            torch.cat([o[part][:, 0] for o in outputs]).cpu().numpy() for part in (0, 1)
        )
        if outputs[0].theta is None:
            return margins, features, None
        return margins, features, torch.cat([o.theta[:, 0] for o in outputs]).cpu().numpy()

    @torch.inference_mode()
    def run_clips(self, clips: Clips) -> NDArray[np.float32]:
        """Margins (B, T, K) of every frame of clips, with memory; no mirroring."""
        was_training = self.model.training
        self.model.eval()
        device = next(self.model.parameters()).device
        margins = []
        for i in range(0, len(clips.frames), CLIPS):
            some = Clips(*(part[i : i + CLIPS] for part in clips))
            faces = clip_tensor(some, self.contract).to(device)
            margins.append(self.model(faces, some.elapsed.to(device)).margins.cpu().numpy())
        self.model.train(was_training)
        return np.concatenate(margins)


def load_run(folder: str | Path, *, flip: bool | None = None) -> TorchPredictor:
    """The selected model of a training run.

    Raises:
        TrainingError: the folder holds no finished model.
    """
    path = Path(folder) / "model.safetensors"
    if not path.is_file():
        raise TrainingError(
            f"expected a finished training run (with model.safetensors) at {folder}, found none. "
            "Run `facetell train`, or continue with `facetell train --resume RUN`."
        )
    tensors, state = load_checkpoint(path)
    recipe = recorded_recipe(state["recipe"])
    contract = Contract.from_json(state["contract"])
    if flip is not None:
        contract = replace(contract, flip=flip)
    return TorchPredictor(_network(recipe, contract, tensors), contract, recipe=recipe)


def _network(recipe: Recipe, contract: Contract, tensors: dict[str, Any]) -> Hybrid:
    model = Hybrid(recipe.model, len(contract.labels))
    model.load_state_dict(tensors)
    return model.eval()
