"""AffectNet: the lists of 2017 with face boxes, and the folders of 2021 with one file per label.

In both, the validation faces are the only ones that others are judged on, as the test labels
were never published. So they become the test side here, and `split` holds a validation side out
of train: choosing a model by the faces that judge it would make its score too good.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from facetell.datasets.crops import Crop, dataset_of_crops
from facetell.datasets.decode import named
from facetell.datasets.form import Form
from facetell.datasets.labelling import numbered_labels
from facetell.datasets.sample import Dataset, Side
from facetell.errors import DataError

__all__ = ["AFFECTNET_ORDER", "FORM", "LICENCE", "WHERE", "read_affectnet"]

LICENCE = "AffectNet: for non-commercial research only; do not redistribute the images."
WHERE = (
    "AffectNet comes from its authors, on request of a principal investigator "
    "(mohammadmahoor.com; for non-commercial research only, no redistribution)"
)
#: The names of the label numbers 0 to 10; the form of 2021 has the first eight.
AFFECTNET_ORDER = (
    "neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt",
    "none", "uncertain", "non-face",
)  # fmt: skip

#: The columns of 2017; early copies of validation.csv have them without a header.
_COLUMNS = (
    "subdirectory_filepath", "face_x", "face_y", "face_width", "face_height",
    "facial_landmarks", "expression", "valence", "arousal",
)  # fmt: skip
_LISTS: tuple[tuple[str, Side], ...] = (("training.csv", "train"), ("validation.csv", "test"))
_LIST_FOLDERS = (
    "Manually_Annotated_file_lists",
    "Manually_Annotated/Manually_Annotated_file_lists",
)
_IMAGE_FOLDERS = (
    "Manually_Annotated_Images",
    "Manually_Annotated/Manually_Annotated_Images",
    "Manually_Annotated_compressed/Manually_Annotated_Images",
    "Manually_Annotated",
)
_SETS: tuple[tuple[str, Side], ...] = (("train_set", "train"), ("val_set", "test"))
_LARGEST_LABEL = 4096  # bytes; a label file has 132


@dataclass
class _Listed:
    """One entry per face that has a label number, and what was passed over."""

    crops: list[Crop] = field(default_factory=list)  # label: the number in the source
    unreadable: list[str] = field(default_factory=list)
    pickled: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)


def read_affectnet(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """AffectNet as it was sent out in 2017 or in 2021.

    Contempt, none, uncertain and non-face are left out and counted by kind. Faces of 2017 are
    cut out of their photos by the columns face_x to face_height; those of 2021 are cut out
    already.

    Args:
        path: the folder above `Manually_Annotated_file_lists/`, or above `train_set/` and
            `val_set/`.
        label_order: names of the label numbers 0, 1, 2, ... if they are not AffectNet's own.

    Raises:
        DataError: a header without its columns, or no usable face.
    """
    listed = _Listed()
    for place, side in _lists(path):
        _read_list(place, _images_of(path), side, listed)
    if not listed.crops:
        for place, side in _sets(path):
            _read_set(place, side, path, listed)
    numbers = np.array([crop.label for crop in listed.crops], np.int64)
    labels, left_out = numbered_labels(numbers, label_order or AFFECTNET_ORDER, str(path))
    return dataset_of_crops(
        [
            replace(crop, label=label)
            for crop, label in zip(listed.crops, labels.tolist(), strict=True)
        ],
        name="affectnet",
        source=path,
        licence=LICENCE,
        notes=(*left_out, *_defects(listed)),
        expected=f"AffectNet holds {FORM.holds}. {WHERE}",
    )


def _lists(root: Path) -> Iterator[tuple[Path, Side]]:
    """The lists of 2017; those beside the folder of images have to show their header."""
    folders = [root / name for name in _LIST_FOLDERS if (root / name).is_dir()]
    for name, side in _LISTS:
        for place in (folder / name for folder in folders):
            if place.is_file():
                yield place, side
        if not folders and _starts_with_header(root / name):
            yield root / name, side


def _starts_with_header(place: Path) -> bool:
    if not place.is_file():
        return False
    with place.open(encoding="utf-8-sig", errors="replace") as file:
        return file.readline(200).lower().startswith(_COLUMNS[0])


def _images_of(root: Path) -> Path:
    return next((root / name for name in _IMAGE_FOLDERS if (root / name).is_dir()), root)


def _read_list(place: Path, images: Path, side: Side, listed: _Listed) -> None:
    with place.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.reader(file)
        columns: Sequence[str] = _COLUMNS
        for number, cells in enumerate(rows, 1):
            if number == 1 and cells and cells[0].strip().lower() == _COLUMNS[0]:
                columns = _header(cells, place)
            elif cells:
                _read_row(dict(zip(columns, cells, strict=False)), images, side, listed, number)


def _header(cells: list[str], place: Path) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    needed = (*_COLUMNS[:5], "expression")
    if missing := [name for name in needed if name not in names]:
        raise DataError(
            f"expected the columns {', '.join(needed)} in {place}, found no "
            f"{', '.join(missing)}. Use the list that came with AffectNet. {WHERE}.",
            path=place,
        )
    return names


def _read_row(row: dict[str, str], images: Path, side: Side, listed: _Listed, number: int) -> None:
    try:
        name = row["subdirectory_filepath"].strip().replace("\\", "/")
        x, y, width, height = (float(row[column]) for column in _COLUMNS[1:5])
        label = int(row["expression"])
    except (KeyError, ValueError):
        listed.unreadable.append(f"{side} row {number}")
        return
    # A width below 0 stands for "no face here": such a box is empty, and is counted as that.
    box = (x, y, x + width, y + height)
    listed.crops.append(Crop(id=name, file=images / name, label=label, side=side, box_xyxy=box))


def _sets(root: Path) -> Iterator[tuple[Path, Side]]:
    for name, side in _SETS:
        if (root / name / "annotations").is_dir() and (root / name / "images").is_dir():
            yield root / name, side


def _read_set(folder: Path, side: Side, root: Path, listed: _Listed) -> None:
    images = {file.stem: file for file in (folder / "images").iterdir() if file.name[0] != "."}
    for name, file in sorted(images.items(), key=_by_number):
        place = folder / "annotations" / f"{name}_exp.npy"
        short = place.relative_to(root).as_posix()
        identity = file.relative_to(root).as_posix()
        if not place.is_file():
            listed.unlabelled.append(identity)
            continue
        data = place.read_bytes()
        if _needs_pickle(data):
            listed.pickled.append(short)
            continue
        try:
            label = _label_in(data)
        except (ValueError, MemoryError):
            listed.unreadable.append(short)
        else:
            listed.crops.append(Crop(id=identity, file=file, label=label, side=side))


def _by_number(item: tuple[str, Path]) -> tuple[int, str]:
    """10 after 9, as the images are numbered."""
    name = item[0]
    return (int(name) if name.isdecimal() else -1, name)


def _label_in(data: bytes) -> int:
    """The number in a .npy file of one text ("3") or one number.

    Raises:
        ValueError: it holds something else.
    """
    if len(data) > _LARGEST_LABEL or not re.search(rb"'shape': \((1,)?\)", data):
        raise ValueError("expected one label")
    array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return int(array.reshape(()).item())


def _needs_pickle(data: bytes) -> bool:
    """Whether a label file holds Python objects: reading those can run code."""
    return data.startswith(b"\x80") or b"'descr': '|O'" in data[:_LARGEST_LABEL]


def _defects(listed: _Listed) -> list[str]:
    kinds = (
        (listed.unreadable, "labels could not be read"),
        (listed.pickled, "label files need pickle, which can run code, and were not loaded"),
        (listed.unlabelled, "images have no label and were left out"),
    )
    return [named(len(names), names, what) for names, what in kinds if names]


FORM = Form(
    name="affectnet",
    holds="Manually_Annotated_file_lists/ and Manually_Annotated_Images/ (2017), or train_set/ "
    "and val_set/ with images/ and annotations/ (2021)",
    where=WHERE,
    recognise=lambda path: path.is_dir() and bool([*_lists(path), *_sets(path)]),
    read=read_affectnet,
)
