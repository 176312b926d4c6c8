"""facetell export."""

from __future__ import annotations

from pathlib import Path

import click

from facetell.cli.options import label_order_option

__all__ = ["export"]


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--data", "source", help="Real faces to compare on [what the run was trained on].")
@label_order_option
@click.option("--out", type=click.Path(path_type=Path), help="The file [RUN/model.onnx].")
@click.option("--name", help="What the model is called [the recipe's name].")
@click.option("--force", is_flag=True, help="Overwrite the file.")
def export(
    run: Path,
    source: str | None,
    label_order: list[str] | None,
    out: Path | None,
    name: str | None,
    force: bool,
) -> None:
    """Write a finished RUN as one ONNX file that needs no PyTorch.

    Refuses unless the file's outputs match PyTorch's on real faces within 1e-4.

    \b
    Example:
      facetell export runs/compact --out compact.onnx
    """
    from facetell.errors import InputError, require

    require("torch", extra="train", purpose="exporting")
    from facetell.export import export as write
    from facetell.train.finish import held_out_faces
    from facetell.train.predictor import load_run

    path = out or run / "model.onnx"
    if path.exists() and not force:
        raise InputError(f"expected a new file, got {path}, which exists. Add --force.")
    predictor = load_run(run)
    faces = held_out_faces(run, predictor, source=source, label_order=label_order)
    click.echo(f"exporting and comparing on {len(faces)} faces", err=True)
    difference = write(predictor, path, faces, name=name)
    click.echo(f"{path}  {path.stat().st_size:,} bytes, largest difference {difference:.1e}")
