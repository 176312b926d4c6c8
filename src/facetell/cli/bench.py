"""`facetell bench`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facetell.cli.options import Number, check_belongs, label_order_option

if TYPE_CHECKING:
    from facetell.evaluate.side_by_side import Accuracies
    from facetell.recipe import Protocol
    from facetell.runtime.foreign import Description
    from facetell.runtime.speed import Speed, Tuning

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
_JUDGED: dict[str, Callable[[Accuracies], str]] = {
    "accuracy": lambda a: f"{a.accuracy:.2%}",
    "clean": lambda a: "-" if a.clean_accuracy is None else f"{a.clean_accuracy:.2%}",
    "flip": lambda a: "yes" if a.judged_with_flip else "no",
}


def _texts(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",")) if value else ()


def _numbers(_: click.Context, __: click.Parameter, value: str | None) -> tuple[float, ...]:
    parts = value.split(",") if value else []
    try:
        return tuple(Number().convert(part, None, None) for part in parts)
    except click.BadParameter as error:
        raise click.BadParameter(f"expected numbers with commas, got {value!r}.") from error


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option("--data", metavar="DATA", help="Labelled faces, for accuracies beside the speeds.")
@label_order_option
@click.option(
    "--protocol", type=click.Choice(["official", "random-80-10-10", "whole"]), default="official",
    show_default=True, help="Which of the data's faces judge; see `facetell evaluate`.",
)  # fmt: skip
@click.option(
    "--flip/--no-flip", default=None, help="Average with the mirror image.  [default: the model's]"
)
@click.option(
    "--threads", metavar="N", type=click.IntRange(1), default=1, show_default=True,
    help="Threads inside one operator.",
)  # fmt: skip
@click.option(
    "--repeats", metavar="N", type=click.IntRange(1), default=30, show_default=True,
    help="Timed calls of 64 faces; single faces get ten times as many.",
)  # fmt: skip
@click.option(
    "--tune", is_flag=True, help="Time threads and faces a call against each other; name the best."
)
@click.option(
    "--labels", metavar="A,B,...", callback=_texts,
    help="Model without a contract: names of its outputs, in order.",
)  # fmt: skip
@click.option(
    "--range", type=click.Choice(["0-255", "0-1", "-1-1"]), default=None,
    help="Model without a contract: range of the pixels.",
)  # fmt: skip
@click.option(
    "--mean", metavar="M,...", callback=_numbers,
    help="In place of --range: per channel, on the 0-1 scale.",
)  # fmt: skip
@click.option("--std", metavar="S,...", callback=_numbers, help="The same, dividing.")
@click.option(
    "--size", metavar="PX", type=click.IntRange(8, 1024), default=None,
    help="Side of the face, where the graph leaves it open.",
)  # fmt: skip
@click.option(
    "--channels", type=click.IntRange(1, 3), default=None,
    help="1 (grey) or 3 (RGB), where the graph leaves it open.",
)  # fmt: skip
@click.option(
    "--layout", type=click.Choice(["NCHW", "NHWC"]), default=None,
    help="Order of the axes, where the graph's shape does not tell.",
)  # fmt: skip
@click.option(
    "--output", type=click.Choice(["logits", "probabilities"]), default=None,
    help="What the outputs are.  [default: probabilities if they sum to 1]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object per model and line.")
def bench(
    models: tuple[str, ...],
    data: str | None,
    label_order: list[str] | None,
    protocol: Protocol,
    flip: bool | None,
    threads: int,
    repeats: int,
    tune: bool,
    as_json: bool,
    **said: Any,
) -> None:
    """Measure models side by side on this machine: speed, memory and, with --data, accuracy.

    Times the network alone (median over repeats), each model in a process of its own; reading
    with flip runs it twice a face. Memory is the peak of that process, Python included.

    Any ONNX model that takes faces will do. One without a facetell contract is described by the
    options above, or by a TOML file of the same name beside it (model.toml for model.onnx) with
    the same keys; options come last.

    \b
    Example:
      facetell bench compact runs/mine/model.onnx --data fer2013.csv
      facetell bench compact strong --data my-faces/ --protocol whole
      facetell bench compact --tune
    """
    check_belongs(click.get_current_context(), ("label_order", "protocol", "flip"), to="data")
    if tune and data:
        raise click.UsageError("--tune times and does not judge. Leave --data out.")

    from facetell.errors import InputError
    from facetell.runtime.foreign import Description, read_description
    from facetell.runtime.session import locate

    try:
        paths = [locate(model) for model in models]
    except InputError as error:
        raise click.BadParameter(str(error), param_hint="MODEL") from error
    try:
        given = Description(**{key: value for key, value in said.items() if value})
    except InputError as error:
        raise click.UsageError(f"{error} Correct the options.") from error
    described = [(path, read_description(path).updated(given)) for path in paths]
    if tune:
        _tune(described, repeats, as_json)
        return
    judged = _judged(described, data, label_order, protocol, flip, threads) if data else []
    speeds = _speeds(described, threads, repeats)
    if as_json:
        facts = [asdict(found) for found in judged] or [{} for _ in speeds]
        for speed, fact in zip(speeds, facts, strict=True):
            click.echo(json.dumps(asdict(speed) | fact))
        return
    columns = [[show(speed) for speed in speeds] for show in _COLUMNS.values()]
    columns += [[show(found) for found in judged] for show in _JUDGED.values()] if judged else []
    names = [*_COLUMNS, *(_JUDGED if judged else ())]
    click.echo(_table(names, zip(*columns, strict=True)))


def _judged(
    described: list[tuple[Path, Description]],
    data: str,
    label_order: list[str] | None,
    protocol: Protocol,
    flip: bool | None,
    threads: int,
) -> list[Accuracies]:
    """Every model on the same faces. What cannot be judged is an error before any is."""
    from facetell.cli.progress import show_search
    from facetell.datasets import open_dataset
    from facetell.datasets.splits import split
    from facetell.evaluate.judged import score_columns
    from facetell.evaluate.side_by_side import accuracies, known_clean
    from facetell.runtime.foreign import load_any

    dataset = open_dataset(data, label_order=label_order)
    models = [
        load_any(path, said, labels=dataset.labels, threads=threads, flip=flip)
        for path, said in described
    ]
    for model in models:
        score_columns(model.contract, dataset.labels, dataset.name)
    parts = split(dataset, protocol, progress=show_search)
    may_have_copies = protocol == "official" and len(parts.train) > 0
    clean = known_clean(dataset) if may_have_copies else None
    if may_have_copies and clean is None:
        click.echo(
            "near-copies are not known yet; `facetell audit` finds them: no clean accuracies",
            err=True,
        )
    found = []
    for model in models:
        click.echo(f"judging {model.contract.name}", err=True)
        found.append(accuracies(model, parts, clean))
        if found[-1].note and model.contract.protocol:
            click.echo(f"Note: {found[-1].note}", err=True)
    return found


def _speeds(described: list[tuple[Path, Description]], threads: int, repeats: int) -> list[Speed]:
    from facetell.runtime.speed import measure_speed

    speeds = []
    for path, said in described:
        click.echo(f"measuring {path}, threads: {threads}", err=True)
        speeds.append(measure_speed(path, threads=threads, repeats=repeats, said=said))
    return speeds


def _tune(described: list[tuple[Path, Description]], repeats: int, as_json: bool) -> None:
    from facetell.runtime.speed import tune

    for path, said in described:
        click.echo(f"measuring {path}", err=True)
        tuning = tune(path, repeats=repeats, said=said)
        if as_json:
            click.echo(json.dumps(asdict(tuning) | {"best": tuning.best()}))
        else:
            click.echo(_tuning_text(tuning))


def _tuning_text(tuning: Tuning) -> str:
    """Milliseconds a face, a row for each number of threads, and the best."""
    threads = sorted({row[0] for row in tuning.ms})
    batches = sorted({row[1] for row in tuning.ms})
    at = {row[:2]: f"{row[2]:.3f}" for row in tuning.ms}
    rows = [[str(count), *(at[count, faces] for faces in batches)] for count in threads]
    alone, many = tuning.best(1), tuning.best()
    return (
        f"{tuning.name}, milliseconds a face\n"
        + _table(["threads", *(f"of {faces}" for faces in batches)], rows)
        + f"\nFaces one at a time: {alone[0]} threads, {alone[2]:.3f} ms."
        + f"\nMany faces: {many[0]} threads, {many[1]} a call, {1000 / many[2]:,.0f} faces/s."
    )


def _table(names: Sequence[str], values: Iterable[Sequence[str]]) -> str:
    """Columns under their names; the first one to the left, the others to the right."""
    rows = [names, *values]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *numbers in rows:
        cells = [f"{number:>{width}}" for number, width in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([f"{name:<{widths[0]}}", *cells]))
    return "\n".join(lines)
