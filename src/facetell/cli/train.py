"""facetell train, facetell refit."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facetell.cli.options import Number, check_targets, label_order_option

if TYPE_CHECKING:
    from facetell.contract import Contract
    from facetell.recipe import Recipe
    from facetell.train.loop import Progress

__all__ = ["next_calibration", "refit", "result_line", "show_training", "train"]


@click.command()
@click.argument("recipe", required=False)
@click.option("--data", "source", help="Dataset: a path, or `toon` for generated cartoon faces.")
@label_order_option
@click.option("--out", type=click.Path(path_type=Path), help="Run folder [runs/RECIPE-TIME].")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="Change a setting, e.g. --set train.epochs=5. Repeatable.")  # fmt: skip
@click.option("--start", metavar="RUN|MODEL",
              help="Finished run, bundled model or .onnx file whose features the network begins "
              "with; for an LSTM over frames, the run whose network stays as it is under "
              "it.")  # fmt: skip
@click.option("--clips", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Folder of labelled clips (RAVDESS, CREMA-D, AFEW, or one folder per emotion) "
              "for the LSTM over frames.")  # fmt: skip
@click.option("--teacher", "teachers", multiple=True, metavar="RUN|MODEL",
              help="Finished run, bundled model or .onnx file that teaches this one "
              "(train.distil). Repeatable.")  # fmt: skip
@click.option("--together", type=click.Path(dir_okay=False, path_type=Path),
              help="CSV with id and group, kept together in place of subjects and "
              "near-copies.")  # fmt: skip
@click.option("--resume", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Continue this interrupted run; takes no recipe.")  # fmt: skip
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1),
              help="Train with so many seeds, in folders seed-0, seed-1, ... of --out; called "
              "again, it goes on.")  # fmt: skip
@click.option("--join", is_flag=True,
              help="Join the networks, five at most, in the file `ensemble.onnx`.")  # fmt: skip
@click.option("--accelerator", default="auto", show_default=True,
              type=click.Choice(["auto", "cpu", "cuda", "mps"]))  # fmt: skip
@click.option("--devices", default=1, show_default=True, type=click.IntRange(min=1),
              help="Processes or GPUs.")  # fmt: skip
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads per process [all cores].")
def train(
    recipe: str | None, source: str | None, label_order: str | None, out: Path | None,
    overrides: tuple[str, ...], start: str | None, clips: Path | None,
    teachers: tuple[str, ...], together: Path | None, resume: Path | None,
    seeds: int, join: bool, accelerator: str, devices: int, threads: int | None,
) -> None:  # fmt: skip
    """Train a model by RECIPE (a name from `facetell recipes list`, or a .toml file).

    Prints a table with one line per epoch. A killed run continues with --resume to the same
    numbers as an uninterrupted one.

    \b
    Examples:
      facetell train quick --data toon
      facetell train compact --data fer2013.csv --out runs/compact
      facetell train --resume runs/compact
      facetell train compact --data fer2013.csv --out runs/five --seeds 5 --join
      facetell train strong --data fer2013.csv --start compact --teacher compact
      facetell train frames --data fer2013.csv --start runs/compact --clips RAVDESS/
    """
    from facetell.errors import require

    torch = require("torch", extra="train", purpose="training")
    require("lightning_fabric", extra="train", purpose="training")
    from facetell.datasets import open_dataset
    from facetell.datasets.clipfolders import open_clips
    from facetell.datasets.groups import read_groups
    from facetell.ensemble import MOST
    from facetell.ensemble import join as join_models
    from facetell.files import write_atomically
    from facetell.recipe import load_recipe
    from facetell.runtime.session import load
    from facetell.train.loop import resumed_recipe
    from facetell.train.loop import train as run
    from facetell.train.seeds import train_seeds

    if join and not 2 <= seeds <= MOST:
        raise click.UsageError(f"--join takes --seeds 2 to {MOST}, got {seeds}.")
    if resume is not None:
        if seeds > 1:
            raise click.UsageError("--resume takes one run; give --seeds with the same --out.")
        if recipe or overrides or out or start or teachers or together:
            raise click.UsageError(
                "--resume takes no recipe, --set, --start, --teacher, --together or --out: the "
                "run has them."
            )
        chosen, recorded, filmed = resumed_recipe(resume)
        source, folder = source or recorded, resume
        clips = clips or (Path(filmed) if filmed else None)
    else:
        if not recipe or not source:
            raise click.UsageError("give a RECIPE and --data PATH (or --resume RUN).")
        chosen = load_recipe(recipe, overrides=overrides)
        folder = out or Path("runs") / f"{chosen.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    check_targets(folders=[folder])
    if threads:
        torch.set_num_threads(threads)
    click.echo(f"recipe {chosen.name}: {chosen.purpose}", err=True)
    click.echo(f"reading {source}", err=True)
    dataset = open_dataset(source, label_order=label_order)
    options: dict[str, Any] = {
        "start": start,
        "clips": open_clips(clips) if clips else None,
        "teachers": teachers,
        "groups": read_groups(dataset, together) if together else None,
        "accelerator": accelerator,
        "devices": devices,
        "progress": show_training(),
    }
    if seeds > 1:
        runs = dict(train_seeds(chosen, dataset, folder, seeds=seeds, **options))
        _show_seeds([predictor.contract for predictor in runs.values()])
        if join:
            path = folder / "ensemble.onnx"
            graph = join_models(list(runs), dataset, name=f"{chosen.name}-ensemble")
            write_atomically(path, graph)
            joined = load(str(path)).contract
            click.echo(result_line(joined))
            click.echo(next_calibration(joined, path, source), err=True)
        return
    predictor = run(chosen, dataset, folder, resume=resume is not None, **options)
    click.echo(result_line(predictor.contract))
    sides = _sides_again(chosen, folder)
    click.echo(
        f"next: facetell evaluate {folder} --data {source}{sides}; facetell export {folder}",
        err=True,
    )


def _sides_again(recipe: Recipe, run: Path) -> str:
    """Options of `evaluate` that keep the run's faces apart as its training did."""
    from facetell.train.finish import GROUPS

    data = recipe.data
    options = {
        "--protocol": data.protocol if data.protocol != "official" else None,
        "--fold": data.fold,
        "--seed": data.seed,
        "--together": run / GROUPS if (run / GROUPS).exists() else None,
    }
    return "".join(f" {name} {value}" for name, value in options.items() if value)


def next_calibration(joined: Contract, path: Path, source: str) -> str:
    """How to go on with joined models: sides that were drawn are not `calibrate`'s to find."""
    data = source if joined.own_sides else "faces-of-yours/"
    return f"next: facetell calibrate {path} --data {data} --out NEW.onnx"


def result_line(contract: Contract) -> str:
    """What a finished model reads right, in words."""
    results = contract.results
    return (
        f"validation accuracy {100 * results['accuracy']:.2f}, balanced "
        f"{100 * results['balanced_accuracy']:.2f} (n = {results['faces']:,}, "
        f"{contract.protocol}: {'; '.join(contract.training)})"
    )


def _show_seeds(contracts: list[Contract]) -> None:
    """Each measure over the seeds: mean and standard deviation."""
    for name in ("accuracy", "balanced_accuracy"):
        found = [100 * contract.results[name] for contract in contracts]
        each = ", ".join(f"{value:.2f}" for value in found)
        words = name.replace("_", " ")
        click.echo(
            f"validation {words} over {len(found)} seeds: {statistics.mean(found):.2f}, standard "
            f"deviation {statistics.stdev(found):.2f} ({each})"
        )


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--data", "source", help="Dataset [the one the run was trained on].")
@label_order_option
@click.option("--svm", "fit", required=True, type=click.Choice(["end-to-end", "sklearn", "admm"]),
              help="end-to-end keeps the trained weights and only calibrates anew.")  # fmt: skip
@click.option("--l2", type=Number(0, min_open=True), help="lambda of the SVM [the recipe's].")
@click.option("--rho", type=Number(0, min_open=True), help="ADMM: penalty [the recipe's].")
@click.option("--balanced/--not-balanced", default=None, help="Weigh classes equally.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New run folder.")
def refit(
    run: Path, source: str | None, label_order: list[str] | None, fit: str,
    l2: float | None, rho: float | None, balanced: bool | None, out: Path,
) -> None:  # fmt: skip
    """Fit RUN's SVM anew on frozen features; the network stays as it is.

    \b
    Example:
      facetell refit runs/paper --svm admm --out runs/paper-admm
    """
    for name, value, fits in (("--l2", l2, ("sklearn", "admm")), ("--rho", rho, ("admm",)),
                              ("--balanced", balanced, ("sklearn", "admm"))):  # fmt: skip
        if value is not None and fit not in fits:
            raise click.UsageError(
                f"{name} goes with --svm {' or '.join(fits)} and does nothing with --svm {fit}. "
                "Leave it out."
            )

    from facetell.errors import require

    require("torch", extra="train", purpose="refitting")
    from facetell.train.finish import refit_run

    check_targets(folders=[out])
    changes = {"fit": fit, "l2": l2, "rho": rho, "balanced": balanced}
    chosen = {key: value for key, value in changes.items() if value is not None}
    predictor = refit_run(
        run,
        out,
        chosen,
        source=source,
        label_order=label_order,
        say=lambda text: click.echo(text, err=True),
    )
    results = predictor.contract.results
    click.echo(
        f"validation accuracy {100 * results['accuracy']:.2f}, balanced "
        f"{100 * results['balanced_accuracy']:.2f} (n = {results['faces']:,})"
    )


def show_training() -> Progress:
    """Bars, a line per epoch and words on stderr."""
    from facetell.cli.progress import show_search
    from facetell.train.loop import Progress

    live = sys.stderr.isatty()

    def step(epoch: int, done: int, steps: int, loss: float) -> None:
        if live and (done == steps or done % 5 == 0):
            bar = "#" * (30 * done // steps)
            click.echo(
                f"\repoch {epoch + 1} [{bar:<30}] {done}/{steps} loss {loss:.4f} ",
                nl=False, err=True,
            )  # fmt: skip

    def row(values: dict[str, float]) -> None:
        if live:
            click.echo("\r" + " " * 78 + "\r", nl=False, err=True)
        if values["epoch"] == 1:
            click.echo(f"{'epoch':>5} {'rate':>8} {'loss':>8} {'val acc':>8} {'balanced':>8} "
                       f"{'faces/s':>8} {'outside':>8} {'seconds':>8}")  # fmt: skip
        click.echo(
            f"{values['epoch']:>5.0f} {values['learning_rate']:>8.5f} {values['loss']:>8.4f} "
            f"{100 * values['validation_accuracy']:>8.2f} "
            f"{100 * values['validation_balanced_accuracy']:>8.2f} "
            f"{values['faces_per_s']:>8.0f} {values['outside_share']:>8.1%} "
            f"{values['seconds']:>8.1f}"
        )

    return Progress(
        step=step, epoch=row, say=lambda text: click.echo(text, err=True), search=show_search,
        cut=lambda done, clips: show_search("cutting faces out of clips", done / clips),
    )  # fmt: skip
