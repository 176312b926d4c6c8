"""Miniature EMOTICs in every form that is in circulation, written in the exact format."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facetell.datasets.emotic import CATEGORIES

CALM = (5.0, 3.0, 5.0)
KEYS = {"train": "train", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Annotated:
    """One person as it is to be written: one entry of `seen` and `vads` per annotator."""

    filename: str
    seen: tuple[tuple[str, ...], ...]
    side: str = "train"
    vads: tuple[tuple[float, float, float], ...] = (CALM,)
    box: tuple[float, float, float, float] = (0, 0, 48, 48)
    folder: str = "mscoco/images"
    size_wh: tuple[int, int] = (48, 48)
    gender: str = "Female"
    age: str = "Adult"

    @property
    def union(self) -> tuple[str, ...]:
        return tuple(sorted({name for names in self.seen for name in names}))

    @property
    def vad(self) -> NDArray[np.float64]:
        return np.mean(self.vads, axis=0)


def struct(items: Sequence[dict[str, Any]]) -> NDArray[Any]:
    """(1, N) MATLAB struct array."""
    out = np.empty((1, len(items)), [(name, object) for name in items[0]])
    for column, item in enumerate(items):
        out[0, column] = tuple(item.values())
    return out


def cell(names: Sequence[str]) -> NDArray[Any]:
    """(1, k) MATLAB cell of strings."""
    out = np.empty((1, len(names)), object)
    out[0, :] = list(names)
    return out


def _continuous(vad: Sequence[float]) -> dict[str, Any]:
    return dict(zip(("valence", "arousal", "dominance"), map(float, vad), strict=True))


def _person(person: Annotated) -> dict[str, Any]:
    """The five fields of train, or the seven of val and test, in their order."""
    categories = struct([{"categories": cell(names)} for names in person.seen])
    continuous = struct([_continuous(vad) for vad in person.vads])
    fields: dict[str, Any] = {"body_bbox": np.array([person.box], float)}
    if person.side == "train":
        fields |= {"annotations_categories": categories, "annotations_continuous": continuous}
    else:
        fields |= {
            "annotations_categories": categories,
            "combined_categories": cell(person.union),
            "annotations_continuous": continuous,
            "combined_continuous": struct([_continuous(person.vad)]),
        }
    return {**fields, "gender": person.gender, "age": person.age}


def write_mat(path: Path, people: Sequence[Annotated]) -> Path:
    """Annotations.mat: train, val and test, a struct array of photos with their people."""
    io = pytest.importorskip("scipy.io")
    content = {}
    for side, key in KEYS.items():
        photos: dict[tuple[str, str], list[Annotated]] = {}
        for person in people:
            if person.side == side:
                photos.setdefault((person.folder, person.filename), []).append(person)
        content[key] = struct([_photo(found) for found in photos.values()] or [{"filename": []}])
        if not photos:
            content[key] = content[key][:, :0]
    path.parent.mkdir(parents=True, exist_ok=True)
    io.savemat(path, content)
    return path


def _photo(people: list[Annotated]) -> dict[str, Any]:
    first = people[0]
    return {
        "filename": first.filename,
        "folder": first.folder,
        "image_size": struct([{"n_col": first.size_wh[0], "n_row": first.size_wh[1]}]),
        "original_database": struct([{"name": first.folder.split("/")[0], "info": ""}]),
        "person": struct([_person(person) for person in people]),
    }


def write_photos(root: Path, pixels: dict[str, NDArray[np.uint8]]) -> None:
    """Photos by folder and name; PNG inside whatever the name says, so that pixels survive."""
    for name, photo in pixels.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(root / name, "PNG")


def write_lists(
    folder: Path,
    people: Sequence[Annotated],
    bodies: dict[str, NDArray[np.uint8]] | None = None,
    *,
    numpy_2: bool = False,
) -> None:
    """train.csv, val.csv, test.csv with lists as Python text, and the .npy files beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    header = "Index,Folder,Filename,Image Size,BBox,Categorical_Labels,Continuous_Labels,Gender,Age"
    for side, key in KEYS.items():
        rows = [person for person in people if person.side == side]
        with (folder / f"{key}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header.split(","))
            for index, p in enumerate(rows):
                vad: list[Any] = [np.float64(v) if numpy_2 else float(v) for v in p.vad]
                texts = [list(p.size_wh), list(p.box), list(p.union), vad]
                writer.writerow([index, p.folder, p.filename, *texts, p.gender, p.age])
        if bodies is None or not rows:
            continue
        stack = np.stack([np.repeat(bodies[_name(p)][..., None], 3, axis=2) for p in rows])
        flags = np.array([[name in p.union for name in CATEGORIES] for p in rows], float)
        np.save(folder / f"{key}_body_arr.npy", stack)
        np.save(folder / f"{key}_cat_arr.npy", flags)
        np.save(folder / f"{key}_cont_arr.npy", np.array([p.vad for p in rows]))


def write_columns(
    root: Path, people: Sequence[Annotated], bodies: dict[str, NDArray[np.uint8]]
) -> None:
    """annots_arrs/annot_arrs_*.csv with one column per category, img_arrs/crop_arr_*.npy."""
    for folder in ("annots_arrs", "img_arrs"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    names = [name.partition("/")[0] for name in CATEGORIES]  # Doubt, as some copies write it
    box = ("X_min", "Y_min", "X_max", "Y_max")
    header = ["Filename", "Width", "Height", "Age", "Gender", *box, *names]
    header += ["Valence", "Arousal", "Dominance", "Arr_name", "Crop_name"]
    for side, key in KEYS.items():
        with (root / f"annots_arrs/annot_arrs_{key}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            for index, p in enumerate(q for q in people if q.side == side):
                crop = f"crop_arr_{key}_{index}.npy"
                body = np.repeat(bodies[_name(p)][..., None], 3, axis=2)
                np.save(root / "img_arrs" / crop, body)
                ones = [int(name in p.union) for name in CATEGORIES]
                vad = ["" if math.isnan(v) else v for v in p.vad]
                row = [p.filename, *p.size_wh, p.age, p.gender, *p.box, *ones, *vad]
                writer.writerow([*row, f"img_arr_{key}_{index}.npy", crop])


def _name(person: Annotated) -> str:
    return f"{person.folder}/{person.filename}"


#: One category for each emotion of `facetell.labels.EMOTIONS`.
ONE_EACH = ("Anger", "Aversion", "Fear", "Happiness", "Sadness", "Surprise", "Peace")


def of_faces(faces: Sequence[Any]) -> tuple[list[Annotated], dict[str, NDArray[np.uint8]]]:
    """One person who fills the photo for each of `dataset_forms.made_faces`."""
    people = [
        Annotated(f"{face.side}_{i}.jpg", ((ONE_EACH[face.label],),), face.side)
        for i, face in enumerate(faces)
    ]
    return people, {_name(p): f.pixels for p, f in zip(people, faces, strict=True)}


def official(folder: Path, faces: Sequence[Any]) -> str:
    """As the two archives of the authors unpack: everything one level deeper than it should."""
    people, photos = of_faces(faces)
    write_mat(folder / "Annotations/Annotations/Annotations.mat", people)
    write_photos(folder / "emotic/emotic", photos)
    return str(folder)


def lists(folder: Path, faces: Sequence[Any]) -> str:
    """Tables with lists beside the pixels of the bodies; no photos."""
    people, photos = of_faces(faces)
    write_lists(folder / "emotic_pre", people, photos, numpy_2=True)
    return str(folder)


def columns(folder: Path, faces: Sequence[Any]) -> str:
    """One column per category; photos only as arrays."""
    people, photos = of_faces(faces)
    write_columns(folder, people, photos)
    return str(folder)


def with_side(person: Annotated, side: str) -> Annotated:
    return replace(person, side=side)
