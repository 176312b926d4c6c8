"""FER2013: its facts, and the CSV forms it comes in (fer2013.csv, icml_face_data.csv, ...).

The reader takes any CSV with a column of space-separated grey pixels and a label column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.decode import as_rgb, named
from facetell.datasets.form import Form
from facetell.datasets.labelling import (
    are_numbers,
    named_labels,
    numbered_labels,
    refuse_order,
    side_of,
)
from facetell.datasets.sample import Dataset, Sample
from facetell.errors import DataError
from facetell.labels import EMOTIONS

__all__ = [
    "FORM", "LICENCE", "OFFICIAL_COUNTS", "PIXELS_FORM", "WHERE", "csv_in", "parse_pixels",
    "read_csv",
]  # fmt: skip

LICENCE = (
    "FER2013: faces collected from the web, no licence stated; "
    "for research only, do not redistribute the images."
)
WHERE = (
    "FER2013 comes from the Kaggle competition "
    "'challenges-in-representation-learning-facial-expression-recognition-challenge' "
    "(fer2013.csv or icml_face_data.csv; for research only, no redistribution)"
)

#: Images per class in the order of EMOTIONS: Training, PublicTest, PrivateTest.
OFFICIAL_COUNTS = {
    "train": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "validation": (467, 56, 496, 895, 653, 415, 607),
    "test": (491, 55, 528, 879, 594, 416, 626),
}

_LABEL_COLUMNS = ("emotion", "label", "labels", "class", "cls", "expression")
_SIDE_COLUMNS = ("usage", "split", "set")
_SUBJECT_COLUMNS = ("subject", "person", "identity")


@dataclass(frozen=True)
class _Columns:
    pixels: int
    label: int
    side: int | None
    subject: int | None
    is_fer2013: bool


def read_csv(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """The faces of a CSV file of pixels.

    Header names are matched without case and surrounding spaces: icml_face_data.csv writes
    " Usage" and " pixels". Label numbers are read in the order of fer2013.csv only where the
    header is that of FER2013 (`emotion`, `pixels`).

    Args:
        path: the file. The `pixels` column holds S * S space-separated numbers, 0-255.
        label_order: names of the label numbers 0, 1, 2, ...

    Raises:
        DataError: another header, labels without names, or no usable row.
    """
    with path.open("rb") as file:
        columns = _columns(_cells(file.readline()), path)
        rows = _read_rows(file, columns, path)
    labels, notes = _labels(rows.labels, columns, label_order, path)
    keep = np.flatnonzero(labels >= 0)
    stack = rows.stack if len(keep) == len(labels) else rows.stack[keep]
    samples = tuple(
        Sample(
            id=f"row{rows.numbers[i]}",
            label=int(labels[i]),
            side=side_of(rows.sides[i]) if rows.sides else None,
            subject=rows.subjects[i] if rows.subjects else None,
        )
        for i in keep
    )
    return Dataset(
        name="fer2013" if columns.is_fer2013 else path.stem,
        samples=samples,
        read=lambda index: as_rgb(stack[index]),
        source=str(path),
        licence=LICENCE if columns.is_fer2013 else "",
        notes=(*rows.notes, *notes),
        stack=stack,
    )


def parse_pixels(text: bytes) -> NDArray[np.uint8]:
    """The numbers 0-255 in a line of digits and spaces, without a loop over them.

    >>> parse_pixels(b"70 8 255").tolist()
    [70, 8, 255]

    Raises:
        ValueError: other characters, other numbers, or nothing.
    """
    if b"  " in text:
        text = b" ".join(text.split())
    codes = np.frombuffer(b"   " + text.strip() + b" ", np.uint8)
    digits = codes - np.uint8(48)  # a space becomes 240
    ends = np.flatnonzero(digits == 240)[3:]
    ones, tens, hundreds, before = (digits[ends - k] for k in (1, 2, 3, 4))
    has_tens = tens < 10
    has_hundreds = has_tens & (hundreds < 10)
    others = np.count_nonzero(digits[3:] > 9) - len(ends)
    if others or ones.max() > 9 or (has_hundreds & (before < 10)).any():
        raise ValueError("expected numbers from 0 to 255 with spaces between them")
    values = ones.astype(np.int32)
    values += np.where(has_tens, tens, 0).astype(np.int32) * 10
    values += np.where(has_hundreds, hundreds, 0).astype(np.int32) * 100
    if values.max() > 255:
        raise ValueError(f"expected numbers from 0 to 255, got {values.max()}")
    return values.astype(np.uint8)


def _cells(line: bytes) -> list[bytes]:
    return [cell.strip(b' "\t') for cell in line.rstrip(b"\r\n").split(b",")]


def _columns(header: list[bytes], path: Path) -> _Columns:
    names = [cell.decode("utf-8-sig", "replace").strip(' "').lower() for cell in header]

    def first(wanted: Sequence[str]) -> int | None:
        return next((names.index(name) for name in wanted if name in names), None)

    pixels, label = first(("pixels", "pixel")), first(_LABEL_COLUMNS)
    if pixels is None or label is None:
        missing = "'pixels'" if pixels is None else "'emotion'"
        raise DataError(
            f"expected a CSV with columns such as emotion,pixels,Usage; {path} has no "
            f"{missing} column (found: {', '.join(names)[:200]}). A list of image files needs a "
            "column path, image, file or filename. test.csv of the Kaggle competition has no "
            f"labels: use fer2013.csv. {WHERE}.",
            path=path,
        )
    return _Columns(
        pixels, label, first(_SIDE_COLUMNS), first(_SUBJECT_COLUMNS), names[label] == "emotion"
    )


@dataclass
class _Rows:
    stack: NDArray[np.uint8]
    labels: list[str]
    sides: list[str]
    subjects: list[str]
    numbers: list[int]
    notes: list[str]


def _read_rows(file: BinaryIO, columns: _Columns, path: Path) -> _Rows:
    """Every row with as many pixels as the first one; the others are counted."""
    rows = _Rows(np.empty((0, 0, 0), np.uint8), [], [], [], [], [])
    blocks: list[NDArray[np.uint8]] = []
    broken: list[str] = []
    for number, cells, pixels in _parsed(file, columns, broken):
        if not rows.numbers:
            side_px = math.isqrt(pixels.size)
        if pixels.size != side_px * side_px:
            broken.append(f"row {number}")
            continue
        if len(rows.numbers) % 1024 == 0:
            blocks.append(np.empty((1024, side_px * side_px), np.uint8))
        blocks[-1][len(rows.numbers) % 1024] = pixels
        _note_row(rows, number, cells, columns)
    if not rows.numbers:
        raise DataError(
            f"expected rows with square faces in {path}, found none that can be read. "
            f"A pixels cell holds e.g. 2304 numbers from 0 to 255. {WHERE}.",
            path=path,
        )
    rows.stack = _joined(blocks, len(rows.numbers)).reshape(-1, side_px, side_px)
    unknown = sorted({side for side in set(rows.sides) if side_of(side) is None})
    if unknown:
        rows.notes.append(f"unknown side names were ignored: {', '.join(unknown[:5])}")
    if broken:
        rows.notes.append(named(len(broken), broken, "rows could not be read"))
    return rows


def _parsed(
    file: BinaryIO, columns: _Columns, broken: list[str]
) -> Iterator[tuple[int, list[bytes], NDArray[np.uint8]]]:
    for number, line in enumerate(file):
        cells = _cells(line)
        if cells == [b""]:
            continue
        try:
            yield number, cells, parse_pixels(cells[columns.pixels])
        except (ValueError, IndexError):
            broken.append(f"row {number}")


def _note_row(rows: _Rows, number: int, cells: list[bytes], columns: _Columns) -> None:
    rows.numbers.append(number)
    rows.labels.append(cells[columns.label].decode("utf-8", "replace"))
    if columns.side is not None:
        rows.sides.append(cells[columns.side].decode("utf-8", "replace"))
    if columns.subject is not None:
        rows.subjects.append(cells[columns.subject].decode("utf-8", "replace"))


def _joined(blocks: list[NDArray[np.uint8]], count: int) -> NDArray[np.uint8]:
    """The blocks as one array, each freed as it is copied, so that memory peaks once."""
    whole = np.empty((count, blocks[0].shape[1]), np.uint8)
    blocks.reverse()
    for start in range(0, count, 1024):
        whole[start : start + 1024] = blocks.pop()[: count - start]
    return whole


def _labels(
    values: list[str], columns: _Columns, order: Sequence[str] | None, path: Path
) -> tuple[NDArray[np.int64], list[str]]:
    if not are_numbers(values):
        refuse_order(order, path)
        return named_labels(values, str(path))
    numbers = np.array(values, np.int64)
    if order is None and not columns.is_fer2013:
        raise DataError(
            f"{path} has label numbers without names, and orders differ between datasets. "
            "Pass label_order= (--label-order angry,disgust,...) with one name per number.",
            path=path,
        )
    return numbered_labels(numbers, order or EMOTIONS, str(path))


def csv_in(place: Path) -> Path | None:
    """fer2013.csv or icml_face_data.csv: the path itself or a file in it, None if neither."""
    names = ("fer2013.csv", "icml_face_data.csv")
    if place.is_dir():
        return next((place / name for name in names if (place / name).is_file()), None)
    return place if place.name.lower() in names else None


FORM = Form(
    name="fer2013",
    holds="fer2013.csv or icml_face_data.csv, also the folder they are in; the Kaggle folders "
    "train/ and test/ and Parquet files are read as well",
    where=WHERE,
    recognise=lambda path: csv_in(path) is not None,
    read=lambda path, *, label_order=None: read_csv(csv_in(path) or path, label_order=label_order),
)

PIXELS_FORM = Form(
    name="pixels",
    holds="any .csv with a label column and a column of space-separated grey pixels",
    where="your own data; the terms are yours",
    recognise=lambda path: path.suffix.lower() == ".csv",
    read=read_csv,
)
