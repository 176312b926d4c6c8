"""Finished models that tell a network what they see in each training face."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facetell.contract import Contract
from facetell.datasets.trained_faces import describe_training, has_known_sides, same_training
from facetell.errors import TrainingError
from facetell.predictor import calibrated
from facetell.recipe import Recipe
from facetell.runtime.session import Model, load
from facetell.train.predictor import TorchPredictor, load_run

__all__ = ["Teachers", "check_alike"]


class Teachers(nn.Module):
    """Scores of several finished models, of the faces that the pupil sees.

    Each face gets the mean of all, or (`train.distil_by = "one"`) the scores of one of them, the
    first face of a batch those of the first, and so on. Targets enter the losses linearly and the
    order of the faces is drawn anew in every epoch, so the gradient is the same in the mean.

    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"; that pupil and
    teachers see the same augmented face, Beyer et al. 2022, "Knowledge distillation: A good
    teacher is patient and consistent", section 3; that only the pupil's is noisy, Xie et al.
    2020, "Self-training with Noisy Student improves ImageNet classification", section 2. Training
    hands over `Batch.clear`, without the noise and the lost detail. Scores are calibrated, so
    there is no temperature to choose. Where the pupil begins with smaller faces (`small_share`),
    teachers see them enlarged to their own size: compact reads 67 % of faces of 36 px so, 62.5 %
    as they are.

    Args:
        teachers: folders of finished runs, names of bundled models or .onnx files; for stills.
        recipe, contract: the pupil's; teachers must read faces and labels as it does, and have
            been kept from the faces that it is chosen on.
        bf16: runs, too, compute their convolutions in bfloat16.

    Raises:
        TrainingError: a teacher is unfinished, takes other faces, knows other labels, or was
            not kept from the faces that the pupil is chosen on.
        InputError, ContractError: no model of that name, or no facetell model in that file.
    """

    def __init__(
        self,
        teachers: Sequence[str | Path],
        recipe: Recipe,
        contract: Contract,
        *,
        bf16: bool = False,
    ) -> None:
        super().__init__()
        self.each = nn.ModuleList()
        self.in_turn = recipe.train.distil_by == "one"
        for name in teachers:
            if Path(name).is_dir():
                run = load_run(name)
                check_alike(name, run.contract, contract)
                self.each.append(_Run(run, bf16=bf16))
            else:
                model = load(str(name), threads=torch.get_num_threads(), flip=False)
                check_alike(name, model.contract, contract)
                self.each.append(_File(model))

    @torch.no_grad()
    def forward(self, faces: Tensor) -> Tensor:
        """Faces (B, T, C, S, S) -> scores (B, T, K)."""
        if not self.in_turn:
            return torch.stack([teacher(faces) for teacher in self.each]).mean(0)
        count = len(self.each)
        parts = [teacher(faces[i::count]) for i, teacher in enumerate(self.each) if i < len(faces)]
        scores: Tensor = parts[0].new_empty(len(faces), *parts[0].shape[1:])
        for i, part in enumerate(parts):
            scores[i::count] = part
        return scores


class _Run(nn.Module):
    """A finished run."""

    def __init__(self, run: TorchPredictor, *, bf16: bool) -> None:
        super().__init__()
        self.network = run.model.eval().requires_grad_(False)
        self.contract = run.contract
        self.network.bf16 = bf16

    def forward(self, faces: Tensor) -> Tensor:
        margins = self.network(_resized(faces, self.contract.face_px)).margins
        return torch.softmax(self.contract.score_scale * margins, -1)


class _File(nn.Module):
    """A model file; it computes on the processor, wherever the pupil is."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, faces: Tensor) -> Tensor:
        contract = self.model.contract
        flat = _resized(faces, contract.face_px).flatten(0, 1)[:, None]
        scores = calibrated(self.model.margins(flat.cpu().numpy()), contract)
        return torch.from_numpy(scores).unflatten(0, faces.shape[:2]).to(faces.device)  # type: ignore[no-any-return]


def _resized(faces: Tensor, side: int) -> Tensor:
    """Faces (B, T, C, S, S) at another side, (B, T, C, side, side)."""
    if faces.shape[-1] == side:
        return faces
    flat: Tensor = F.interpolate(faces.flatten(0, 1), side, mode="bilinear", align_corners=False)
    resized: Tensor = flat.unflatten(0, faces.shape[:2])
    return resized


def check_alike(name: str | Path, theirs: Contract, ours: Contract, *, labels: bool = True) -> None:
    """Whether a finished model may teach one with our contract, or lend it features.

    Args:
        name: the run or file, in errors.
        theirs: the finished model's contract.
        ours: of the one that learns.
        labels: it must know the labels, too; features serve any.

    Raises:
        TrainingError: it reads other faces or labels, or was trained on others than ours will be,
            so that it may have seen faces that ours is chosen on.
    """
    _check_faces(name, theirs, ours, labels=labels)
    features = not labels and has_known_sides(theirs) and has_known_sides(ours)
    if not (features or same_training(theirs, ours)):
        raise TrainingError(
            f"expected a model at {name} trained on the same faces as this one "
            f"({describe_training(ours)}), got one {describe_training(theirs)}: it may have seen "
            "faces that the others are chosen on. Train all on the same data under one protocol, "
            "with the same data.seed, data.fold and --together."
        )


def _check_faces(name: str | Path, theirs: Contract, ours: Contract, *, labels: bool) -> None:
    for field in (*(("labels",) if labels else ()), "channels", "mean", "std"):
        expected, found = getattr(ours, field), getattr(theirs, field)
        if found != expected:
            raise TrainingError(
                f"expected a run at {name} with the {field} {expected!r}, got {found!r}. "
                "Train all on the same data with the same preparation."
            )
    if theirs.memory:
        raise TrainingError(
            f"expected a run for stills at {name}, got one with an LSTM over frames. "
            "Name the run that it was started from."
        )
