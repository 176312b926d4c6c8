"""Parquet files of labelled faces, as Hugging Face and others publish them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.decode import Encoded, as_rgb, decode, decode_all, named
from facetell.datasets.fer2013 import LICENCE, parse_pixels
from facetell.datasets.form import Form
from facetell.datasets.labelling import (
    are_numbers,
    named_labels,
    numbered_labels,
    refuse_order,
    side_in_name,
    side_of,
)
from facetell.datasets.sample import Dataset, Sample, Side
from facetell.errors import DataError, require
from facetell.labels import EMOTIONS, FERPLUS

__all__ = ["FORM", "read_parquet"]

_IMAGES = ("image", "img", "img_bytes", "jpg", "png", "pixels")
_LABELS = ("label", "labels", "emotion", "cls")
_SIDES = ("usage", "split")
_SUBJECTS = ("subject", "person", "identity")
_FER2013_USAGES = {"training", "publictest", "privatetest"}


@dataclass
class _Table:
    """The columns of all files, one entry per row."""

    images: list[Encoded] = field(default_factory=list)
    labels: list[str | int] = field(default_factory=list)
    sides: list[Side | None] = field(default_factory=list)
    subjects: list[str | None] = field(default_factory=list)
    votes: list[tuple[int, ...]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    given_ids: list[str] = field(default_factory=list)
    names: tuple[str, ...] | None = None
    is_fer2013: bool = False


def read_parquet(
    files: Sequence[Path], root: Path, *, label_order: Sequence[str] | None = None
) -> Dataset:
    """The faces of one or more Parquet files, in the order of the files and their rows.

    Label names come from the label column itself or from the Hugging Face metadata in the
    file; the side from a `usage` column or else from the file name.

    Args:
        files: at least one file; all with the same columns.
        root: what the user named, a file or a folder.
        label_order: names of the label numbers 0, 1, 2, ...

    Raises:
        MissingExtra: pyarrow is not installed.
        DataError: no image or label column, or label numbers without names.
    """
    reader: Any = require("pyarrow.parquet", extra="data", purpose="reading Parquet")
    table = _Table()
    for path in files:
        _append(table, path, reader)
    labels, notes = _labels(table, label_order, root)
    pixels = decode_all(table.images)
    usable = labels[pixels.kept] >= 0
    keep = pixels.kept[usable]
    if not len(keep):
        raise DataError(f"expected labelled images in {root}, found none that can be read.")
    if pixels.broken:
        broken = [table.ids[index] for index, _ in pixels.broken]
        notes.append(named(len(broken), broken, "images could not be read"))
    ids = _unique(table.given_ids, table.ids)
    stack = None if pixels.stack is None else pixels.stack[usable]
    sources = [] if stack is not None else [table.images[i] for i in keep]

    def read(index: int) -> NDArray[np.uint8]:
        return as_rgb(stack[index] if stack is not None else decode(sources[index]))

    return Dataset(
        name="fer2013" if table.is_fer2013 else root.stem,
        samples=tuple(
            Sample(
                id=ids[i],
                label=int(labels[i]),
                side=table.sides[i],
                subject=table.subjects[i],
                votes=table.votes[i],
            )
            for i in keep
        ),
        read=read,
        source=str(root),
        licence=LICENCE if table.is_fer2013 else "",
        notes=tuple(notes),
        stack=stack,
    )


def _append(table: _Table, path: Path, reader: Any) -> None:
    content = _read_table(path, reader)
    columns = {name.strip().lower(): name for name in content.column_names}
    image = next((columns[name] for name in _IMAGES if name in columns), None)
    label = _label_column(content, columns)
    if image is None or label is None:
        raise DataError(
            f"expected an image column ({', '.join(_IMAGES)}) and a label column "
            f"({', '.join(_LABELS)}) in {path}, found {', '.join(content.column_names)}. "
            "Rename the columns.",
            path=path,
        )

    def column(*wanted: str) -> list[Any] | None:
        name = next((columns[w] for w in wanted if w in columns), None)
        return None if name is None else content.column(name).to_pylist()

    rows = content.num_rows
    usage = column(*_SIDES)
    words = {str(value).strip().lower() for value in set(usage or ())}
    table.is_fer2013 |= bool(words) and words <= _FER2013_USAGES
    file_side = side_in_name(path.stem) or side_in_name(path.parent.name)
    table.sides += [side_of(str(value)) for value in usage] if usage else [file_side] * rows
    table.images += [_encoded(cell) for cell in content.column(image).to_pylist()]
    table.labels += content.column(label).to_pylist()
    table.subjects += column(*_SUBJECTS) or [None] * rows
    table.votes += _votes(column("ferplus_votes"), rows)
    table.ids += [f"{path.stem}:{row}" for row in range(rows)]
    table.given_ids += [str(value or "") for value in column("id") or ()]
    table.names = table.names or _class_names(content.schema, label)


def _read_table(path: Path, reader: Any) -> Any:
    try:
        return reader.read_table(path, partitioning=None)
    except (OSError, ValueError) as error:
        raise DataError(
            f"expected a Parquet file, got {path} that cannot be read ({error}). Fetch it again.",
            path=path,
        ) from error


def _label_column(content: Any, columns: dict[str, str]) -> str | None:
    """The label column; one that holds names is better than one that holds numbers."""
    found = [columns[name] for name in _LABELS if name in columns]

    def holds_names(name: str) -> bool:
        kind = content.schema.field(name).type
        return "string" in str(kind) or _class_names(content.schema, name) is not None

    return next((name for name in found if holds_names(name)), found[0] if found else None)


def _class_names(schema: Any, label: str) -> tuple[str, ...] | None:
    """The ClassLabel names in the Hugging Face metadata; names that are numbers say nothing."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        names = tuple(str(name) for name in features[label]["names"])
    except (KeyError, TypeError, ValueError):
        return None
    return None if are_numbers(names) else names


def _encoded(cell: Any) -> Encoded:
    """A cell as bytes to decode or as pixels; what is neither becomes b"", which is broken."""
    if isinstance(cell, dict):
        cell = cell.get("bytes")
    if isinstance(cell, bytes):
        return cell
    try:
        values = parse_pixels(cell.encode()) if isinstance(cell, str) else _bytes_of(cell)
        side_px = math.isqrt(values.size)
        return values.reshape(side_px, side_px)
    except (TypeError, ValueError, OverflowError):
        return b""


def _bytes_of(cell: Any) -> NDArray[np.uint8]:
    values = np.asarray(cell, np.int64)
    if not values.size or values.min() < 0 or values.max() > 255:
        raise ValueError("expected numbers from 0 to 255")
    return values.astype(np.uint8).ravel()


def _votes(cells: list[Any] | None, rows: int) -> list[tuple[int, ...]]:
    if cells is None:
        return [()] * rows
    return [
        tuple(cell) if cell and len(cell) == len(FERPLUS) and any(cell) else () for cell in cells
    ]


def _unique(given: list[str], rows: list[str]) -> list[str]:
    """The ids of the file; where one is missing or comes again, file and row instead."""
    if len(given) != len(rows):
        return rows
    once = {name for name, count in Counter(given).items() if count == 1 and name}
    return [name if name in once else row for name, row in zip(given, rows, strict=True)]


def _labels(
    table: _Table, order: Sequence[str] | None, root: Path
) -> tuple[NDArray[np.int64], list[str]]:
    values = ["" if value is None else str(value) for value in table.labels]
    if not are_numbers(values):
        refuse_order(order, root)
        return named_labels(values, str(root))
    names = order or table.names or (EMOTIONS if table.is_fer2013 else None)
    if names is None:
        raise DataError(
            f"{root} has label numbers without names, and orders differ between datasets. "
            "Pass label_order= (--label-order angry,disgust,...) with one name per number.",
            path=root,
        )
    return numbered_labels(np.array(values, np.int64), names, str(root))


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(p for p in place.rglob("*.parquet") if not p.name.startswith("."))
    return [place] if place.suffix.lower() == ".parquet" else []


FORM = Form(
    name="parquet",
    holds="a .parquet file or a folder of them, as on Hugging Face, with an image column",
    where="the terms of each dataset",
    recognise=lambda path: bool(_files(path)),
    read=lambda path, *, label_order=None: read_parquet(
        _files(path), path, label_order=label_order
    ),
)
