"""Checkpoints: one safetensors file each, written atomically, nothing pickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from facetell.errors import TrainingError
from facetell.files import write_atomically

__all__ = [
    "flat_optimiser",
    "load_checkpoint",
    "restore_optimiser",
    "save_checkpoint",
]


def save_checkpoint(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write tensors and a JSON-ready state as one file."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(plain, metadata={"state": json.dumps(state)}))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the state that `save_checkpoint` wrote.

    Raises:
        TrainingError: no such file, or not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {})["state"])
            return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(
            f"expected a facetell checkpoint at {path}, got {type(error).__name__}: {error}. "
            "Give the folder of a training run."
        ) from error


def flat_optimiser(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's memory as named tensors: optimiser.<parameter>.<key>."""
    return {
        f"optimiser.{index}.{key}": torch.as_tensor(value).clone()
        for index, memory in optimiser.state_dict()["state"].items()
        for key, value in memory.items()
        if value is not None
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `flat_optimiser` took."""
    content = optimiser.state_dict()
    memory: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".")
            memory.setdefault(int(index), {})[key] = tensor
    content["state"] = memory
    optimiser.load_state_dict(content)
