"""RAF-DB (basic): the official list, the Kaggle folders 1 to 7, and train/valid with a list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from facetell.datasets.crops import Crop, dataset_of_crops
from facetell.datasets.decode import named
from facetell.datasets.form import Form
from facetell.datasets.labelling import numbered_labels
from facetell.datasets.sample import Dataset, Side

__all__ = ["FORM", "LICENCE", "RAF_ORDER", "WHERE", "read_rafdb"]

LICENCE = "RAF-DB: for non-commercial research only; do not redistribute the images."
WHERE = (
    "RAF-DB comes from its authors on request by e-mail (whdeng.cn/RAF/model1.html, the basic "
    "part; for non-commercial research only, no redistribution)"
)
#: The names of the label numbers 1 to 7.
RAF_ORDER = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")

_LIST = "list_patition_label.txt"  # its own spelling
_CSVS = ("train_labels.csv", "test_labels.csv")
_IMAGE = re.compile(r"((train|test)_\d+)(_aligned)?\.(jpe?g|png)", re.IGNORECASE)
_CLASSES = tuple("1234567")
_ROOTS = ("", "basic", "DATASET")


@dataclass
class _Found:
    """Label numbers and files by the name that the list uses, less its suffix: train_00001."""

    listed: dict[str, int] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    conflicting: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)


def read_rafdb(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """The basic part of RAF-DB. Aligned faces are taken where they are, else the original photos.

    The side is in the file names (`train_00001.jpg`, `test_0001.jpg`) and not in the folders:
    one form calls the test side `valid`. There is no validation side; `split` holds one out.

    Args:
        path: the folder above `EmoLabel/`, or above `train/` and `test/` with the folders 1 to 7.
        label_order: names of the label numbers 1, 2, 3, ... if they are not RAF-DB's own.

    Raises:
        DataError: no usable image.
    """
    found = _find(path)
    numbers = _numbers(found)
    values = np.array(list(numbers.values()), np.int64)
    labels, left_out = numbered_labels(values - 1, label_order or RAF_ORDER, str(path))
    files = [found.files.get(name, path / f"{name}.jpg") for name in numbers]
    crops = [
        Crop(id=file.relative_to(path).as_posix(), file=file, label=label, side=_side(name))
        for name, file, label in zip(numbers, files, labels.tolist(), strict=True)
    ]
    return dataset_of_crops(
        crops,
        name="raf-db",
        source=path,
        licence=LICENCE,
        notes=(*left_out, *_defects(found)),
        expected=f"RAF-DB holds {FORM.holds}. {WHERE}",
    )


def _find(root: Path) -> _Found:
    found = _Found()
    for place in _lists(root):
        _read_list(place, found)
    files = [file for file in sorted(root.rglob("*")) if _name(file) and not _hidden(file, root)]
    files.sort(key=lambda file: "_aligned" not in file.name)  # stable: aligned ones first
    for file in files:
        found.files.setdefault(_name(file), file)
    return found


def _numbers(found: _Found) -> dict[str, int]:
    """The label number of every listed image, or of the folder that holds it."""
    numbers = dict(found.listed)
    for name, file in sorted(found.files.items()):
        folder = int(file.parent.name) if file.parent.name in _CLASSES else None
        if folder is None:
            if name not in numbers:
                found.unlabelled.append(file.name)
        elif numbers.setdefault(name, folder) != folder:
            found.conflicting.append(file.name)
            del numbers[name]
    return numbers


def _lists(root: Path) -> Iterator[Path]:
    """The official list and the Kaggle CSV files, wherever they usually are."""
    for base in _ROOTS:
        for name in (f"EmoLabel/{_LIST}", _LIST, *_CSVS):
            if (root / base / name).is_file():
                yield root / base / name


def _read_list(place: Path, found: _Found) -> None:
    """Lines such as `train_00001.jpg 5` or `train_00001_aligned.jpg,5`."""
    lines = place.read_text("utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines):
        cells = line.replace(",", " ").split()
        if not cells or (number == 0 and cells == ["image", "label"]):
            continue
        name = _name(Path(cells[0]))
        if len(cells) == 2 and name and cells[1] in _CLASSES:
            found.listed.setdefault(name, int(cells[1]))
        else:
            found.unreadable.append(f"{place.name} line {number + 1}")


def _name(file: Path) -> str:
    match = _IMAGE.fullmatch(file.name)
    return match[1].lower() if match else ""


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in file.relative_to(root).parts)


def _side(name: str) -> Side:
    return "train" if name.startswith("train") else "test"


def _defects(found: _Found) -> list[str]:
    kinds = (
        (found.unreadable, "lines of the lists could not be read"),
        (found.conflicting, "images have another label in the list than by their folder"),
        (found.unlabelled, "images have no label and were left out"),
        (
            [name for name, file in found.files.items() if "original" in file.parts[-3:-1]],
            "images are whole photos and not aligned faces",
        ),
    )
    return [named(len(names), names, what) for names, what in kinds if names]


def _is_rafdb(path: Path) -> bool:
    if not path.is_dir():
        return False
    if any(place.name == _LIST for place in _lists(path)):
        return True
    sides = [path / base / side for base in ("", "DATASET") for side in ("", "train", "test")]
    return any(_holds_faces(side / number) for side in sides for number in _CLASSES)


def _holds_faces(folder: Path) -> bool:
    """Whether the first files of a folder are named like RAF-DB's."""
    return folder.is_dir() and any(_name(file) for file in islice(folder.iterdir(), 20))


FORM = Form(
    name="raf-db",
    holds="EmoLabel/list_patition_label.txt and Image/aligned/ or Image/original/; or "
    "train/ and test/ with the folders 1 to 7 (Kaggle's DATASET); or the list, train/ and valid/",
    where=WHERE,
    recognise=_is_rafdb,
    read=read_rafdb,
)
