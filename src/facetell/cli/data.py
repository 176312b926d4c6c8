"""`facetell data`: what can be read, and what a given dataset is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from facetell.cli.options import label_order_option

__all__ = ["data"]

_FORMS = (
    ("toon", "drawn faces, no download; toon:characters=80,per_emotion=4,seed=0"),
    (
        "fer2013.csv",
        "or icml_face_data.csv: Kaggle competition 'challenges-in-representation-learning-"
        "facial-expression-recognition-challenge'; research only, no redistribution",
    ),
    ("train/ and test/", "Kaggle folders of FER2013 (msambare/fer2013); the same terms"),
    ("*.parquet", "a file or a folder of them, as on Hugging Face; the terms of each dataset"),
    ("pixels.csv", "any CSV with a label column and space-separated grey pixels"),
    ("<class>/*.png", "folders named after emotions, also below train/, val/ and test/"),
)


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
    for form, text in _FORMS:
        click.echo(json.dumps({"form": form, "text": text}) if as_json else f"{form:18}{text}")


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
