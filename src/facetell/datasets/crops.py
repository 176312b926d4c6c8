"""Labelled image files, whole or a box of each, as a dataset that decodes on demand."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.decode import (
    STACK_BYTES,
    as_rgb,
    decode,
    decode_all,
    named,
    whole_jpeg_wh,
)
from facetell.datasets.sample import Dataset, Sample, Side
from facetell.errors import DataError, ImageError

__all__ = ["Box", "Crop", "dataset_of_crops", "usable_crops"]

#: x1, y1, x2, y2 in pixels of the image, the second corner exclusive.
Box = tuple[float, float, float, float]

_CHUNK = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Crop:
    """One labelled face in an image file.

    Attributes:
        id: what the source calls it; one that comes again is numbered.
        file: the image, which may hold other faces too.
        label: index into EMOTIONS; -1 for another emotion, which is left out.
        side: the dataset's own split, None where it has none.
        subject: what must share a side, None where unknown.
        box_xyxy: where the face is; None for the whole image.
    """

    id: str
    file: Path
    label: int
    side: Side | None = None
    subject: str | None = None
    box_xyxy: Box | None = None


def dataset_of_crops(
    crops: Iterable[Crop],
    *,
    name: str,
    source: Path,
    licence: str,
    notes: Sequence[str] = (),
    expected: str,
) -> Dataset:
    """The crops that can be read, in the given order; the others are counted in a note.

    Images are decoded when a face is read, and cropped to their box. Only small grey images
    of one size are held in memory, up to a gigabyte of them.

    Args:
        crops: what the dataset lists.
        name: of the dataset.
        source: what the user named.
        licence: terms of the data, one sentence.
        notes: defects met before.
        expected: what the data hold and where to get them, for the error.

    Raises:
        DataError: not one crop can be read.
    """
    usable, defects = usable_crops(crops)
    if not usable:
        found = f" ({'; '.join((*notes, *defects))})" if notes or defects else ""
        raise DataError(
            f"expected labelled faces in {source}, found none that can be read{found}. {expected}.",
            path=source,
        )
    stack = _stack(usable)

    def read(index: int) -> NDArray[np.uint8]:
        return as_rgb(stack[index]) if stack is not None else _pixels(usable[index])

    return Dataset(
        name=name,
        samples=tuple(
            Sample(id=name, label=crop.label, side=crop.side, subject=crop.subject)
            for name, crop in zip(_unique(usable), usable, strict=True)
        ),
        read=read,
        source=str(source),
        licence=licence,
        notes=(*notes, *defects),
        stack=stack,
    )


def usable_crops(crops: Iterable[Crop]) -> tuple[list[Crop], list[str]]:
    """The crops of known labels whose file is whole and whose box holds pixels, and notes.

    Boxes come back clipped to their image, in whole pixels.
    """
    wanted = [crop for crop in crops if crop.label >= 0]
    sizes = _sizes_wh(wanted)
    usable: list[Crop] = []
    missing: list[str] = []
    broken: list[str] = []
    empty: list[str] = []
    for crop in wanted:
        size_wh = sizes[crop.file]
        if size_wh is None:
            (broken if crop.file.is_file() else missing).append(crop.id)
        elif crop.box_xyxy is None:
            usable.append(crop)
        elif (box := _clipped(crop.box_xyxy, size_wh)) is None:
            empty.append(crop.id)
        else:
            usable.append(replace(crop, box_xyxy=box))
    kinds = (
        (missing, "listed images are not there"),
        (broken, "images could not be read"),
        (empty, "faces have a box without pixels and were left out"),
    )
    return usable, [named(len(ids), ids, what) for ids, what in kinds if ids]


def _unique(crops: Sequence[Crop]) -> list[str]:
    """The ids; from the second time on with a number: a.jpg, a.jpg#2."""
    seen: Counter[str] = Counter()
    names = []
    for crop in crops:
        seen[crop.id] += 1
        names.append(crop.id if seen[crop.id] == 1 else f"{crop.id}#{seen[crop.id]}")
    return names


def _clipped(box: Box, size_wh: tuple[int, int]) -> Box | None:
    """The box in whole pixels inside the image; None if nothing is left of it."""
    if not all(map(math.isfinite, box)):
        return None
    x1, y1 = (max(0, math.floor(value)) for value in box[:2])
    x2, y2 = (min(most, math.ceil(value)) for value, most in zip(box[2:], size_wh, strict=True))
    # The given corners are compared too: rounding outwards would give an empty box a pixel.
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 and box[2] > box[0] and box[3] > box[1] else None


def _pixels(crop: Crop) -> NDArray[np.uint8]:
    """RGB uint8 (H, W, 3)."""
    image = as_rgb(decode(crop.file))
    if crop.box_xyxy is None:
        return image
    x1, y1, x2, y2 = map(int, crop.box_xyxy)
    return image[y1:y2, x1:x2].copy()  # not a view, which would keep the whole image


def _sizes_wh(crops: Sequence[Crop]) -> dict[Path, tuple[int, int] | None]:
    """Width and height of every file, each opened once; None for what is broken or missing."""
    files = list(dict.fromkeys(crop.file for crop in crops))
    sizes: dict[Path, tuple[int, int] | None] = {}
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(files), _CHUNK):
            chunk = files[start : start + _CHUNK]
            sizes.update(zip(chunk, pool.map(_size_wh, chunk), strict=True))
    return sizes


def _size_wh(file: Path) -> tuple[int, int] | None:
    """Width and height of an image that is whole, else None."""
    try:
        if not file.is_file():  # a list may name a device, whose bytes never end
            return None
        data = file.read_bytes()
        if size_wh := whole_jpeg_wh(data):
            return size_wh
        height, width = decode(data).shape[:2]
    except (OSError, ValueError, ImageError):
        return None
    return width, height


def _stack(crops: Sequence[Crop]) -> NDArray[np.uint8] | None:
    """(N, S, S) grey pixels where whole images are small and grey, else None."""
    if any(crop.box_xyxy is not None for crop in crops):
        return None
    files = [crop.file for crop in crops]
    first = decode_all(files[:1]).stack
    if first is None or first.nbytes * len(files) > STACK_BYTES:
        return None
    pixels = decode_all(files)
    return pixels.stack if len(pixels.kept) == len(files) else None
