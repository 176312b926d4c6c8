"""Folders of images, one folder per class; the Kaggle form of FER2013 among them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.decode import as_rgb, decode, decode_all, named
from facetell.datasets.fer2013 import LICENCE, WHERE
from facetell.datasets.form import Form
from facetell.datasets.labelling import named_labels, numbered_labels, side_of
from facetell.datasets.sample import Dataset, Sample, Side
from facetell.errors import DataError
from facetell.labels import EMOTIONS, canonical

__all__ = ["FORM", "class_folders", "read_folders"]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"})
_IGNORED = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_KAGGLE_NAME = re.compile(r"(Training|PublicTest|PrivateTest)_\d+")


@dataclass
class _Found:
    """The files below the class folders and what was passed over."""

    files: list[Path] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    sides: list[Side | None] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


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
    found = _walk(path)
    labels, notes = _labels(found.classes, label_order, path)
    pixels = decode_all(found.files)
    usable = labels[pixels.kept] >= 0
    keep = pixels.kept[usable]
    if not len(keep):
        raise DataError(
            f"expected images in the class folders of {path}, found none that can be read. "
            f"Known suffixes: {' '.join(sorted(SUFFIXES))}.",
            path=path,
        )
    broken = [_relative(found.files[index], path) for index, _ in pixels.broken]
    files = [found.files[i] for i in keep]
    is_kaggle = all(_KAGGLE_NAME.match(path.name) for path in files)
    stack = None if pixels.stack is None else pixels.stack[usable]

    def read(index: int) -> NDArray[np.uint8]:
        return as_rgb(stack[index] if stack is not None else decode(files[index]))

    return Dataset(
        name="fer2013" if is_kaggle else path.name,
        samples=tuple(
            Sample(
                id=_relative(found.files[i], path),
                label=int(labels[i]),
                side=_kaggle_side(found.files[i]) if is_kaggle else found.sides[i],
            )
            for i in keep
        ),
        read=read,
        source=str(path),
        licence=LICENCE if is_kaggle else "",
        notes=(*notes, *_defects(found, broken)),
        stack=stack,
    )


def _walk(root: Path) -> _Found:
    found = _Found()
    for folder, side in class_folders(root):
        for path in _files_below(folder, found, root):
            found.files.append(path)
            found.classes.append(folder.name)
            found.sides.append(side)
    return found


def _files_below(folder: Path, found: _Found, root: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        name = _relative(path, root)
        if any(_is_hidden(part) for part in path.relative_to(root).parts):
            found.hidden.append(name)
        elif path.suffix.lower() not in SUFFIXES:
            found.others.append(name)
        elif path.stat().st_size == 0:
            found.empty.append(name)
        else:
            yield path


def _visible_folders(folder: Path) -> list[Path]:
    return [
        path for path in sorted(folder.iterdir()) if path.is_dir() and not _is_hidden(path.name)
    ]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _IGNORED


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _kaggle_side(path: Path) -> Side | None:
    match = _KAGGLE_NAME.match(path.name)
    return side_of(match[1]) if match else None


def _labels(
    classes: list[str], order: Sequence[str] | None, root: Path
) -> tuple[NDArray[np.int64], list[str]]:
    digits = sorted({name for name in classes if name.isdigit()}, key=int)
    if not digits:
        if any(map(canonical, classes)):
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


def _defects(found: _Found, broken: list[str]) -> list[str]:
    kinds = (
        (found.hidden, "hidden files were skipped"),
        (found.others, "files are not images and were skipped"),
        (found.empty, "files are empty and were skipped"),
        (broken, "images could not be read"),
    )
    return [named(len(names), names, what) for names, what in kinds if names]


FORM = Form(
    name="folders",
    holds="<class>/*.png: folders named after emotions, also below train/, val/ and test/",
    where="your own data, or any set sorted into folders; the terms of each dataset",
    recognise=lambda path: path.is_dir(),
    read=read_folders,
)
