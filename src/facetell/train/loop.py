"""The training loop, from a recipe and a dataset to a run folder.

A run folder holds:
    run.json            resolved recipe, versions, seed, data fingerprint, split
    groups.csv          what must share a side, where the user said so
    last.safetensors    weights, averaged weights, optimiser, history: what --resume needs
    best.safetensors    averaged weights of the epoch that was best on validation
    metrics.csv         one line per epoch
    logs/               the same for TensorBoard
    model.safetensors   the finished model: selected weights, SVM, calibration, contract
"""

from __future__ import annotations

import csv
import io
import json
import math
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import lightning_fabric as lightning
import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric.utilities.exceptions import MisconfigurationException
from numpy.typing import NDArray
from tensorboardX import SummaryWriter
from torch import Tensor

from facetell.contract import Contract
from facetell.datasets.clipfolders import LabelledClips
from facetell.datasets.groups import write_groups
from facetell.datasets.sample import Dataset
from facetell.datasets.splits import oversample
from facetell.errors import TrainingError
from facetell.files import write_atomically
from facetell.model.hybrid import Hybrid, build_model, describe
from facetell.model.svm import squared_hinge
from facetell.recipe import Recipe, recorded_recipe
from facetell.train.augment import mix_up
from facetell.train.batches import training_faces
from facetell.train.checkpoint import (
    flat_optimiser,
    load_checkpoint,
    restore_optimiser,
    save_checkpoint,
)
from facetell.train.finish import GROUPS, Judge, finish, make_contract, run_groups, split_for
from facetell.train.growth import grow, read_trunk, with_start
from facetell.train.predictor import TorchPredictor, load_run
from facetell.train.record import RECORD, read_record
from facetell.train.stretches import ClipSides, with_clips
from facetell.train.teachers import Teachers, check_alike

__all__ = ["COLUMNS", "Progress", "resumed_recipe", "train", "training_seconds"]

COLUMNS = (
    "epoch", "learning_rate", "loss", "validation_accuracy", "validation_balanced_accuracy",
    "faces_per_s", "outside_share", "seconds",
)  # fmt: skip
_MEASURED = 8  # batches that a grown network's normalisations are measured on


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Whom to tell: `step(epoch, step, steps, loss)`, `epoch(row)`, `say(text)`.

    `search(phase, share)` hears how far the search for near-copies is, `cut(done, clips)` how many
    clips have had their faces cut out.
    """

    step: Callable[[int, int, int, float], None] = lambda *_: None
    epoch: Callable[[dict[str, float]], None] = lambda _: None
    say: Callable[[str], None] = lambda _: None
    search: Callable[[str, float], None] = lambda *_: None
    cut: Callable[[int, int], None] = lambda *_: None


def train(
    recipe: Recipe,
    dataset: Dataset,
    folder: Path,
    *,
    resume: bool = False,
    start: str | Path | None = None,
    clips: LabelledClips | None = None,
    teachers: Sequence[str | Path] = (),
    groups: NDArray[np.int64] | None = None,
    accelerator: str = "auto",
    devices: int = 1,
    progress: Progress | None = None,
) -> TorchPredictor:
    """Train by the recipe and write the run folder.

    Args:
        recipe: what to train and how; its seeds decide everything random.
        dataset: faces with labels; split by `recipe.data.protocol`.
        folder: the run folder; new, or with `resume` an interrupted run of this recipe.
        resume: continue after the last finished epoch; a finished run is read.
        start: for a recipe with an LSTM over frames, a finished run whose network is taken and
            left as it is, while that LSTM is trained on top of it. For others a finished run,
            bundled model or .onnx file whose features the network begins with, see
            `facetell.train.growth`.
        clips: labelled clips that this LSTM learns from, too.
        teachers: finished runs, bundled models or .onnx files whose scores are a share of the
            targets; a resumed run remembers them.
        groups: (N,) equal for faces that must share a side, in place of subjects and
            near-copies; a resumed run remembers them.
        accelerator, devices: as Lightning Fabric takes them ("cpu", "cuda", "auto"; how many).
        progress: called after each step and epoch.

    Returns:
        The finished model, ready to judge.

    Raises:
        TrainingError: the folder is in use, the resumed run differs, the machine has no such
            devices, or the loss is not finite;
            or the recipe's LSTM over frames has nothing to start from, or the network cannot
            begin with what it is to start from; or what teaches it or lends it features may have
            seen faces that it is chosen on.
        ContractError: the clips have other labels than the dataset.
    """
    progress = progress or Progress()
    if clips is not None and not recipe.model.memory:
        raise TrainingError(
            f"expected a recipe with an LSTM over frames to go with --clips, got {recipe.name}. "
            "Train recipe `frames`, or leave --clips out."
        )
    if resume:
        teachers = teachers or _recorded(folder, "teachers") or ()
        start = start or _recorded(folder, "started_from")
    if bool(teachers) != (recipe.train.distil > 0):
        raise TrainingError(
            f"teachers and train.distil belong together: expected both or neither, got "
            f"{len(teachers)} teachers and train.distil = {recipe.train.distil} in recipe "
            f"{recipe.name}. "
            + (
                "Set train.distil above 0."
                if teachers
                else "Name finished models with --teacher, or set train.distil=0."
            )
        )
    if recipe.model.memory and start is None:
        raise TrainingError(
            f"recipe {recipe.name} trains an LSTM over frames on top of a finished run, and got "
            "none. Give one with --start RUN, trained by a recipe with the same blocks."
        )
    fabric = _fabric(accelerator, devices)
    fabric.launch()
    if not fabric.is_global_zero:
        progress = Progress()
    torch.manual_seed(recipe.train.seed)
    whole = dataset
    together = run_groups(folder, whole) if resume else groups
    parts = split_for(recipe, whole, together, progress.search)
    dataset = parts.dataset
    for faces_of, kind in ((parts.train, "training faces"), (parts.validation, "validation faces")):
        if not len(faces_of):
            raise TrainingError(
                f"expected training faces to learn from and validation faces to select on, but "
                f"{dataset.name} under protocol {recipe.data.protocol!r} has no {kind}. Give more "
                "data, sort some into train/ and val/, or set data.protocol=random-80-10-10."
            )
    contract = make_contract(recipe, dataset, parts)
    resumes = resume and (folder / "last.safetensors").exists()
    wanted = recipe.train.precision == "bf16"
    bf16 = wanted and _has_bfloat16(fabric.device)
    finished = resume and (folder / "model.safetensors").exists()
    taught = trunk = beneath = None
    if teachers and not finished:
        taught = Teachers(teachers, recipe, contract, bf16=bf16)
    if start is not None and recipe.model.memory and not finished:
        beneath = load_run(start)
        check_alike(start, beneath.contract, contract)
    elif start is not None and not recipe.model.memory:
        if not resumes:
            trunk = read_trunk(start, recipe, contract)
        contract = with_start(contract, start)
    filmed = None
    if clips is not None:
        filmed = ClipSides(clips, contract, seed=recipe.data.seed, progress=progress.cut)
        contract = with_clips(contract, filmed)
        for note in filmed.notes:
            progress.say(note)
    if fabric.is_global_zero:
        _open_folder(
            folder, recipe, contract, whole, together,
            drawn=parts.drawn, resume=resume, start=start, clips=clips.source if clips else None,
            teachers=teachers,
        )  # fmt: skip
    if finished:
        progress.say(f"{folder} is finished")
        return load_run(folder)
    side = parts.train
    if recipe.data.oversample:
        side = oversample(side, seed=recipe.train.seed)
    faces = training_faces(side, recipe, contract, filmed.train if filmed else None)
    held_out = filmed.validation if filmed else None
    judge = Judge(dataset, parts.validation, recipe, contract, held_out)
    progress.say(
        f"{len(faces):,} training faces, {len(parts.validation):,} validation faces, "
        f"{describe(recipe.model)}"
    )

    if wanted and not bf16:
        progress.say("this processor has no bfloat16 arithmetic: training in float32")
    if taught is not None:
        taught = taught.to(fabric.device)
    network = build_model(recipe.model, len(contract.labels), recipe.train)
    if beneath is not None:
        _take_over(network, beneath.model, start)
        network.freeze_faces()
    elif trunk is not None:
        grow(network, trunk, torch.cat([x for x, *_ in islice(faces.epoch(0), _MEASURED)]))
    averaged = build_model(recipe.model, len(contract.labels), recipe.train)
    averaged.load_state_dict(network.state_dict())
    averaged.to(fabric.device)
    network.bf16 = averaged.bf16 = bf16
    # Of fewer than 8 channels, oneDNN's strided 1x1 convolutions (2.13, AVX2) write past the end.
    if min(recipe.model.widths) >= 8:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model, optimiser = fabric.setup(network, _optimiser(network, recipe))
    history: list[dict[str, float]] = []
    if resumes:
        history = _restore(folder, network, averaged, optimiser)
        progress.say(f"resumed after epoch {len(history)} of {recipe.train.epochs}")
    steps = faces.steps()
    total = steps * recipe.train.epochs
    writer = SummaryWriter(str(folder / "logs"), purge_step=1) if fabric.is_global_zero else None
    for row in history:  # what a killed run had not written yet, too
        _show(writer, row)

    for epoch in range(len(history), recipe.train.epochs):
        torch.manual_seed(_epoch_seed(recipe.train.seed, epoch, fabric.global_rank))  # dropout
        model.train()
        clock = _Clock()
        losses = 0.0
        rate = 0.0
        batches = faces.epoch(epoch, rank=fabric.global_rank, processes=fabric.world_size)
        for step, (x, clear, targets, elapsed, generator) in enumerate(clock.outside(batches)):
            mixed = mix_up((x, clear, targets), recipe.augment.mixup, generator)
            x, clear, targets, elapsed = fabric.to_device((*mixed, elapsed))
            if taught is not None:
                targets = torch.lerp(targets, taught(clear), recipe.train.distil)
            rate = learning_rate(recipe, epoch * steps + step, total)
            for group in optimiser.param_groups:
                group["lr"] = rate

            optimiser.zero_grad()
            margins = model(x, elapsed).margins
            loss = _loss(margins, targets, recipe)
            fabric.backward(loss)
            if recipe.train.clip_norm:
                fabric.clip_gradients(
                    model, optimiser, max_norm=recipe.train.clip_norm, error_if_nonfinite=False
                )
            optimiser.step()  # <- here it learns

            _average(averaged, network, recipe.train.ema, epoch * steps + step)
            losses += float(loss.detach())
            progress.step(epoch, step + 1, steps, losses / (step + 1))
        seconds = clock.seconds()
        row = {
            "epoch": epoch + 1,
            "learning_rate": rate,
            "loss": losses / steps,
            **judge.columns(averaged),
            "faces_per_s": steps * recipe.train.batch_size / seconds,
            "outside_share": clock.outside_s / seconds,
            "seconds": clock.seconds(),
        }
        history.append(row)
        if not math.isfinite(row["loss"]):
            _write_metrics(folder, history)
            raise TrainingError(
                f"the loss of epoch {epoch + 1} is {row['loss']}: this recipe does not train. "
                "Lower train.learning_rate, or see the recipe's header.",
                history=history,
            )
        if fabric.is_global_zero:
            _save_epoch(folder, network, averaged, optimiser, history)
        _show(writer, row)
        progress.epoch(row)
        fabric.barrier()

    if writer is not None:
        writer.close()
    best, _ = load_checkpoint(folder / "best.safetensors")
    averaged.load_state_dict(best)
    averaged.cpu().bf16 = False
    return finish(
        averaged, recipe, contract, dataset, parts, folder,
        stretches=held_out, write=fabric.is_global_zero, say=progress.say,
    )  # fmt: skip


def _fabric(accelerator: str, devices: int) -> lightning.Fabric:
    try:
        return lightning.Fabric(
            accelerator=accelerator, devices=devices, strategy="ddp" if devices > 1 else "auto"
        )
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"expected devices that this machine has, got accelerator {accelerator!r} and "
            f"{devices} devices: {error} Train with --accelerator auto and --devices 1."
        ) from error


def learning_rate(recipe: Recipe, step: int, total: int) -> float:
    """The rate at a step: linear warm-up, then half a cosine to zero (or constant)."""
    peak = recipe.train.learning_rate
    if recipe.train.schedule == "constant":
        return peak
    warm = max(1, round(recipe.train.warmup * total))
    if step < warm:
        return peak * (step + 1) / warm
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def _has_bfloat16(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 are fast there, not emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    asked = (f"_is_{unit}_supported" for unit in ("avx512_bf16", "amx_tile"))
    return device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in asked)


def _loss(margins: Tensor, targets: Tensor, recipe: Recipe) -> Tensor:
    """Of margins and targets, both (B, T, K)."""
    margins, targets = margins.flatten(0, 1), targets.flatten(0, 1)
    if recipe.model.head == "svm":
        return squared_hinge(margins, targets)
    return F.cross_entropy(margins, targets, label_smoothing=recipe.train.label_smoothing)


def _optimiser(network: Hybrid, recipe: Recipe) -> torch.optim.Optimizer:
    """L2 on weights; biases and normalisation are left alone."""
    trained = [p for p in network.parameters() if p.requires_grad]
    weights = [p for p in trained if p.ndim > 1]
    others = [p for p in trained if p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": recipe.train.l2},
        {"params": others, "weight_decay": 0.0},
    ]
    if recipe.train.optimiser == "adam":
        return torch.optim.Adam(groups, lr=recipe.train.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.train.learning_rate, momentum=0.9, nesterov=True)


@torch.no_grad()
def _average(averaged: Hybrid, network: Hybrid, decay: float, step: int) -> None:
    """Exponential moving average of weights and statistics, warm-started."""
    keep = min(decay, (1 + step) / (10 + step)) if decay else 0.0
    ours = averaged.state_dict().values()
    theirs = network.state_dict().values()
    floats = [(a, b) for a, b in zip(ours, theirs, strict=True) if a.is_floating_point()]
    torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - keep)


class _Clock:
    """Seconds in all, and seconds spent waiting for batches (outside the model)."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.outside_s = 0.0

    def outside(self, batches: Iterator[Any]) -> Iterator[Any]:
        while True:
            before = time.perf_counter()
            batch = next(batches, None)
            self.outside_s += time.perf_counter() - before
            if batch is None:
                return
            yield batch

    def seconds(self) -> float:
        return time.perf_counter() - self.start


def _epoch_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint32)[0])


def _open_folder(
    folder: Path,
    recipe: Recipe,
    contract: Contract,
    dataset: Dataset,
    groups: NDArray[np.int64] | None,
    *,
    drawn: bool,
    resume: bool,
    start: str | Path | None,
    clips: str | None,
    teachers: Sequence[str | Path],
) -> None:
    record = folder / RECORD
    if record.exists() and not resume:
        raise TrainingError(
            f"expected a new folder for the run, got {folder}, which holds one. "
            f"Continue it with --resume {folder}, or choose another with --out."
        )
    if resume and record.exists():
        before = read_record(folder)
        theirs = recorded_recipe(before["recipe"])
        if not drawn:  # then the seed of sides is of no account
            theirs = replace(theirs, data=replace(theirs.data, seed=recipe.data.seed))
        same = {
            "recipe": theirs == recipe,
            "data": before["data"] == contract.data,
            "start": before.get("started_from") == (str(start) if start else None),
            "teachers": before.get("teachers", []) == [str(teacher) for teacher in teachers],
        }
        if not all(same.values()):
            others = " and ".join(name for name, is_same in same.items() if not is_same)
            raise TrainingError(
                f"expected what the run in {folder} was started with, got arguments that differ "
                f"in {others}. Give the same, or choose another folder."
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    if groups is not None:
        write_groups(dataset, groups, folder / GROUPS, overwrite=True)
    about = {
        "recipe": recipe.to_dict(),
        "seed": recipe.train.seed,
        "data": contract.data,
        "data_source": dataset.source,
        "protocol": contract.protocol,
        "started_from": str(start) if start else None,
        "clips_source": clips,
        "teachers": [str(teacher) for teacher in teachers],
        "versions": _versions(),
        "commit": _commit(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }
    write_atomically(record, json.dumps(about, indent=2) + "\n")


def _show(writer: SummaryWriter | None, row: dict[str, float]) -> None:
    """An epoch for TensorBoard."""
    if writer is not None:
        for name in COLUMNS[1:]:
            writer.add_scalar(name, row[name], int(row["epoch"]))
        writer.flush()


def _versions() -> dict[str, str]:
    names = ("facetell", "torch", "lightning-fabric", "numpy")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def _commit() -> str:
    here = Path(__file__).parent
    asked = subprocess.run(
        ["git", "-C", str(here), "describe", "--always", "--dirty"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return asked.stdout.strip() or "unknown"


def _recorded(folder: Path, name: str) -> Any:
    """What an interrupted run wrote down; None if it did not."""
    return read_record(folder).get(name) if (folder / RECORD).exists() else None


def _take_over(network: Hybrid, before: Hybrid, run: str | Path | None) -> None:
    """The faces' part of a finished run; the LSTM over frames stays as it is.

    Raises:
        TrainingError: the run has other blocks than the recipe.
    """
    ours = replace(network.options, memory=0)
    if before.options != ours:
        differing = [
            f.name for f in fields(ours) if getattr(before.options, f.name) != getattr(ours, f.name)
        ]
        raise TrainingError(
            f"expected a run with the recipe's blocks at {run}, got one that differs in "
            f"model.{', model.'.join(differing)}. Set these alike, or start from another run."
        )
    network.load_state_dict(before.state_dict(), strict=False)


def _restore(
    folder: Path, network: Hybrid, averaged: Hybrid, optimiser: Any
) -> list[dict[str, float]]:
    tensors, state = load_checkpoint(folder / "last.safetensors")
    network.load_state_dict(_named(tensors, "network."))
    averaged.load_state_dict(_named(tensors, "averaged."))
    restore_optimiser(optimiser, tensors)
    return list(state["history"])


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _save_epoch(
    folder: Path, network: Hybrid, averaged: Hybrid, optimiser: Any,
    history: list[dict[str, float]],
) -> None:  # fmt: skip
    scores = [row["validation_accuracy"] for row in history]
    if scores[-1] >= max(scores):
        save_checkpoint(folder / "best.safetensors", averaged.state_dict(), {"epoch": len(history)})
    _write_metrics(folder, history)
    tensors = {f"network.{n}": t for n, t in network.state_dict().items()}
    tensors |= {f"averaged.{n}": t for n, t in averaged.state_dict().items()}
    tensors |= flat_optimiser(optimiser)
    save_checkpoint(folder / "last.safetensors", tensors, {"history": history})


def _write_metrics(folder: Path, history: list[dict[str, float]]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(history)
    write_atomically(folder / "metrics.csv", text.getvalue())


def training_seconds(folder: Path) -> float:
    """Wall-clock seconds of a run's finished epochs, over all calls that resumed it."""
    with (folder / "metrics.csv").open(newline="") as lines:
        return sum(float(row["seconds"]) for row in csv.DictReader(lines))


def resumed_recipe(folder: Path) -> tuple[Recipe, str, str | None]:
    """The recipe of an interrupted run, and where its data and its clips, if any, came from.

    Raises:
        TrainingError: no run there, or its record was damaged.
    """
    about = read_record(folder)
    recipe = recorded_recipe(about["recipe"], where=str(folder / RECORD))
    return recipe, about["data_source"], about.get("clips_source")
