"""How long to train, and on how many faces."""

from __future__ import annotations

from dataclasses import dataclass

from facetell.recipe import load_recipe

__all__ = ["FULL", "QUICK", "Effort"]


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Shares of what the recipes ask for.

    Attributes:
        name: "full" or "quick"; part of what makes a run resumable.
        systems: share of the recipe's epochs for the hybrid, honest and leaky, and for the
            systems beside it.
        ablations: share for the ablations and for the hybrid that they are compared with:
            what counts there is a difference.
        printed: epochs for the settings that do not train: enough to see it.
        faces: at most as many faces of a dataset, drawn at random; None for all.
        folds: at most as many subjects judge in turn; None for all.
    """

    name: str
    systems: float
    ablations: float
    printed: int
    faces: int | None = None
    folds: int | None = None

    def epochs(self, recipe: str, share: float, *, faces: float = 1.0) -> int:
        """Epochs of a recipe at a share; fewer if an epoch has `faces` times the usual ones."""
        return max(1, round(load_recipe(recipe).train.epochs * share / faces))


#: About six hours of one CPU core for FER2013, of which the hybrid and its leaky twin take most.
FULL = Effort(name="full", systems=1.0, ablations=10 / 24, printed=2)
#: Within 15 minutes on two CPU cores; its numbers show that all works, not how well.
QUICK = Effort(name="quick", systems=0.1, ablations=0.1, printed=1, faces=4000, folds=1)
