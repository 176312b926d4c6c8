"""Finished networks that tell a smaller one what they see in each training face."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facetell.contract import Contract
from facetell.errors import TrainingError
from facetell.model.hybrid import Hybrid
from facetell.recipe import Recipe
from facetell.train.predictor import TorchPredictor, load_run

__all__ = ["Teachers", "check_alike"]


class Teachers(nn.Module):
    """The mean of several finished runs' scores, of the very faces that the pupil sees.

    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"; that pupil and
    teachers see the same augmented face, Beyer et al. 2022, "Knowledge distillation: A good
    teacher is patient and consistent", section 3. Scores are calibrated, so there is no
    temperature to choose. Where the pupil begins with smaller faces (`small_share`), teachers see
    them enlarged to their own size: compact reads 67 % of faces of 36 px so, 62.5 % as they are.

    Args:
        runs: folders of finished runs, for stills.
        recipe, contract: the pupil's; teachers must read faces and labels as it does, and have
            been kept from the faces that it is chosen on.
        drawn: the seed drew the sides, so it must be the same.
        bf16: teachers, too, compute their convolutions in bfloat16.

    Raises:
        TrainingError: a teacher is unfinished, takes other faces, knows other labels, or was
            not kept from the faces that the pupil is chosen on.
    """

    def __init__(
        self,
        runs: Sequence[Path],
        recipe: Recipe,
        contract: Contract,
        *,
        drawn: bool,
        bf16: bool = False,
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList()
        self.scales: list[float] = []
        self.sides: list[int] = []  # px
        for run in runs:
            teacher = load_run(run)
            check_alike(run, teacher, recipe, contract, drawn=drawn)
            self.networks.append(teacher.model.eval().requires_grad_(False))
            self.scales.append(teacher.contract.score_scale)
            self.sides.append(teacher.contract.face_px)
        for module in self.modules():
            if isinstance(module, Hybrid):
                module.bf16 = bf16

    @torch.no_grad()
    def forward(self, faces: Tensor) -> Tensor:
        """Faces (B, T, C, S, S) -> scores (B, T, K)."""
        scores = [
            torch.softmax(scale * network(_resized(faces, side)).margins, -1)
            for network, scale, side in zip(self.networks, self.scales, self.sides, strict=True)
        ]
        return torch.stack(scores).mean(0)


def _resized(faces: Tensor, side: int) -> Tensor:
    """Faces (B, T, C, S, S) at another side, (B, T, C, side, side)."""
    if faces.shape[-1] == side:
        return faces
    flat: Tensor = F.interpolate(faces.flatten(0, 1), side, mode="bilinear", align_corners=False)
    resized: Tensor = flat.unflatten(0, faces.shape[:2])
    return resized


def _sides(recipe: Recipe, *, drawn: bool) -> str:
    """What decides who trains and who chooses."""
    seed = f", seed {recipe.train.seed}" if drawn or recipe.data.protocol != "official" else ""
    return f"{recipe.data.protocol}, fold {recipe.data.fold}{seed}"


def check_alike(
    run: Path, other: TorchPredictor, recipe: Recipe, contract: Contract, *, drawn: bool
) -> None:
    """Whether a finished run may teach, or join, one of this recipe and contract.

    Raises:
        TrainingError: it reads other faces or labels, was trained on other data, or may have
            seen faces that the other one is chosen on.
    """
    for name in ("labels", "channels", "mean", "std", "data"):
        theirs, ours = getattr(other.contract, name), getattr(contract, name)
        if theirs != ours:
            raise TrainingError(
                f"expected a run at {run} with the {name} {ours!r}, got {theirs!r}. "
                "Train all on the same data with the same preparation."
            )
    if other.contract.memory:
        raise TrainingError(
            f"expected a run for stills at {run}, got one with an LSTM over frames. "
            "Name the run that it was started from."
        )
    assert other.recipe is not None
    ours, theirs = (_sides(r, drawn=drawn) for r in (recipe, other.recipe))
    if ours != theirs:
        raise TrainingError(
            f"expected a run at {run} trained under the protocol {ours}, got {theirs}: it may "
            "have seen faces that the others are chosen on. Train all under one protocol."
        )
