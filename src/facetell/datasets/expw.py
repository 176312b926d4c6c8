"""ExpW: one list of faces in photos, several faces a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from facetell.datasets.crops import Crop, dataset_of_crops
from facetell.datasets.decode import named
from facetell.datasets.form import Form
from facetell.datasets.labelling import numbered_labels
from facetell.datasets.sample import Dataset
from facetell.labels import EMOTIONS

__all__ = ["FORM", "LICENCE", "WHERE", "read_expw"]

LICENCE = "ExpW: for non-commercial research only; do not redistribute the images."
WHERE = (
    "ExpW (Expression in-the-Wild) comes from its authors "
    "(mmlab.ie.cuhk.edu.hk/projects/socialrelation; for non-commercial research only, no "
    "redistribution)"
)
_LISTS = ("label/label.lst", "label.lst")
_IMAGE_FOLDERS = ("image/origin", "image", "origin")


def read_expw(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """The faces of ExpW, cut out of their photos; there are no sides.

    Faces of one photo share a subject, so that no protocol puts them on two sides.

    Args:
        path: the folder above `label/label.lst` and `image/origin/`.
        label_order: names of the label numbers 0, 1, 2, ... if they are not ExpW's own, which
            are those of FER2013.

    Raises:
        DataError: no usable face.
    """
    place = next(path / name for name in _LISTS if (path / name).is_file())
    images = next((path / name for name in _IMAGE_FOLDERS if (path / name).is_dir()), path)
    crops, unreadable = _listed(place, images)
    numbers = np.array([crop.label for crop in crops], np.int64)
    labels, notes = numbered_labels(numbers, label_order or EMOTIONS, str(path))
    if unreadable:
        notes.append(named(len(unreadable), unreadable, "lines could not be read"))
    return dataset_of_crops(
        [replace(crop, label=label) for crop, label in zip(crops, labels.tolist(), strict=True)],
        name="expw",
        source=path,
        licence=LICENCE,
        notes=notes,
        expected=f"ExpW holds {FORM.holds}. {WHERE}",
    )


def _listed(place: Path, images: Path) -> tuple[list[Crop], list[str]]:
    crops: list[Crop] = []
    unreadable: list[str] = []
    with place.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                crops.append(_crop(line, images))
            except ValueError:
                unreadable.append(f"line {number}")
    return crops, unreadable


def _crop(line: str, images: Path) -> Crop:
    """A line: image name, face number, top, left, right, bottom, confidence, label.

    Top comes before left, and right before bottom: `28 113 226 141` is 113 wide and 113 high.
    """
    name, face, top, left, right, bottom, _, label = line.rsplit(maxsplit=7)
    return Crop(
        id=f"{name}:{face}",
        file=images / name,
        label=int(label),
        subject=name,
        box_xyxy=(float(left), float(top), float(right), float(bottom)),
    )


FORM = Form(
    name="expw",
    holds="label/label.lst and the photos in image/origin/",
    where=WHERE,
    recognise=lambda path: any((path / name).is_file() for name in _LISTS),
    read=read_expw,
)
