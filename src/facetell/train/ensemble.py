"""Finished runs -> one run that is their ensemble."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from facetell.datasets.groups import write_groups
from facetell.datasets.sample import Dataset
from facetell.errors import TrainingError
from facetell.files import write_atomically
from facetell.model.ensemble import Ensemble
from facetell.model.hybrid import Hybrid
from facetell.train.checkpoint import save_checkpoint
from facetell.train.finish import (
    GROUPS,
    Judge,
    count_multiply_adds,
    fit_scale,
    reopen,
)
from facetell.train.predictor import TorchPredictor, load_run
from facetell.train.teachers import check_alike

__all__ = ["MOST", "join_runs"]

#: Networks that may decide together: more cost more than they gain.
MOST = 5


def join_runs(
    runs: Sequence[Path],
    folder: Path,
    *,
    name: str = "ensemble",
    source: str | None = None,
    label_order: Sequence[str] | None = None,
    dataset: Dataset | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> TorchPredictor:
    """A run folder whose network is the mean of finished runs, calibrated as a whole.

    Args:
        runs: two to five finished runs, for stills, on the same data under the same protocol.
        folder: the new run's folder; must not hold one.
        name: what the model is called.
        source: path of the data; by default what the first run was trained on.
        label_order: names of its label numbers, where it has only numbers.
        dataset: the data themselves, where they are open already.
        say: progress in words.

    Raises:
        TrainingError: too few or too many runs, runs that do not go together, a folder in use.

    Example:
        join_runs([Path("runs/a"), Path("runs/b")], Path("runs/both"))
    """
    if not 2 <= len(runs) <= MOST:
        raise TrainingError(
            f"expected two to {MOST} runs to join, got {len(runs)}. Name them one after the other."
        )
    if (folder / "run.json").exists():
        raise TrainingError(f"expected a new folder, got {folder}, which holds a run.")
    members = [load_run(run) for run in runs]
    first = members[0]
    assert first.recipe is not None
    about = json.loads((runs[0] / "run.json").read_text())
    whole, together, parts = reopen(
        runs[0], first.recipe, source=source, label_order=label_order, dataset=dataset
    )
    for run, member in zip(runs[1:], members[1:], strict=True):
        check_alike(run, member, first.recipe, first.contract, drawn=parts.held_out)
        if member.contract.face_px != first.contract.face_px:
            raise TrainingError(
                f"expected runs that take faces of {first.contract.face_px} px, got {run} with "
                f"{member.contract.face_px} px. Join runs of one size."
            )
    networks = [member.model for member in members]
    if not all(isinstance(network, Hybrid) for network in networks):
        raise TrainingError("expected single networks to join, got an ensemble. Name its members.")
    scales = [member.contract.score_scale for member in members]
    ensemble = Ensemble([n for n in networks if isinstance(n, Hybrid)], scales)
    judge = Judge(parts.dataset, parts.validation, first.recipe, first.contract)
    margins = judge.margins(ensemble)
    contract = replace(
        first.contract,
        name=name,
        recipe=" + ".join(member.contract.recipe for member in members),
        architecture=f"mean of {len(members)} networks: "
        + " | ".join(member.contract.architecture for member in members),
        score_scale=fit_scale(margins, judge.targets),
        parameters=sum(member.contract.parameters for member in members),
        multiply_adds=count_multiply_adds(ensemble, first.contract),
        results={
            **first.contract.results,
            **{key: round(value, 6) for key, value in judge.accuracies(margins).items()},
        },
    )
    folder.mkdir(parents=True, exist_ok=True)
    if together is not None:
        write_groups(whole, together, folder / GROUPS, overwrite=True)
    recipes = [member.recipe.to_dict() for member in members if member.recipe is not None]
    record = about | {"joined": [str(run) for run in runs], "recipe": recipes[0]}
    write_atomically(folder / "run.json", json.dumps(record, indent=2) + "\n")
    state = {
        "recipe": recipes[0],
        "members": recipes,
        "scales": scales,
        "contract": contract.to_json(),
    }
    save_checkpoint(folder / "model.safetensors", ensemble.state_dict(), state)
    say(f"wrote {folder / 'model.safetensors'}")
    return TorchPredictor(ensemble, contract, recipe=first.recipe)
