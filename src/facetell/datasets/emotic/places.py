"""Where EMOTIC's annotations and photos are: searched, as its archives nest in several ways."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from facetell.datasets.emotic.people import Row
from facetell.datasets.emotic.tables import is_table
from facetell.datasets.labelling import side_in_name

__all__ = ["find_annotations", "photo_finder"]

_DEPTH = 3  # emotic/Annotations/Annotations/
_UP = 3  # from the annotations to the folder that the photos' folders are in
_ORDER = ("train", "validation", "test", None)
#: Where photos are; also tried for tables that do not name the folder.
_FOLDERS = ("mscoco/images", "emodb_small/images", "framesdb/images", "ade20k/images")
#: Thousands of files and nothing to find.
_SKIPPED = frozenset({"images", "img_arrs", "__macosx"})


def find_annotations(place: Path) -> list[Path]:
    """The .mat file, or the tables of one folder; [] if there is neither.

    The release of 2017 (CVPR17_Annotations.mat) is taken only where the later one is not, or
    where `place` is that file itself.
    """
    if place.is_file():
        is_mat = place.suffix.lower() == ".mat"
        return [place] if is_mat or (place.suffix.lower() == ".csv" and is_table(place)) else []
    mats: list[Path] = []
    tables: list[list[Path]] = []
    for _, files in _folders(place):
        mats += [path for path in files if _is_mat(path)]
        found = [path for path in files if path.suffix.lower() == ".csv" and is_table(path)]
        if found:
            tables.append(sorted(found, key=lambda path: _ORDER.index(side_in_name(path.stem))))
    if mats:
        return [min(mats, key=lambda path: "cvpr" in path.name.lower())]
    return tables[0] if tables else []


def photo_finder(annotations: Path, place: Path) -> Callable[[Row], Path | None]:
    """A function from rows to their photos: searched below `place`, then above the annotations.

    A table that does not name the folders could find any photo of that name above, also one of
    other data, so its photos have to be below the folder that the user named.

    Args:
        annotations: the file that was read.
        place: what the user named.
    """
    above = list(annotations.parents)[:_UP]
    below = above if place.is_file() else [place]
    bases = above if place.is_file() else [place, *above]
    old = "cvpr" in annotations.name.lower()
    known: dict[str, Path | None] = {}

    def folder_of(folder: str, where: list[Path]) -> Path | None:
        if folder not in known:
            known[folder] = _place_of(folder, where, old)
        return known[folder]

    def locate(row: Row) -> Path | None:
        folders, where = ((row.folder,), bases) if row.folder else (_FOLDERS, below)
        places = [place / row.filename for name in folders if (place := folder_of(name, where))]
        return next((path for path in places if path.is_file()), places[0] if places else None)

    return locate


def _place_of(folder: str, bases: list[Path], old: bool) -> Path | None:
    """`folder` below the first base that has it; the 2017 photos for 2017's annotations."""
    for base in bases:
        found = [path for each, _ in _folders(base) if (path := each / folder).is_dir()]
        if found:
            return min(found, key=lambda path: ("cvpr" in path.as_posix().lower()) != old)
    return None


def _folders(place: Path) -> Iterator[tuple[Path, list[Path]]]:
    """`place` and the folders below it, nearest first, a few levels deep, each with its files."""
    waiting = deque([(place, 0)])
    while waiting:
        folder, depth = waiting.popleft()
        inner, files = _entries(folder)
        yield folder, files
        if depth < _DEPTH:
            waiting += [(path, depth + 1) for path in inner if path.name.lower() not in _SKIPPED]


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder, sorted, less the hidden ones."""
    try:
        # scandir: a folder of images may hold 300,000 files, and none of them is asked anything
        with os.scandir(folder) as entries:
            shown = sorted((e.name, e.is_dir()) for e in entries if not e.name.startswith("."))
    except OSError:  # not ours to read
        return [], []
    inner, files = ([folder / name for name, is_dir in shown if is_dir == kind] for kind in (1, 0))
    return inner, files


def _is_mat(path: Path) -> bool:
    return path.suffix.lower() == ".mat" and "annotations" in path.name.lower()
