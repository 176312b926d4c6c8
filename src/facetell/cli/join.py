"""facetell join."""

from __future__ import annotations

from pathlib import Path

import click

from facetell.cli.options import label_order_option

__all__ = ["join"]


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--data", "source", required=True, help="What all of them were trained on.")
@label_order_option
@click.option("--name", default="ensemble", show_default=True, help="What the model is called.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path),
              help="The new .onnx file.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite the file.")
def join(
    models: tuple[str, ...], source: str, label_order: list[str] | None, name: str, out: Path,
    force: bool,
) -> None:  # fmt: skip
    """Join two to five MODELs into one file that decides by their mean.

    A MODEL is a bundled model, an .onnx file of any precision or the folder of a finished run.
    All must read stills and be trained on the same faces; the validation faces of the data judge
    the result. Calibrate it with `facetell calibrate` afterwards.

    \b
    Example:
      facetell join compact strong --data fer2013.csv --out both.onnx
    """
    from facetell.cli.options import check_targets, keep_models
    from facetell.cli.train import next_calibration, result_line
    from facetell.datasets import open_dataset
    from facetell.ensemble import join as join_models
    from facetell.files import write_atomically
    from facetell.runtime.session import load

    keep_models(out, models)
    check_targets(out, force=force)
    dataset = open_dataset(source, label_order=label_order)
    write_atomically(out, join_models(models, dataset, name=name))
    click.echo(f"{out}  {out.stat().st_size:,} bytes")
    joined = load(str(out)).contract
    click.echo(result_line(joined))
    click.echo(next_calibration(joined, out, source), err=True)
