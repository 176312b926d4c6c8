"""`facetell bench`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from facetell.runtime.speed import Speed

__all__ = ["bench"]

# column -> how it is shown
_COLUMNS: dict[str, Callable[[Speed], str]] = {
    "model": lambda s: s.name,
    "ms, 1 face": lambda s: f"{s.single_ms:.2f}",
    "ms, of 64": lambda s: f"{s.batch_ms:.3f}",
    "faces/s": lambda s: f"{s.faces_per_s:,.0f}",
    "file MB": lambda s: f"{s.file_bytes / 1e6:.2f}",
    "parameters": lambda s: f"{s.parameters:,}" if s.parameters else "-",
    "multiply-adds": lambda s: f"{s.multiply_adds:,}" if s.multiply_adds else "-",
    "memory MB": lambda s: f"{s.memory_bytes / 1e6:.0f}" if s.memory_bytes else "-",
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option(
    "--threads", metavar="N", type=click.IntRange(1), default=1, show_default=True,
    help="Threads inside one operator.",
)  # fmt: skip
@click.option(
    "--repeats", metavar="N", type=click.IntRange(1), default=30, show_default=True,
    help="Timed calls of 64 faces; single faces get ten times as many.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object per model and line.")
def bench(models: tuple[str, ...], threads: int, repeats: int, as_json: bool) -> None:
    """Measure the speed of models on this machine.

    Times the network alone (median over repeats), each model in a process of its own; reading
    with flip runs it twice a face. Memory is the peak of that process, Python included.

    \b
    Example:
      facetell bench compact runs/mine/model.onnx --threads 1
    """
    from facetell.errors import InputError
    from facetell.runtime.session import locate
    from facetell.runtime.speed import measure_speed

    try:
        paths = [locate(model) for model in models]
    except InputError as error:
        raise click.BadParameter(str(error), param_hint="MODEL") from error
    speeds = []
    for path in paths:
        click.echo(f"measuring {path}, threads: {threads}", err=True)
        speeds.append(measure_speed(path, threads=threads, repeats=repeats))
        if as_json:
            click.echo(json.dumps(asdict(speeds[-1])))
    if not as_json:
        click.echo(_table(speeds))


def _table(speeds: list[Speed]) -> str:
    rows = [list(_COLUMNS), *([show(speed) for show in _COLUMNS.values()] for speed in speeds)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *numbers in rows:
        cells = [f"{number:>{width}}" for number, width in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([f"{name:<{widths[0]}}", *cells]))
    return "\n".join(lines)
