"""facetell train, facetell refit."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facetell.cli.options import label_order_option

if TYPE_CHECKING:
    from facetell.train.loop import Progress

__all__ = ["refit", "show_training", "train"]


@click.command()
@click.argument("recipe", required=False)
@click.option("--data", "source", help="Dataset: a path, or `toon` for generated cartoon faces.")
@label_order_option
@click.option("--out", type=click.Path(path_type=Path), help="Run folder [runs/RECIPE-TIME].")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="Change a setting, e.g. --set train.epochs=5. Repeatable.")  # fmt: skip
@click.option("--start", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Finished run whose network stays as it is under the recipe's LSTM over "
              "frames.")  # fmt: skip
@click.option("--together", "--groups", "groups", type=click.Path(dir_okay=False, path_type=Path),
              help="CSV with id and group, kept together in place of subjects and "
              "near-copies.")  # fmt: skip
@click.option("--resume", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Continue this interrupted run; takes no recipe.")  # fmt: skip
@click.option("--accelerator", default="auto", show_default=True,
              type=click.Choice(["auto", "cpu", "cuda", "mps"]))  # fmt: skip
@click.option("--devices", default=1, show_default=True, help="Processes or GPUs.")
@click.option("--threads", type=int, help="CPU threads per process [all cores].")
def train(
    recipe: str | None, source: str | None, label_order: str | None, out: Path | None,
    overrides: tuple[str, ...], start: Path | None, groups: Path | None, resume: Path | None,
    accelerator: str, devices: int, threads: int | None,
) -> None:  # fmt: skip
    """Train a model by RECIPE (a name from `facetell recipes list`, or a .toml file).

    Prints a table with one line per epoch. A killed run continues with --resume to the same
    numbers as an uninterrupted one.

    \b
    Examples:
      facetell train quick --data toon
      facetell train compact --data fer2013.csv --out runs/compact
      facetell train --resume runs/compact
      facetell train frames --data fer2013.csv --start runs/compact
    """
    from facetell.errors import require

    torch = require("torch", extra="train", purpose="training")
    require("lightning_fabric", extra="train", purpose="training")
    from facetell.datasets import open_dataset
    from facetell.datasets.groups import read_groups
    from facetell.recipe import load_recipe
    from facetell.train.loop import resumed_recipe
    from facetell.train.loop import train as run

    if resume is not None:
        if recipe or overrides or out or start or groups:
            raise click.UsageError(
                "--resume takes no recipe, --set, --start, --together or --out: the run has them."
            )
        chosen, recorded = resumed_recipe(resume)
        source, folder = source or recorded, resume
    else:
        if not recipe or not source:
            raise click.UsageError("give a RECIPE and --data PATH (or --resume RUN).")
        chosen = load_recipe(recipe, overrides=overrides)
        folder = out or Path("runs") / f"{chosen.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    if threads:
        torch.set_num_threads(threads)
    click.echo(f"recipe {chosen.name}: {chosen.purpose}", err=True)
    click.echo(f"reading {source}", err=True)
    dataset = open_dataset(source, label_order=label_order)
    predictor = run(
        chosen, dataset, folder, resume=resume is not None, start=start,
        groups=read_groups(dataset, groups) if groups else None,
        accelerator=accelerator, devices=devices, progress=show_training(),
    )  # fmt: skip
    results = predictor.contract.results
    click.echo(
        f"validation accuracy {100 * results['accuracy']:.2f}, balanced "
        f"{100 * results['balanced_accuracy']:.2f} (n = {results['faces']:,}, "
        f"{predictor.contract.protocol})"
    )
    click.echo(
        f"next: facetell evaluate {folder} --data {source}; facetell export {folder}", err=True
    )


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--data", "source", help="Dataset [the one the run was trained on].")
@label_order_option
@click.option("--svm", "fit", required=True, type=click.Choice(["end-to-end", "sklearn", "admm"]),
              help="end-to-end keeps the trained weights and only calibrates anew.")  # fmt: skip
@click.option("--l2", type=float, help="lambda of the SVM [the recipe's].")
@click.option("--rho", type=float, help="ADMM: penalty [the recipe's].")
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
    from facetell.errors import require

    require("torch", extra="train", purpose="refitting")
    from facetell.train.finish import refit_run

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
        step=step, epoch=row, say=lambda text: click.echo(text, err=True), search=show_search
    )
