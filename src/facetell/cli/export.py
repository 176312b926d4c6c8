"""facetell export."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from facetell.cli.options import Number, check_targets, keep_models, label_order_option

if TYPE_CHECKING:
    from facetell.datasets.splits import Split

__all__ = ["export"]


@click.command()
@click.argument("source", metavar="RUN_OR_MODEL")
@click.option(
    "--precision",
    type=click.Choice(["float", "fp16", "int8"]),
    default="float",
    show_default=True,
    help="fp16: half the size at the same speed. int8: a quarter, and faster.",
)
@click.option(
    "--data",
    help="What the model was trained on: faces to compare on, and for int8 to set the ranges by.  "
    "[default: as the run remembers]",
)
@label_order_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file.  [default: RUN/model.onnx, RUN/model-int8.onnx, ./MODEL-int8.onnx]",
)
@click.option("--name", help="What the model is called.  [default: the recipe's name]")
@click.option(
    "--most-loss",
    metavar="POINTS",
    type=Number(min=0),
    default=0.3,
    show_default=True,
    help="fp16 and int8: accuracy that may be lost on the validation faces, in points.",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
def export(
    source: str,
    precision: Literal["float", "fp16", "int8"],
    data: str | None,
    label_order: list[str] | None,
    out: Path | None,
    name: str | None,
    most_loss: float,
    force: bool,
) -> None:
    """Write a finished run as one ONNX file that needs no PyTorch, or make a model file smaller.

    Refuses unless the file's outputs match PyTorch's on real faces within 1e-4. With --precision,
    the smaller model is judged beside the float one on the validation faces; layers that would
    cost too much stay in float and are named. RUN_OR_MODEL is a run's folder, a bundled model or
    an ONNX file.

    \b
    Example:
      facetell export runs/compact --out compact.onnx
      facetell export compact --precision int8 --data fer2013.csv
    """
    path = out or _default(source, precision)
    keep_models(path, [source])
    check_targets(path, force=force)
    if precision == "float":
        difference, _ = _export_run(source, path, data=data, label_order=label_order, name=name)
        click.echo(f"{path}  {path.stat().st_size:,} bytes, largest difference {difference:.1e}")
        return
    with tempfile.TemporaryDirectory() as folder:
        if Path(source).is_dir():
            model = Path(folder) / "model.onnx"
            _, parts = _export_run(source, model, data=data, label_order=label_order, name=None)
        else:
            model, parts = _open(source, data, label_order)
        _shrink(model, precision, parts, path, name=name, most_loss=most_loss / 100)


def _export_run(
    source: str, path: Path, *, data: str | None, label_order: list[str] | None, name: str | None
) -> tuple[float, Split]:
    """Write a run as a float model: the largest difference, and the sides of the run's data."""
    from facetell.errors import InputError, require

    run = Path(source)
    if not run.is_dir():
        raise InputError(
            f"expected the folder of a finished run, got {source}. "
            "Name one, or make a model file smaller with --precision int8."
        )
    require("torch", extra="train", purpose="exporting")
    from facetell.export import export as write
    from facetell.smaller import check_data
    from facetell.train.finish import held_out_faces, sides_of
    from facetell.train.predictor import load_run

    predictor = load_run(run)
    parts = sides_of(run, predictor, source=data, label_order=label_order)
    check_data(predictor.contract, parts)
    faces = held_out_faces(parts, predictor.contract)
    click.echo(f"exporting and comparing on {len(faces)} faces", err=True)
    return write(predictor, path, faces, name=name), parts


def _open(source: str, data: str | None, label_order: list[str] | None) -> tuple[Path, Split]:
    """A model file, and the sides of the data it was trained on."""
    from facetell.datasets import open_dataset
    from facetell.runtime.session import load
    from facetell.smaller import split_of

    model = load(source)
    if data is None:
        raise click.UsageError(
            "expected --data with the faces that the model was trained on, got none. "
            "A model file does not know where they are."
        )
    return model.path, split_of(model.contract, open_dataset(data, label_order=label_order))


def _shrink(
    model: Path,
    precision: Literal["fp16", "int8"],
    parts: Split,
    path: Path,
    *,
    name: str | None,
    most_loss: float,
) -> None:
    from facetell.files import write_atomically
    from facetell.smaller import shrink

    found = shrink(
        model,
        precision,
        parts,
        name=name,
        most_loss=most_loss,
        say=lambda text: click.echo(text, err=True),
    )
    write_atomically(path, found.graph)
    before = model.stat().st_size
    click.echo(f"{path}  {len(found.graph):,} bytes, {len(found.graph) / before:.0%} of {before:,}")
    click.echo(found.comparison.sentence())
    click.echo(f"Same answer on {found.comparison.agreement:.2%} of the faces.")
    for layer, reason in found.in_float.items():
        click.echo(f"In float: {layer} ({reason})")


def _default(source: str, precision: str) -> Path:
    if Path(source).is_dir():
        return Path(source) / ("model.onnx" if precision == "float" else f"model-{precision}.onnx")
    return Path(f"{Path(source).stem}-{precision}.onnx")
