"""facetell calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from facetell.cli.options import label_order_option
from facetell.cli.progress import Progress, show_search

if TYPE_CHECKING:
    from facetell.datasets.sample import Dataset
    from facetell.evaluate.calibration import Margins
    from facetell.runtime.session import Model

__all__ = ["calibrate"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model")
@click.option("--data", "source", required=True, help="Labelled faces: a CSV, Parquet or folder.")
@label_order_option
@click.option(
    "--side",
    type=click.Choice(["validation", "test"]),
    help="Faces to calibrate on.  [default: validation; all faces of data without sides]",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The new file."
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the ONNX runtime.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
def calibrate(
    model: str,
    source: str,
    label_order: list[str] | None,
    side: Literal["validation", "test"] | None,
    out: Path,
    threads: int | None,
    as_json: bool,
    force: bool,
) -> None:
    """Fit the scores of MODEL, its sets and its abstention to labelled faces.

    MODEL is a bundled model's name or any ONNX file of facetell. Labels stay as they are; what
    changes is how sure the scores say that the model is, and from which score a label belongs to
    a face's set. Faces must be ones that the model has not seen: those of the validation side
    without a near-copy in training, one per photograph, or your own. The table is cross-fitted:
    each half of the faces is judged by what the other half was fitted to.

    \b
    Example:
      facetell calibrate compact --data my-faces/ --out compact-mine.onnx
    """
    import json

    from facetell.cli.options import check_targets
    from facetell.contract import replace_contract
    from facetell.evaluate.calibration import calibrate as fit
    from facetell.evaluate.sureness import cross_fitted
    from facetell.evaluate.table import sureness_table
    from facetell.files import write_atomically
    from facetell.runtime.session import load

    check_targets(out, force=force)
    loaded = load(model, threads=threads)
    found, data = _margins(loaded, source, label_order, side)
    contract = fit(loaded.contract, found, data=data)
    judged = cross_fitted(loaded.contract, found)
    write_atomically(out, replace_contract(loaded.path.read_bytes(), contract))
    click.echo(json.dumps(judged.to_dict()) if as_json else sureness_table(judged))
    click.echo(f"wrote {out}, calibrated on {data}", err=True)


def _margins(
    model: Model,
    source: str,
    label_order: list[str] | None,
    side: Literal["validation", "test"] | None,
) -> tuple[Margins, str]:
    """What the model says of the faces, and which they are."""
    from facetell.datasets import open_dataset
    from facetell.evaluate.calibration import calibration_rows, margins_of

    dataset: Dataset = open_dataset(source, label_order=label_order)
    contract = model.contract
    official = contract.protocol in ("official", "clean")  # whose test sides are never drawn
    rows = calibration_rows(
        dataset,
        side=side,
        trained_on=contract.data,
        own_sides=contract.own_sides or (official and side == "test"),
        progress=show_search,
    )
    with Progress(len(rows)) as progress:
        found = margins_of(model, dataset, rows, progress=progress.step)
    where = f"{side or 'validation'} side, " if any(s.side for s in dataset.samples) else ""
    return found, f"{dataset.name}: {where}{len(rows):,} faces of different photographs"
