"""A list of image files with their labels: a CSV or Parquet table, one row per face."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.crops import Box, Crop, dataset_of_crops
from facetell.datasets.decode import named
from facetell.datasets.fer2013 import parse_pixels
from facetell.datasets.form import Form
from facetell.datasets.labelling import (
    are_numbers,
    named_labels,
    numbered_labels,
    refuse_order,
    side_of,
)
from facetell.datasets.sample import Dataset
from facetell.errors import DataError, require

__all__ = ["FORM", "file_column", "read_manifest", "read_rows"]

_FILES = ("path", "image", "file", "filename")
_LABELS = ("label", "emotion", "expression", "class")
_SIDES = ("split", "usage", "set")
_SUBJECTS = ("subject", "person", "identity")
_CORNERS = ("x1", "y1", "x2", "y2")
_SIZED = ("x", "y", "w", "h")
_UNNAMED = ("bbox", "box", "bounding_box", "face_box", "rect")
_PIXELS = ("image", "img", "img_bytes", "jpg", "png", "pixels", "pixel")
_SUFFIXES = (".csv", ".tsv", ".parquet")
_DELIMITERS = ",;\t"


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """The names of the columns in use, as the table spells them less case and spaces."""

    file: str
    label: str
    side: str | None
    subject: str | None
    box: tuple[str, ...]


@dataclass
class _Rows:
    """One entry per row that names a file."""

    files: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    sides: list[str] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    boxes: list[Box | None] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)


def read_manifest(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """The faces that a table lists, in its order.

    Names of columns are matched without case and surrounding spaces. A relative path starts at
    the table's folder; one that leads out of it, or an absolute one, counts if the file exists.
    Boxes are cut out if the table has the columns x, y, w, h (upper left corner and size) or
    x1, y1, x2, y2 (upper left and lower right corner), in pixels. Where a photo holds several
    faces and no column names subjects, the faces of one photo share one, and so a side.

    Args:
        path: a .csv, .tsv or .parquet file.
        label_order: names of the label numbers 0, 1, 2, ...

    Raises:
        MissingExtra: a Parquet table without pyarrow.
        DataError: label numbers without names, boxes that cannot be told, or no usable face.
    """
    rows = _Rows()
    names, table = read_rows(path)
    columns = _columns(names, path)
    for number, row in enumerate(table, 1):
        _append(rows, number, row, columns)
    labels, notes = _labels(rows.labels, label_order, path)
    notes += _defects(rows)
    return dataset_of_crops(
        _crops(rows, labels, columns, path.parent),
        name=path.stem,
        source=path,
        licence="",
        notes=notes,
        expected=f"A manifest is {FORM.holds}",
    )


def read_rows(path: Path) -> tuple[list[str], Iterator[dict[str, str]]]:
    """The names of a table's columns, less case and spaces, and its rows as text by name."""
    return _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)


def _csv(path: Path) -> tuple[list[str], Iterator[dict[str, str]]]:
    header, delimiter = _header(path)
    names = _spelled(header)

    def rows() -> Iterator[dict[str, str]]:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            next(reader)
            for cells in reader:
                yield dict(zip(names, cells, strict=False))

    return names, rows()


def _header(path: Path) -> tuple[list[str], str]:
    """The cells of the first line, and what lies between them."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        line = file.readline(1 << 16)
    delimiter = max(_DELIMITERS, key=line.count)
    return next(csv.reader([line], delimiter=delimiter), []), delimiter


def _parquet(path: Path) -> tuple[list[str], Iterator[dict[str, str]]]:
    parquet: Any = require("pyarrow.parquet", extra="data", purpose="reading Parquet")
    file = parquet.ParquetFile(path)
    schema = file.schema_arrow
    wanted = [n for n in schema.names if _is_plain(schema.field(n).type)]
    names = _spelled(wanted)

    def rows() -> Iterator[dict[str, str]]:
        for batch in file.iter_batches(columns=wanted):
            lists = [batch.column(name).to_pylist() for name in wanted]
            for cells in zip(*lists, strict=True):
                texts = ("" if cell is None else str(cell) for cell in cells)
                yield dict(zip(names, texts, strict=True))

    return names, rows()


def _is_plain(kind: Any) -> bool:
    """Text or a number: a column of bytes or lists is nothing that a manifest knows."""
    return any(word in str(kind) for word in ("string", "int", "float", "double")) and not any(
        word in str(kind) for word in ("list", "struct")
    )


def _spelled(names: Sequence[str]) -> list[str]:
    return [name.strip().lower() for name in names]


def file_column(names: Sequence[str]) -> str | None:
    """Which of the columns names the files, or None."""
    return next((name for name in _FILES if name in names), None)


def _columns(names: Sequence[str], path: Path) -> _Columns:
    def first(wanted: Sequence[str]) -> str | None:
        return next((name for name in wanted if name in names), None)

    file, label = file_column(names), first(_LABELS)
    if file is None or label is None:
        raise DataError(
            f"expected a column of files ({', '.join(_FILES)}) and one of labels "
            f"({', '.join(_LABELS)}) in {path}, found {', '.join(names)[:200]}. "
            "Rename the columns.",
            path=path,
        )
    return _Columns(
        file=file,
        label=label,
        side=first(_SIDES),
        subject=first(_SUBJECTS),
        box=_box_columns(names, path),
    )


def _box_columns(names: Sequence[str], path: Path) -> tuple[str, ...]:
    """The four columns of the box, none if there is no box.

    Raises:
        DataError: a box whose numbers could be corners as well as sizes.
    """
    corners, sized = ([n for n in kind if n in names] for kind in (_CORNERS, _SIZED))
    unnamed = [name for name in _UNNAMED if name in names]
    whole = [kind for kind in (corners, sized) if len(kind) == 4]
    if len(whole) == 1:
        return tuple(whole[0])
    if found := [*corners, *sized, *unnamed]:
        raise DataError(
            f"expected the box of a face in four columns of {path}, x,y,w,h or x1,y1,x2,y2, "
            f"found {', '.join(found)}. Name them so, as a size cannot be told from a corner; "
            "or leave them out if each image is one face.",
            path=path,
        )
    return ()


def _append(rows: _Rows, number: int, row: dict[str, str], columns: _Columns) -> None:
    name = row.get(columns.file, "").strip()
    if not any(cell.strip() for cell in row.values()):
        return
    try:
        box = _box(row, columns.box)
    except (KeyError, ValueError):
        name = ""
    if not name:
        rows.unreadable.append(f"row {number}")
        return
    if not row.get(columns.label, "").strip():
        rows.unlabelled.append(f"row {number}")
        return
    rows.files.append(name)
    rows.labels.append(row[columns.label].strip())
    rows.sides.append(row.get(columns.side or "", ""))
    rows.subjects.append(row.get(columns.subject or "", "").strip())
    rows.boxes.append(box)


def _box(row: dict[str, str], names: tuple[str, ...]) -> Box | None:
    if not names:
        return None
    a, b, c, d = (float(row[name]) for name in names)
    return (a, b, c, d) if names == _CORNERS else (a, b, a + c, b + d)


def _labels(
    values: list[str], order: Sequence[str] | None, path: Path
) -> tuple[NDArray[np.int64], list[str]]:
    if not values or not are_numbers(values):
        refuse_order(order, path)
        return named_labels(values, str(path))
    if order is None:
        raise DataError(
            f"{path} has label numbers without names, and orders differ between datasets. "
            "Pass label_order= (--label-order angry,disgust,...) with one name per number.",
            path=path,
        )
    return numbered_labels(np.array(values, np.int64), order, str(path))


def _crops(rows: _Rows, labels: NDArray[np.int64], columns: _Columns, folder: Path) -> list[Crop]:
    faces_of = Counter(rows.files)
    by_photo = columns.subject is None and max(faces_of.values(), default=0) > 1
    return [
        Crop(
            id=name,
            file=folder / name.replace("\\", "/"),
            label=label,
            side=side_of(side),
            subject=name if by_photo else subject or None,
            box_xyxy=box,
        )
        for name, label, side, subject, box in zip(
            rows.files, labels.tolist(), rows.sides, rows.subjects, rows.boxes, strict=True
        )
    ]


def _defects(rows: _Rows) -> list[str]:
    unknown = sorted({side.strip() for side in rows.sides if side.strip() and not side_of(side)})
    notes = [f"unknown side names were ignored: {', '.join(unknown[:5])}"] if unknown else []
    kinds = (
        (rows.unreadable, "rows could not be read"),
        (rows.unlabelled, "rows have no label and were left out"),
    )
    return notes + [named(len(found), found, what) for found, what in kinds if found]


def _is_manifest(path: Path) -> bool:
    """A table with a column of file names, and no pixels or encoded images in it."""
    if not path.is_file() or path.suffix.lower() not in _SUFFIXES:
        return False
    if path.suffix.lower() == ".parquet":
        return _names_files(path)
    names = _spelled(_header(path)[0])
    return any(name in names for name in _FILES) and not {"pixels", "pixel"} & {*names}


def _names_files(path: Path) -> bool:
    """Whether a Parquet file's images are text that is no row of pixels."""
    parquet: Any = require("pyarrow.parquet", extra="data", purpose="reading Parquet")
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError):
        return False  # the reader of Parquet images says what is wrong
    schema = file.schema_arrow
    texts = [name for name in schema.names if "string" in str(schema.field(name).type)]
    if any(_spelled([name])[0] in _PIXELS and name not in texts for name in schema.names):
        return False
    found = [name for name in texts if _spelled([name])[0] in _FILES]
    return bool(found) and not _are_pixels(file, found[0])


def _are_pixels(file: Any, column: str) -> bool:
    batch = next(file.iter_batches(batch_size=1, columns=[column]), None)
    first = batch.column(0)[0].as_py() if batch is not None and len(batch) else None
    try:
        parse_pixels((first or "").encode())
    except ValueError:
        return False
    return True


FORM = Form(
    name="manifest",
    holds="a .csv, .tsv or .parquet file with a column path, image, file or filename and a "
    "column label, emotion, expression or class; optionally split, subject, and a box as "
    "x,y,w,h or x1,y1,x2,y2",
    where="your own data, or any set with a list; the terms of each dataset",
    recognise=_is_manifest,
    read=read_manifest,
)
