"""`facetell data`: what can be read, and what a given dataset is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from facetell.cli.options import label_order_option

__all__ = ["data"]


@click.group()
def data() -> None:
    """List and check datasets.

    \b
    Example:
      facetell data check toon
    """


@data.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_forms(as_json: bool) -> None:
    """The forms of data that can be read, where they come from and under which terms.

    \b
    Example:
      facetell data list
    """
    from facetell.datasets.forms import FORMS

    for form in FORMS:
        if as_json:
            about = {"form": form.name, "holds": form.holds, "where": form.where}
            click.echo(json.dumps(about))
        else:
            click.echo(f"{form.name:12}{form.holds}\n{'':12}{form.where}")


@data.command()
@click.argument("path")
@label_order_option
@click.option("--copies", is_flag=True, help="Also look for near-copies; minutes for FER2013.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check(path: str, label_order: list[str] | None, copies: bool, as_json: bool) -> None:
    """Read the dataset at PATH and tell what it is and what is wrong with it.

    \b
    Example:
      facetell data check fer2013.csv --copies
    """
    from facetell.datasets import open_dataset
    from facetell.datasets.fingerprint import fingerprint

    dataset = open_dataset(path, label_order=label_order)
    found: dict[str, Any] = {
        "source": dataset.source,
        "licence": dataset.licence,
        "notes": list(dataset.notes),
        "subjects": len({sample.subject for sample in dataset.samples} - {None}),
        "fingerprint": fingerprint(dataset),
    }
    if copies:
        from facetell.cli.progress import show_search
        from facetell.datasets.splits import copies_across_sides

        found["copies"] = copies_across_sides(dataset, progress=show_search)
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo("\n".join(_lines(found)))


def _lines(found: dict[str, Any]) -> Iterable[str]:
    mark = found["fingerprint"]
    yield f"{mark['name']}: {mark['count']} faces from {found['source']}"
    if found["licence"]:
        yield f"licence: {found['licence']}"
    size = mark["size_px"]
    pixels = f"{size[1]}x{size[0]} px, " if size else ""
    yield f"images: {pixels}mean {mark['pixel_mean']:.1f}, deviation {mark['pixel_std']:.1f}"
    yield from _table(mark["classes"])
    if found["subjects"]:
        yield f"subjects: {found['subjects']}"
    yield f"labels sha256: {mark['labels_sha256'][:16]}"
    yield f"pixels sha256: {mark['pixels_sha256'][:16]} ({mark['pixels_hashed']})"
    yield from (f"note: {note}" for note in found["notes"])
    yield from (f"remark: {remark}" for remark in mark["remarks"])
    if "copies" in found:
        yield from _copies(found["copies"])


def _table(classes: dict[str, dict[str, int]]) -> Iterable[str]:
    names = list(next(iter(classes.values()), {}))
    yield f"{'side':12}{'all':>8}" + "".join(f"{name:>10}" for name in names)
    for side, counts in classes.items():
        row = "".join(f"{counts[name]:>10}" for name in names)
        yield f"{side:12}{sum(counts.values()):>8}{row}"


def _copies(copies: dict[str, Any]) -> Iterable[str]:
    yield (
        f"near-copies: {copies['images']} images in {copies['groups']} groups "
        f"({copies['redundant']} redundant, largest group {copies['largest']})"
    )
    yield (
        f"across sides: {copies['groups_across_sides']} groups, of which "
        f"{copies['groups_across_sides_conflicting']} with different labels"
    )
    for pair, count in copies["with_a_copy"].items():
        yield f"{pair}: {count} images"
