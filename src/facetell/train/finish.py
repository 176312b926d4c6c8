"""From the selected weights to a finished model: SVM, calibration, results, file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facetell.contract import Contract
from facetell.datasets import open_dataset
from facetell.datasets.fingerprint import fingerprint
from facetell.datasets.groups import read_groups, write_groups
from facetell.datasets.sample import Dataset
from facetell.datasets.splits import Split, split
from facetell.errors import TrainingError
from facetell.evaluate.calibration import fit_scale
from facetell.evaluate.metrics import accuracy, balanced_accuracy, confusion_matrix
from facetell.files import write_atomically
from facetell.model.hybrid import Hybrid, describe
from facetell.model.svm import fit_svm
from facetell.recipe import Recipe, recipe_from_dict
from facetell.train.batches import held_out_clips
from facetell.train.checkpoint import save_checkpoint
from facetell.train.predictor import TorchPredictor, load_run
from facetell.train.record import RECORD, read_record
from facetell.train.stretches import Stretches

__all__ = [
    "GROUPS",
    "Judge",
    "count_multiply_adds",
    "finish",
    "held_out_faces",
    "make_contract",
    "refit_run",
    "reopen",
    "run_groups",
    "sides_of",
    "split_for",
]

#: File in a run's folder, there if the user said which faces must share a side.
GROUPS = "groups.csv"


class Judge:
    """What a network says of the validation faces, or of clips made of them.

    Args:
        dataset, indices: the validation faces.
        recipe: a recipe with clips is judged by their frames, one for stills by stills.
        contract: how faces become tensors.
        stretches: of labelled clips, judged beside those made of faces.

    Attributes:
        targets: (N,) labels of the faces or frames.
    """

    def __init__(
        self,
        dataset: Dataset,
        indices: NDArray[np.int64],
        recipe: Recipe,
        contract: Contract,
        stretches: Stretches | None = None,
    ) -> None:
        self.contract = contract
        self.clips = None
        if recipe.clips.frames:
            self.clips = held_out_clips(dataset, indices, recipe, contract, stretches)
            self.targets = self.clips.targets.flatten().numpy()
            return
        self.targets = dataset.targets[indices]
        self.faces = dataset.faces(indices, face_px=contract.face_px, channels=contract.channels)

    def margins(self, network: Hybrid) -> NDArray[np.float32]:
        """(N, K); stills with flip, frames of clips without."""
        predictor = TorchPredictor(network, self.contract)
        if self.clips is None:
            return predictor.predict(self.faces).margins
        return predictor.run_clips(self.clips).reshape(len(self.targets), -1)

    def columns(self, network: Hybrid) -> dict[str, float]:
        """The metrics of an epoch."""
        found = self.accuracies(self.margins(network))
        return {f"validation_{name}": value for name, value in found.items()}

    def accuracies(self, margins: NDArray[np.float32]) -> dict[str, float]:
        """Accuracy and balanced accuracy of margins (N, K), 0-1."""
        confusion = confusion_matrix(self.targets, margins.argmax(1), len(self.contract.labels))
        return {
            "accuracy": float(accuracy(confusion)),
            "balanced_accuracy": float(balanced_accuracy(confusion)),
        }


def finish(
    network: Hybrid,
    recipe: Recipe,
    contract: Contract,
    dataset: Dataset,
    parts: Split,
    folder: Path,
    *,
    stretches: Stretches | None = None,
    write: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> TorchPredictor:
    """Fit the SVM where the recipe wants it post hoc, calibrate, and write model.safetensors.

    Args:
        network: the selected weights.
        recipe, contract: of the run; the contract comes back with scale, counts and results.
        dataset, parts: the SVM sees training faces only, the calibration validation faces only.
        folder: where to write.
        stretches: of labelled clips, to calibrate an LSTM over frames by.
        write: whether this process writes.
        say: progress in words.
    """  # fmt: skip
    predictor = TorchPredictor(network, contract, recipe=recipe)
    if recipe.svm.fit != "end-to-end":
        say(f"fitting the SVM on frozen features ({recipe.svm.fit})")
        _refit(predictor, dataset, parts.train.indices, recipe)
    judge = Judge(dataset, parts.validation, recipe, contract, stretches)
    margins = judge.margins(network)
    predictor.contract = replace(
        contract,
        score_scale=fit_scale(margins, judge.targets),
        parameters=sum(p.numel() for p in network.parameters()),
        multiply_adds=count_multiply_adds(network, contract),
        results={
            "side": _side(judge, stretches),
            "faces": len(judge.targets),
            "flip": contract.flip and judge.clips is None,
            **{name: round(value, 6) for name, value in judge.accuracies(margins).items()},
        },
    )
    if write:
        state = {"recipe": recipe.to_dict(), "contract": predictor.contract.to_json()}
        save_checkpoint(folder / "model.safetensors", network.state_dict(), state)
        say(f"wrote {folder / 'model.safetensors'}")
    return predictor


def _targets(recipe: Recipe) -> Iterator[str]:
    """What training faces were said to look like, where it was not their labels alone."""
    if votes := recipe.data.votes:
        yield f"FER+ votes are {votes:.0%} of the targets"
    if distil := recipe.train.distil:
        yield f"{distil:.0%} of the targets are teachers' scores"


def _side(judge: Judge, stretches: Stretches | None) -> str:
    """What a model was judged by, in words."""
    if judge.clips is None:
        return "validation"
    made = "frames of clips made of validation"
    return made if stretches is None else f"{made}, and of labelled clips of held-out people"


def make_contract(recipe: Recipe, dataset: Dataset, parts: Split) -> Contract:
    """What a model trained by this recipe on these faces promises, before it is trained."""
    channels = recipe.model.channels
    return Contract(
        name=recipe.name,
        labels=dataset.labels,
        face_px=recipe.model.face_px,
        channels=channels,
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        sequence=recipe.model.sequence,
        memory=recipe.model.memory,
        recipe=recipe.name,
        architecture=describe(recipe.model),
        protocol=parts.protocol,
        trained_on=parts.trained_on,
        training=(
            f"trained on {len(parts.train.indices):,} faces, selected and calibrated on "
            f"{len(parts.validation):,} validation faces",
            *_targets(recipe),
        ),
        data=fingerprint(dataset),
        licence=f"Data: {dataset.licence or 'terms unknown'} Weights: follow the data's terms.",
    )


def run_groups(run: Path, dataset: Dataset) -> NDArray[np.int64] | None:
    """(N,) what the run was told to keep together, None if it was told nothing."""
    return read_groups(dataset, run / GROUPS) if (run / GROUPS).exists() else None


def split_for(
    recipe: Recipe,
    dataset: Dataset,
    groups: NDArray[np.int64] | None,
    search: Callable[[str, float], None] | None = None,
) -> Split:
    """The sides that a recipe trains on and chooses by."""
    return split(
        dataset, recipe.data.protocol, seed=recipe.data.seed, fold=recipe.data.fold,
        groups=groups, progress=search,
    )  # fmt: skip


def refit_run(
    run: Path,
    folder: Path,
    changes: dict[str, Any],
    *,
    source: str | None = None,
    label_order: Sequence[str] | None = None,
    dataset: Dataset | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> TorchPredictor:
    """A copy of a finished run whose SVM is fitted anew on frozen features.

    Args:
        run: a finished run.
        folder: the new run's folder; must not hold one.
        changes: settings of the recipe's [svm] section to change.
        source: path of the data; by default what the run was trained on.
        label_order: names of its label numbers, where it has only numbers.
        dataset: the data themselves, where they are open already.
        say: progress in words.

    Raises:
        TrainingError: the folder holds a run, the record of the finished one was damaged, or these
            are not the data it was trained on.
    """  # fmt: skip
    if (folder / RECORD).exists():
        raise TrainingError(
            f"expected a new folder, got {folder}, which holds a run. Name another."
        )
    before = load_run(run)
    assert before.recipe is not None
    values = before.recipe.to_dict()
    values["svm"] |= changes
    recipe = recipe_from_dict(values)
    about = read_record(run)
    whole, together, parts = reopen(
        run, recipe, source=source, label_order=label_order, dataset=dataset
    )
    dataset = parts.dataset
    contract = make_contract(recipe, dataset, parts)
    learned = before.contract
    if contract.data != {name: value for name, value in learned.data.items() if name != "clips"}:
        raise TrainingError(
            f"expected the data that the run in {run} was trained on, got {dataset.name} with "
            f"{len(dataset):,} other faces, or other labels. Name those data with --data."
        )
    contract = replace(
        contract, training=learned.training, data=learned.data, licence=learned.licence
    )
    folder.mkdir(parents=True, exist_ok=True)
    if together is not None:
        write_groups(whole, together, folder / GROUPS, overwrite=True)
    about |= {"recipe": recipe.to_dict(), "refitted_from": run.name}
    write_atomically(folder / RECORD, json.dumps(about, indent=2) + "\n")
    return finish(before.model, recipe, contract, dataset, parts, folder, say=say)


def sides_of(
    run: Path,
    predictor: TorchPredictor,
    *,
    source: str | None = None,
    label_order: Sequence[str] | None = None,
) -> Split:
    """The sides of a run's data, as they were when it was trained."""
    assert predictor.recipe is not None
    return reopen(run, predictor.recipe, source=source, label_order=label_order)[2]


def reopen(
    run: Path,
    recipe: Recipe,
    *,
    source: str | None = None,
    label_order: Sequence[str] | None = None,
    dataset: Dataset | None = None,
) -> tuple[Dataset, NDArray[np.int64] | None, Split]:
    """A run's data, what it was told to keep together, and the sides the recipe makes of both.

    Args:
        run: its folder.
        recipe: whose protocol counts.
        source: path of the data; by default what the run was trained on.
        label_order: names of its label numbers, where it has only numbers.
        dataset: the data themselves, where they are open already.
    """
    if dataset is None:
        about = read_record(run)
        dataset = open_dataset(source or about["data_source"], label_order=label_order)
    together = run_groups(run, dataset)
    return dataset, together, split_for(recipe, dataset, together)


def held_out_faces(parts: Split, contract: Contract, *, count: int = 256) -> NDArray[np.uint8]:
    """Up to `count` validation faces, spread over all of them."""
    rows = parts.validation[:: max(1, len(parts.validation) // count)][:count]
    return parts.dataset.faces(rows, face_px=contract.face_px, channels=contract.channels)


def _refit(
    predictor: TorchPredictor, dataset: Dataset, indices: NDArray[np.int64], recipe: Recipe
) -> None:
    """A linear SVM on the frozen features of the training faces and their mirror images."""
    contract = predictor.contract
    faces = dataset.faces(indices, face_px=contract.face_px, channels=contract.channels)
    features = np.concatenate([predictor.features(faces), predictor.features(faces[:, :, ::-1])])
    targets = np.tile(dataset.targets[indices], 2)
    weight, bias = fit_svm(features, targets, len(contract.labels), recipe.svm)
    assert isinstance(predictor.model, Hybrid)
    with torch.no_grad():
        predictor.model.svm.weight.copy_(torch.from_numpy(weight))
        predictor.model.svm.bias.copy_(torch.from_numpy(bias))


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
        network.eval()(torch.zeros(1, 1, contract.channels, side, side))
    for handle in hooks:
        handle.remove()
    return counted[0]
