"""Annotations.mat and CVPR17_Annotations.mat -> rows, by field names alone.

loadmat with `squeeze_me` gives an array only where there are several: one person comes as a
struct, one annotator as a struct, one category as a plain string, whose letters must not be
taken for categories. `_each` and `_texts` undo that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from facetell.datasets.emotic.people import Row, Vad
from facetell.datasets.sample import Side
from facetell.errors import DataError, require

__all__ = ["read_mat"]

_SIDES: dict[str, Side] = {"train": "train", "val": "validation", "test": "test"}
_VAD = ("valence", "arousal", "dominance")


def read_mat(path: Path) -> list[Row]:
    """Every annotated person: train, then val, then test.

    Raises:
        MissingExtra: scipy is not installed.
        DataError: no MATLAB file, or not EMOTIC's.
    """
    io: Any = require("scipy.io", extra="data", purpose="reading EMOTIC's annotations")
    try:
        content = io.loadmat(path, squeeze_me=True, struct_as_record=False)
    # scipy raises anything on other files, NotImplementedError for MATLAB 7.3 among it.
    except Exception as error:
        raise DataError(
            f"expected EMOTIC's annotations as a MATLAB 5 file, got {path} that cannot be read "
            f"({error}). Fetch it again; save files of MATLAB 7.3 with -v7.",
            path=path,
        ) from error
    if not any(key in content for key in _SIDES):
        found = ", ".join(sorted(key for key in content if not key.startswith("__")))
        raise DataError(
            f"expected train, val and test in {path}, found {found or 'nothing'}. "
            "Use Annotations.mat of the EMOTIC archive.",
            path=path,
        )
    return [
        row
        for key, side in _SIDES.items()
        for image in _each(content.get(key))
        for row in _rows(image, side)
    ]


def _rows(image: Any, side: Side) -> Iterator[Row]:
    size = _field(image, "image_size")
    width, height = (_number(_field(size, name)) for name in ("n_col", "n_row"))
    for person in _each(_field(image, "person")):
        given = _each(_field(person, "annotations_categories"))
        annotators = tuple(_texts(_field(each, "categories")) for each in given)
        yield Row(
            side=side,
            folder=_text(_field(image, "folder")),
            filename=_text(_field(image, "filename")),
            size_wh=None if math.isnan(width + height) else (width, height),
            box=_numbers(_field(person, "body_bbox")),
            categories=_texts(_field(person, "combined_categories")) or _union(annotators),
            annotators=annotators,
            vad=_vad(person),
            gender=_text(_field(person, "gender", "annotations_gender")),
            age=_text(_field(person, "age", "annotations_age")),
        )


def _field(struct: Any, *names: str) -> Any:
    """The first of the fields that the struct has, None if it has none of them."""
    return next((getattr(struct, name) for name in names if hasattr(struct, name)), None)


def _each(value: Any) -> list[Any]:
    """The structs of a struct array: also where there is one, or none."""
    return [] if value is None else [item for item in np.atleast_1d(value) if _is_struct(item)]


def _is_struct(value: Any) -> bool:
    return hasattr(value, "_fieldnames")


def _texts(cell: Any) -> tuple[str, ...]:
    """The strings of a cell, also of one with a single string."""
    return () if cell is None else tuple(str(text).strip() for text in np.atleast_1d(cell).flat)


def _text(value: Any) -> str:
    """A string; of a struct (per-worker files) its first field that is one."""
    if _is_struct(value):
        fields = (getattr(value, name) for name in value._fieldnames)
        value = next((field for field in fields if isinstance(field, str)), "")
    return value.strip() if isinstance(value, str) else ""


def _numbers(value: Any) -> tuple[float, ...]:
    try:
        return tuple(np.atleast_1d(np.asarray(value, np.float64)).ravel().tolist())
    except (TypeError, ValueError):
        return ()


def _number(value: Any) -> float:
    return next(iter(_numbers(value)), math.nan)


def _union(annotators: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return tuple(sorted({name for names in annotators for name in names}))


def _vad(person: Any) -> Vad:
    """The combined values, or else the mean over the annotators who gave one."""
    combined = _each(_field(person, "combined_continuous"))
    given = combined or _each(_field(person, "annotations_continuous"))
    valence, arousal, dominance = (
        _mean([_number(_field(each, name)) for each in given]) for name in _VAD
    )
    return valence, arousal, dominance


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
