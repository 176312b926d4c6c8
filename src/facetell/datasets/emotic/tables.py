"""Tables derived from EMOTIC: the CSV and NPY files of public loaders, by column names alone.

Two are in circulation: `train.csv` with lists written as Python text beside
`train_body_arr.npy` ("lists"), and `annot_arrs_train.csv` with one column per category beside
one .npy per picture ("columns").
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facetell.datasets.emotic.categories import CATEGORIES, category_index, flags
from facetell.datasets.emotic.people import Row, Vad
from facetell.datasets.emotic.pixels import Array
from facetell.datasets.labelling import side_in_name
from facetell.datasets.sample import Side
from facetell.errors import DataError

__all__ = ["is_table", "read_table"]

_LISTS = {"filename", "bbox", "categorical_labels"}
_COLUMNS = {"filename", "x_min", "y_min", "x_max", "y_max", "valence", "happiness"}
_NUMBER = re.compile(r"nan|[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)
_CALL = re.compile(r"[A-Za-z_][\w.]*\(")  # np.float64( of NumPy 2
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


def is_table(path: Path) -> bool:
    """Whether a CSV file's header is one of these; looks at the first line only."""
    names = _header(path)
    return names >= _LISTS or names >= _COLUMNS


def _header(path: Path) -> set[str]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return {name.strip().lower() for name in next(csv.reader([file.readline(65536)]), ())}
    except (OSError, csv.Error):
        return set()


def read_table(path: Path) -> tuple[list[Row], list[str]]:
    """The people of one table, and notes.

    Raises:
        DataError: the file name tells no side, or a row cannot be understood.
    """
    side = side_in_name(path.stem)
    if side is None:
        raise DataError(
            f"expected a table named after its side (train, val, test), got {path}. Rename it.",
            path=path,
        )
    with path.open(encoding="utf-8-sig", newline="") as file:
        cells = [
            {(name or "").strip().lower(): (value or "").strip() for name, value in row.items()}
            for row in csv.DictReader(file)
            if None not in row
        ]
    as_columns = _header(path) >= _COLUMNS
    try:
        rows = [
            _row_of_columns(row, path, side) if as_columns else _row_of_lists(row, path, side, i)
            for i, row in enumerate(cells)
        ]
    except (KeyError, ValueError) as error:
        raise DataError(
            f"expected numbers in the columns of boxes and values of {path}, got {error}. "
            "Make the table again from Annotations.mat.",
            path=path,
        ) from error
    notes = [] if as_columns else list(_disagreement(rows, path))
    if "extra" in path.stem:
        notes.append(f"{len(rows)} people of {path.name} were read as {side}")
    return rows, notes


def numbers_in(text: str) -> tuple[float, ...]:
    """The numbers of a list written as text, also as NumPy 2 writes it.

    >>> numbers_in("[np.float64(5.0), 6, nan]")
    (5.0, 6.0, nan)
    """
    return tuple(float(number) for number in _NUMBER.findall(_CALL.sub("", text)))


def names_in(text: str) -> tuple[str, ...]:
    """The strings of a list written as text.

    >>> names_in("['Doubt/Confusion', 'Fear']")
    ('Doubt/Confusion', 'Fear')
    """
    return tuple(single or double for single, double in _QUOTED.findall(text))


def _row_of_lists(row: dict[str, str], path: Path, side: Side, index: int) -> Row:
    size = numbers_in(row.get("image size", ""))
    names = names_in(row["categorical_labels"])
    bodies = path.with_name(f"{path.stem}_body_arr.npy")
    return Row(
        side=side,
        folder=row.get("folder", ""),
        filename=row["filename"],
        size_wh=(size[0], size[1]) if len(size) == 2 else None,
        box=numbers_in(row["bbox"]),
        categories=names,
        annotators=(names,),
        vad=_vad(numbers_in(row.get("continuous_labels", ""))),
        gender=row.get("gender", ""),
        age=row.get("age", ""),
        body=Array(path=bodies, row=index) if bodies.is_file() else None,
    )


def _row_of_columns(row: dict[str, str], path: Path, side: Side) -> Row:
    seen = (name for name in row if category_index(name) is not None)
    names = tuple(name for name in seen if _number(row[name]) > 0)
    width, height = _number(row.get("width", "")), _number(row.get("height", ""))
    return Row(
        side=side,
        folder=row.get("folder", ""),
        filename=row["filename"],
        size_wh=None if math.isnan(width + height) else (width, height),
        box=tuple(_number(row[name]) for name in ("x_min", "y_min", "x_max", "y_max")),
        categories=names,
        annotators=(names,),
        vad=_vad(tuple(_number(row.get(name, "")) for name in ("valence", "arousal", "dominance"))),
        gender=row.get("gender", ""),
        age=row.get("age", ""),
        body=_crop(row.get("crop_name", ""), path),
    )


def _number(text: str) -> float:
    return float(text) if text else math.nan


def _vad(values: tuple[float, ...]) -> Vad:
    return (values[0], values[1], values[2]) if len(values) == 3 else (math.nan,) * 3


def _crop(name: str, table: Path) -> Array | None:
    """The body's .npy: beside the table, or in img_arrs beside the table's folder."""
    if not name:
        return None
    folders = (table.parent / "img_arrs", table.parent.parent / "img_arrs", table.parent)
    places = (folder / each for folder in folders for each in (name, f"{name}.npy"))
    return next((Array(path=place) for place in places if place.is_file()), None)


def _disagreement(rows: list[Row], path: Path) -> Iterator[str]:
    """A note where the labels of the .npy file beside the table are others than the table's."""
    beside = path.with_name(f"{path.stem}_cat_arr.npy")
    if not beside.is_file():
        return
    try:
        stored = np.load(beside, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        yield f"{beside.name} cannot be read and was not compared with {path.name}"
        return
    written = np.array([flags(row.categories) for row in rows]).reshape(-1, len(CATEGORIES))
    if stored.shape != written.shape:
        yield f"{beside.name} has {len(stored)} rows, {path.name} {len(rows)}: the table was used"
    elif differing := int((written != (stored > 0)).any(axis=1).sum()):
        yield f"{differing} rows of {beside.name} differ from {path.name}: the table was used"
