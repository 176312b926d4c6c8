"""EMOTIC's photos and the arrays derived from them -> pixels, and which files are broken."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facetell.errors import ImageError

__all__ = ["Array", "array_pixels", "broken_arrays", "measured", "stored_pixels"]

#: EMOTIC's photos are of this kind.
_FORMATS = ("JPEG", "PNG")
_SMALL = (64, 64)  # a JPEG is decoded at an eighth of its size, which finds the broken ones too


@dataclass(frozen=True, kw_only=True, slots=True)
class Array:
    """One picture in a .npy file: the row of a stack, or all of the file where row is None."""

    path: Path
    row: int | None = None


def measured(places: dict[str, Path]) -> dict[str, tuple[int, int] | str]:
    """The size of every photo that is there, or why it cannot be read."""
    there = {image: path for image, path in places.items() if path.is_file()}
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return dict(zip(there, pool.map(_size_or_reason, there.values()), strict=True))


def _size_or_reason(path: Path) -> tuple[int, int] | str:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            size = image.size
            image.draft("RGB", _SMALL)
            image.load()
        return size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return str(error)


def broken_arrays(paths: Iterable[Path]) -> set[Path]:
    """The .npy files that are cut off or hold no numbers; only their heads are read."""
    broken = set()
    for path in set(paths):
        try:
            np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            broken.add(path)
    return broken


def stored_pixels(path: Path) -> NDArray[np.uint8]:
    """A photo as RGB (H, W, 3), as it lies in the file.

    The EXIF orientation is passed over: boxes of COCO and EMOTIC belong to the stored pixels.

    Raises:
        ImageError: the file is missing, broken or no photo.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(
            f"expected a photo of EMOTIC, got {path} that cannot be decoded ({error}). "
            "Unpack the archive again.",
            path=path,
        ) from error


def array_pixels(array: Array) -> NDArray[np.uint8]:
    """(H, W, 3) of a .npy file; a stack is mapped, so that only one picture is read."""
    try:
        stored = np.load(array.path, mmap_mode="r", allow_pickle=False)
        pixels = stored if array.row is None else stored[array.row]
    except (OSError, ValueError, IndexError, EOFError) as error:
        raise ImageError(
            f"expected a picture in {array.path}, which cannot be read ({error}). "
            "Unpack the archive again.",
            path=array.path,
        ) from error
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ImageError(
            f"expected RGB uint8 pixels of shape (H, W, 3) in {array.path}, got {pixels.dtype} of "
            f"shape {pixels.shape}. Make the arrays again from the photos.",
            path=array.path,
        )
    return np.array(pixels, np.uint8)
