"""One recipe, several seeds: how much of a result is luck."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from facetell.datasets.sample import Dataset
from facetell.recipe import Recipe
from facetell.train.loop import train
from facetell.train.predictor import TorchPredictor
from facetell.train.record import RECORD

__all__ = ["train_seeds"]


def train_seeds(
    recipe: Recipe, dataset: Dataset, folder: Path, *, seeds: int, **options: Any
) -> Iterator[tuple[Path, TorchPredictor]]:
    """The recipe with its seed and those that follow, in one folder each, one after the other.

    Called again with the same arguments, it passes finished runs by and goes on with the one
    that was interrupted.

    Args:
        recipe, dataset: as for `train`.
        folder: will hold seed-0, seed-1, ...
        seeds: how many.
        options: others of `train`.

    Raises:
        TrainingError: as `train`; a run in the folder was started with other arguments.

    Yields:
        Each run's folder and its model, as soon as it is finished.

    Example:
        for run, predictor in train_seeds(recipe, dataset, Path("runs/five"), seeds=5):
            print(run, predictor.contract.results["accuracy"])
    """
    for seed in range(recipe.train.seed, recipe.train.seed + seeds):
        run = folder / f"seed-{seed}"
        chosen = replace(recipe, train=replace(recipe.train, seed=seed))
        yield run, train(chosen, dataset, run, resume=(run / RECORD).exists(), **options)
