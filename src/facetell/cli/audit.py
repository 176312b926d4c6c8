"""facetell audit: what is wrong with a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import click

from facetell.cli.options import check_belongs, check_targets, label_order_option

__all__ = ["audit"]


@click.command(
    epilog="""\b
Example:
  facetell audit fer2013.csv --report audit.html --groups groups.csv
"""
)
@click.argument("data")
@label_order_option
@click.option(
    "--quick", is_flag=True, help="Look only for copies that agree in a hash: faster, finds half."
)
@click.option(
    "--detector",
    type=click.Choice(["none", "centerface"]),
    default="none",
    show_default=True,
    help="Also list the images in which no face is detected.",
)
@click.option(
    "--canary/--no-canary",
    default=True,
    show_default=True,
    help="Judge what the nearest training face says.",
)
@click.option("--threads", metavar="N", type=click.IntRange(min=1), help="Threads of the detector.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write HTML.")
@click.option(
    "--faces/--no-faces",
    default=True,
    show_default=True,
    help="Show dataset faces in the report; without them it can be shared.",
)
@click.option(
    "--groups",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every image's group of copies as CSV.",
)
@click.option("--force", is_flag=True, help="Overwrite files.")
def audit(
    data: str,
    label_order: list[str] | None,
    quick: bool,
    detector: str,
    canary: bool,
    threads: int | None,
    as_json: bool,
    report: Path | None,
    faces: bool,
    groups: Path | None,
    force: bool,
) -> None:
    """Look for copies, conflicting labels, leaks and images that are no face in DATA.

    Counts exact, near and mirrored copies within and across the dataset's sides, and what a lookup
    table that has learned nothing scores on them. What is found is the answer: the exit status is
    0 also then.
    """
    from facetell.audit.findings import inspect, make_face_finder
    from facetell.audit.summary import Audit
    from facetell.audit.table import as_table
    from facetell.cli.progress import show_search
    from facetell.datasets import open_dataset
    from facetell.datasets.groups import write_groups
    from facetell.report.audit import write_audit

    check_belongs(click.get_current_context(), ("faces",), to="report")
    check_targets(report, groups, force=force)
    dataset = open_dataset(data, label_order=label_order)
    found = inspect(
        dataset,
        quick=quick,
        detector=make_face_finder(threads) if detector == "centerface" else None,
        canary=canary,
        progress=show_search,
    )
    summary = Audit.of(found)
    click.echo(json.dumps(summary.to_dict(), allow_nan=False) if as_json else as_table(summary))
    if report:
        write_audit(summary, report, findings=found if faces else None, overwrite=force)
        click.echo(f"Report: {report}", err=True)
    if groups:
        write_groups(dataset, found.copies.groups, groups, overwrite=force)
        click.echo(f"Groups: {groups}", err=True)
