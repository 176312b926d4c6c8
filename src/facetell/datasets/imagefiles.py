"""Image files on disk: finding them, counting what is none, and reading them as a dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.decode import as_rgb, decode, decode_all, named
from facetell.datasets.sample import Dataset, Sample, Side
from facetell.errors import DataError

__all__ = [
    "SUFFIXES", "ImageFile", "PassedOver", "first_names", "image_files", "is_hidden",
    "read_image_files",
]  # fmt: skip

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"})
_IGNORED = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_PER_FOLDER = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFile:
    """One face on disk; subject, side and votes as in `Sample`.

    Attributes:
        label: index into EMOTIONS; a negative one leaves the file out.
    """

    path: Path
    label: int
    subject: str | None = None
    side: Side | None = None
    votes: tuple[int, ...] = ()


@dataclass
class PassedOver:
    """Relative names of the files that were not read, by reason."""

    hidden: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    misnamed: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        """A sentence for each reason that there is."""
        kinds = (
            (self.hidden, "hidden files were skipped"),
            (self.others, "files are not images and were skipped"),
            (self.misnamed, "images have names of another form and were skipped"),
            (self.empty, "files are empty and were skipped"),
            (self.broken, "images could not be read"),
        )
        return [named(len(names), names, what) for names, what in kinds if names]


def image_files(folder: Path, root: Path, passed: PassedOver) -> Iterator[Path]:
    """The image files below `folder`, sorted; the other files go to `passed`."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        inner = path.relative_to(root)
        if any(map(is_hidden, inner.parts)):
            passed.hidden.append(inner.as_posix())
        elif path.suffix.lower() not in SUFFIXES:
            passed.others.append(inner.as_posix())
        elif path.stat().st_size == 0:
            passed.empty.append(inner.as_posix())
        else:
            yield path


def first_names(root: Path, *, depth: int = 4, at_most: int = 64) -> list[str]:
    """Names of the first few images in each folder, by which a form is recognised.

    Args:
        root: a file has none.
        depth: levels of folders looked into, `root` included.
        at_most: enough of them; large datasets are not listed as a whole.
    """
    names: list[str] = []
    level = [root] if root.is_dir() else []
    for _ in range(depth):
        inner: list[Path] = []
        for folder in level:
            here, folders = _first_entries(folder)
            names += here
            inner += folders
            if len(names) >= at_most:
                return names[:at_most]
        level = inner
    return names


def read_image_files(
    files: Sequence[ImageFile],
    root: Path,
    *,
    name: str,
    licence: str,
    passed: PassedOver,
    notes: Sequence[str] = (),
) -> Dataset:
    """The dataset of these files. Small grey images are held, others decoded when asked for.

    Args:
        files: those to read, in the order of the samples.
        root: what sample ids are relative to.
        name: of the dataset.
        licence: terms of the data.
        passed: what was passed over so far; the broken images are added.
        notes: further defects, told before those of `passed`.

    Raises:
        DataError: not one image can be read.
    """
    wanted = [file for file in files if file.label >= 0]
    pixels = decode_all([file.path for file in wanted])
    passed.broken += [_inner(wanted[index].path, root) for index, _ in pixels.broken]
    kept = [wanted[i] for i in pixels.kept]
    if not kept:
        raise DataError(
            f"expected images of {name} in {root}, found none that can be read. "
            f"{'; '.join([*notes, *passed.notes()]) or 'The folder is empty'}. "
            f"Known suffixes: {' '.join(sorted(SUFFIXES))}.",
            path=root,
        )
    stack = pixels.stack

    def read(index: int) -> NDArray[np.uint8]:
        return as_rgb(stack[index] if stack is not None else decode(kept[index].path))

    return Dataset(
        name=name,
        samples=tuple(_sample(file, root) for file in kept),
        read=read,
        source=str(root),
        licence=licence,
        notes=(*notes, *passed.notes()),
        stack=stack,
    )


def is_hidden(name: str) -> bool:
    """True for what file systems and archivers leave behind (.DS_Store, __MACOSX, Thumbs.db)."""
    return name.startswith(".") or name.lower() in _IGNORED


def _sample(file: ImageFile, root: Path) -> Sample:
    return Sample(
        id=_inner(file.path, root),
        label=file.label,
        side=file.side,
        subject=file.subject,
        votes=file.votes,
    )


def _first_entries(folder: Path) -> tuple[list[str], list[Path]]:
    """The first image names and all visible folders; stops early among many files."""
    names: list[str] = []
    folders: list[Path] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if entry.is_dir():
                folders.append(Path(entry.path))
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                names.append(entry.name)
                if len(names) >= _PER_FOLDER:
                    break
    return names, sorted(folders)


def _inner(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
