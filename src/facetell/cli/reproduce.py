"""facetell reproduce."""

from __future__ import annotations

import time
from pathlib import Path

import click

from facetell.cli.options import check_targets, seed_range

__all__ = ["reproduce"]


@click.command(
    epilog="""\b
Example:
  facetell reproduce --data fer2013=fer2013.csv --report report.html --quick
"""
)
@click.argument("more", metavar="[NAME=PATH]...", nargs=-1)
@click.option(
    "--data",
    multiple=True,
    metavar="NAME=PATH",
    help="fer2013=PATH, ferg=PATH or emotic=PATH; repeatable. Drawn faces stand in for the rest.",
)
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Write HTML."
)
@click.option("--quick", is_flag=True, help="Few epochs, a part of the faces: within 15 minutes.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/reproduce"),
    show_default=True,
    help="Folder of runs and finished steps; a second call goes on where the first stopped.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write every number as JSON.",
)
@click.option(
    "--seed",
    type=seed_range,
    default=0,
    show_default=True,
    help="Of splits, training and bootstrap.",
)
@click.option(
    "--accelerator",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads [all cores].")
@click.option("--force", is_flag=True, help="Overwrite the report.")
def reproduce(
    more: tuple[str, ...],
    data: tuple[str, ...],
    report: Path,
    quick: bool,
    out: Path,
    json_file: Path | None,
    seed: int,
    accelerator: str,
    threads: int | None,
    force: bool,
) -> None:
    """Run the paper's experiments on your data and write its tables beside ours.

    Hybrid, ablations, baselines, Deep-Emotion and the leak experiment, as far as the data
    allow; every number with its protocol and 95 % interval. A killed call is continued by the
    same command.
    """
    from facetell.errors import require

    torch = require("torch", extra="train", purpose="training")
    require("lightning_fabric", extra="train", purpose="training")
    from facetell.cli.train import show_training
    from facetell.files import write_atomically
    from facetell.report.reproduction import write_reproduction
    from facetell.reproduce import FULL, QUICK
    from facetell.reproduce import reproduce as run

    check_targets(report, json_file, folders=[out], force=force)
    if threads:
        torch.set_num_threads(threads)
    start = time.perf_counter()
    found = run(
        _paths((*data, *more)),
        out,
        effort=QUICK if quick else FULL,
        seed=seed,
        accelerator=accelerator,
        progress=show_training(),
    )
    write_reproduction(found, report, overwrite=force)
    if json_file:
        write_atomically(json_file, found.to_json())
    click.echo(f"{len(found.measured)} measurements, {time.perf_counter() - start:.0f} s")
    click.echo(f"Report: {report}", err=True)


def _paths(pairs: tuple[str, ...]) -> dict[str, str]:
    from facetell.errors import InputError

    found: dict[str, str] = {}
    for pair in pairs:
        name, _, path = pair.partition("=")
        if not path or name in found:
            raise InputError(
                f"expected NAME=PATH once per dataset, such as fer2013=fer2013.csv, got {pair!r}.",
                actual=pair,
            )
        found[name] = path
    return found
