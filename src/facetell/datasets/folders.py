"""Folders of images, one folder per class; the Kaggle form of FER2013 among them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.fer2013 import LICENCE, WHERE
from facetell.datasets.form import Form
from facetell.datasets.imagefiles import (
    ImageFile,
    PassedOver,
    image_files,
    is_hidden,
    read_image_files,
)
from facetell.datasets.labelling import named_labels, numbered_labels, refuse_order, side_of
from facetell.datasets.sample import Dataset, Side
from facetell.errors import DataError
from facetell.labels import EMOTIONS, canonical

__all__ = ["FORM", "class_folders", "read_folders"]

_KAGGLE_NAME = re.compile(r"(Training|PublicTest|PrivateTest)_\d+")


def class_folders(root: Path) -> list[tuple[Path, Side | None]]:
    """The class folders below `root`, with the side that a folder between names."""
    found: list[tuple[Path, Side | None]] = []
    for folder in _visible_folders(root):
        side = side_of(folder.name)
        if side is None:
            found.append((folder, None))
        else:
            found += [(inner, side) for inner in _visible_folders(folder)]
    return found


def read_folders(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """The images below `path/<class>/` or `path/<train|val|test>/<class>/`.

    In the Kaggle form of FER2013 the folder test/ holds PublicTest and PrivateTest together;
    the file names tell them apart, and become validation and test again.

    Args:
        path: the folder.
        label_order: names of the class folders 0, 1, 2, ... where they are numbers; the first
            name is that of the lowest number (some sets count from 1).

    Raises:
        DataError: folders with numbers and no order, no known class, or no usable image.
    """
    passed = PassedOver()
    found = [
        (file, folder.name, side)
        for folder, side in class_folders(path)
        for file in image_files(folder, path, passed)
    ]
    labels, notes = _labels([name for _, name, _ in found], label_order, path)
    is_kaggle = all(_KAGGLE_NAME.match(file.name) for file, _, _ in found)
    files = [
        ImageFile(path=file, label=int(label), side=_kaggle_side(file) if is_kaggle else side)
        for (file, _, side), label in zip(found, labels, strict=True)
    ]
    return read_image_files(
        files,
        path,
        name="fer2013" if is_kaggle else path.name,
        licence=LICENCE if is_kaggle else "",
        passed=passed,
        notes=notes,
    )


def _visible_folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not is_hidden(path.name)]


def _kaggle_side(path: Path) -> Side | None:
    match = _KAGGLE_NAME.match(path.name)
    return side_of(match[1]) if match else None


def _labels(
    classes: list[str], order: Sequence[str] | None, root: Path
) -> tuple[NDArray[np.int64], list[str]]:
    digits = sorted({name for name in classes if name.isdigit()}, key=int)
    if not digits:
        if any(map(canonical, classes)):
            refuse_order(order, root)
            return named_labels(classes, str(root))
        raise DataError(
            f"expected class folders such as {', '.join(EMOTIONS)} below {root}, found "
            f"{', '.join(sorted(set(classes))[:8]) or 'none with images'}. Name each folder "
            f"after its emotion. {WHERE}.",
            path=root,
        )
    if order is None:
        raise DataError(
            f"the class folders {', '.join(digits)} of {root} are numbers, and their order "
            "differs between datasets (FER2013 counts from 0, RAF-DB from 1). Pass "
            "label_order= (--label-order) with the name of each number, lowest first.",
            path=root,
        )
    if len(order) < len(digits):
        raise DataError(
            f"label_order names {len(order)} classes, but {root} has the folders "
            f"{', '.join(digits)}. Give one name for each number, lowest first.",
            path=root,
        )
    first = int(digits[0])
    numbers = np.array([int(name) - first if name.isdigit() else -1 for name in classes], np.int64)
    return numbered_labels(numbers, order, str(root))


FORM = Form(
    name="folders",
    holds="<class>/*.png: folders named after emotions, also below train/, val/ and test/",
    where="your own data, or any set sorted into folders; the terms of each dataset",
    recognise=lambda path: path.is_dir(),
    read=read_folders,
)
