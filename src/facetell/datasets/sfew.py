"""SFEW 2.0: frames of films in Train/ and Val/ with capitalised class folders.

The labels of Test were never published, so that others are judged on Val. It becomes the test
side here, and `split` holds a validation side out of train by whole films.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from facetell.datasets.crops import Crop, dataset_of_crops
from facetell.datasets.decode import named
from facetell.datasets.form import Form
from facetell.datasets.found_faces import cut_to_faces
from facetell.datasets.labelling import named_labels, refuse_order
from facetell.datasets.sample import Dataset, Side

__all__ = ["FORM", "LICENCE", "WHERE", "read_sfew"]

LICENCE = "SFEW: frames of films, for non-commercial research only; do not redistribute them."
WHERE = (
    "SFEW 2.0 comes from its authors at the Australian National University after signing their "
    "licence (for non-commercial research only, no redistribution)"
)
_CLASSES = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
_SUFFIXES = (".png", ".jpg", ".jpeg")
_SIDES: tuple[tuple[str, Side], ...] = (("train", "train"), ("val", "test"))
#: Airheads_000519240_00000005.png: the film, the time in it, the number of the face.
_FRAME = re.compile(r"(?P<film>.+?)_\d{6,}_\d+\.\w+")


@dataclass(frozen=True)
class _Place:
    """A folder that holds the class folders of one side."""

    folder: Path
    side: Side
    is_aligned: bool


def read_sfew(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """The labelled frames of SFEW: aligned faces where they are, else faces found in frames.

    Args:
        path: the folder above `Train/` and `Val/`, or above `Train_Aligned_Faces/` and
            `Val_Aligned_Faces/`.
        label_order: refused, the class folders have names.

    Raises:
        DataError: no usable frame.
    """
    refuse_order(label_order, path)
    places = _chosen(_places(path))
    files = [(file, place.side) for place in places for file in _frames(place.folder)]
    labels, notes = named_labels([file.parent.name for file, _ in files], str(path))
    if len({place.is_aligned for place in places}) > 1:
        notes.append("one side holds aligned faces and the other whole frames: unpack both alike")
    unlabelled = _unlabelled(path)
    if unlabelled:
        notes.append(named(len(unlabelled), unlabelled, "images of Test have no label"))
    dataset = dataset_of_crops(
        [
            Crop(
                id=file.relative_to(path).as_posix(),
                file=file,
                label=label,
                side=side,
                subject=_film(file),
            )
            for (file, side), label in zip(files, labels.tolist(), strict=True)
        ],
        name="sfew",
        source=path,
        licence=LICENCE,
        notes=notes,
        expected=f"SFEW holds {FORM.holds}. {WHERE}",
    )
    aligned = all(place.is_aligned for place in places)
    return dataset if aligned else cut_to_faces(dataset, path)


def _places(root: Path) -> list[_Place]:
    """Train, Train/Train_Aligned_Faces, Train_Aligned_Faces, ... with a class folder in them."""
    return [
        _Place(outer, side, "aligned" in outer.name.lower())
        for folder in _folders(root)
        for begin, side in _SIDES
        if folder.name.lower().startswith(begin)
        for outer in (folder, *_folders(folder))
        if any((outer / name).is_dir() for name in _CLASSES)
    ]


def _chosen(places: list[_Place]) -> list[_Place]:
    """Of each side the aligned faces where they are, else the whole frames."""
    aligned = {place.side for place in places if place.is_aligned}
    return [place for place in places if place.is_aligned or place.side not in aligned]


def _folders(root: Path) -> list[Path]:
    return [p for p in sorted(root.iterdir()) if p.is_dir() and p.name[0] not in "._"]


def _frames(folder: Path) -> Iterator[Path]:
    for name in _CLASSES:
        if (folder / name).is_dir():
            yield from sorted(file for file in (folder / name).iterdir() if _is_image(file))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in _SUFFIXES and not file.name.startswith(".")


def _unlabelled(root: Path) -> list[str]:
    tests = [folder for folder in _folders(root) if folder.name.lower().startswith("test")]
    return [
        file.relative_to(root).as_posix()
        for folder in tests
        for file in sorted(folder.rglob("*"))
        if _is_image(file)
    ]


def _film(file: Path) -> str:
    """The film that a frame is from; a frame of another name stands for itself."""
    match = _FRAME.fullmatch(file.name)
    return match["film"] if match else file.stem


def _is_sfew(path: Path) -> bool:
    """Class folders as of SFEW, and the first images in them are named like frames."""
    if not path.is_dir():
        return False
    firsts = [next(_frames(place.folder), None) for place in _places(path)]
    return any(file is not None and _FRAME.fullmatch(file.name) for file in firsts)


FORM = Form(
    name="sfew",
    holds="Train/ and Val/ with the folders Angry to Surprise, or Train_Aligned_Faces/ and "
    "Val_Aligned_Faces/",
    where=WHERE,
    recognise=_is_sfew,
    read=read_sfew,
)
