"""Encoded images -> pixels, one at a time or all of a dataset, with the broken ones counted."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from facetell.errors import ImageError

__all__ = ["Encoded", "Pixels", "as_rgb", "decode", "decode_all", "named", "whole_jpeg_wh"]

#: A file, its bytes, or pixels that were never encoded: (H, W) or (H, W, 3) uint8.
Encoded = Path | bytes | NDArray[np.uint8]

#: Datasets of faces up to this side are held in memory.
STACK_PX = 96
STACK_BYTES = 1 << 30
_CHUNK = 512
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_TAIL = 64  # bytes; some writers leave a few behind the end marker
_TURNING = {"exif", "xmp"}  # where a turn is written, by the keys of Pillow's image.info
_STARTS: tuple[tuple[bytes, tuple[str, ...]], ...] = (
    (_JPEG_START, ("JPEG",)),
    (b"\x89PNG", ("PNG",)),
    (b"RIFF", ("WEBP",)),
)
_OTHERS = ("BMP", "GIF", "TIFF", "PPM")


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """What became of a dataset's images.

    Attributes:
        kept: (N,) indices of the images that could be read, ascending.
        broken: (index, reason) of the others.
        stack: (N, S, S) grey uint8 of the kept images, None unless they are all grey,
            square, of one size and small.
    """

    kept: NDArray[np.int64]
    broken: tuple[tuple[int, str], ...]
    stack: NDArray[np.uint8] | None


def decode(source: Encoded) -> NDArray[np.uint8]:
    """The pixels of one image, upright: (H, W) if it is stored grey, else RGB (H, W, 3).

    Transparent parts become white: drawn characters (FERG) come with empty backgrounds.

    Raises:
        ImageError: it is empty, truncated or no image.
    """
    if isinstance(source, np.ndarray):
        return source
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
        with Image.open(io.BytesIO(data), formats=_formats(data)) as upright:
            ImageOps.exif_transpose(upright, in_place=True)
            if upright.mode in ("L", "1"):
                return np.asarray(upright.convert("L"))
            if upright.has_transparency_data:
                front = upright.convert("RGBA")
                white = Image.new("RGBA", front.size, "white")
                return np.asarray(Image.alpha_composite(white, front).convert("RGB"))
            return np.asarray(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        name = str(source) if isinstance(source, Path) else f"{len(source)} bytes"
        raise ImageError(
            f"expected an image, got {name} that cannot be decoded ({error}). "
            "Open the file in an image viewer; replace or delete it if it is broken.",
            source=name,
        ) from error


def as_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3) -> RGB (H, W, 3)."""
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def decode_all(sources: Sequence[Encoded]) -> Pixels:
    """Look at every image once: which of them can be read, and the small grey ones' pixels.

    Large images are let go at once, in the thread that decoded them, so that a chunk of photos
    never lies in memory; a large JPEG that is whole is not decoded at all.
    """
    stack = _GreyStack(len(sources))
    broken: list[tuple[int, str]] = []
    kept: list[int] = []
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(sources), _CHUNK):
            chunk = sources[start : start + _CHUNK]
            for index, plane in enumerate(pool.map(_try_decode, chunk), start):
                if isinstance(plane, str):
                    broken.append((index, plane))
                else:
                    kept.append(index)
                    stack.add(plane)
    return Pixels(kept=np.array(kept, np.int64), broken=tuple(broken), stack=stack.filled())


def whole_jpeg_wh(data: bytes) -> tuple[int, int] | None:
    """Width and height of an upright JPEG with its end marker; None for any other image.

    It is not decoded for that, as a decoder would hardly find more fault with it: 0.06 ms
    instead of 1.35 for one of 425 px, or half a minute instead of nine for 400,000 of them.
    """
    if not data.startswith(_JPEG_START) or _JPEG_END not in data[-_JPEG_TAIL:]:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return None if _TURNING & image.info.keys() else image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def named(count: int, names: Sequence[str], what: str) -> str:
    """A note: how many, what, and the first names.

    >>> named(2, ["a.png", "b.png"], "files are empty")
    '2 files are empty: a.png, b.png'
    """
    shown = ", ".join(names[:5]) + (", ..." if count > 5 else "")
    return f"{count} {what}: {shown}"


def _formats(data: bytes) -> tuple[str, ...]:
    """Pillow tries its formats one after another; naming the one saves half the time."""
    return next((kinds for start, kinds in _STARTS if data.startswith(start)), _OTHERS)


def _try_decode(source: Encoded) -> NDArray[np.uint8] | str | None:
    """The grey plane of a small image, None for another image, or why there is none."""
    try:
        return None if _is_large_jpeg(source) else _small_plane(decode(source))
    except ImageError as error:
        return str(error)


def _is_large_jpeg(source: Encoded) -> bool:
    """Whether it is a whole JPEG too large to be held; what cannot be opened is left to decode."""
    if isinstance(source, np.ndarray):
        return False
    try:
        size_wh = whole_jpeg_wh(source if isinstance(source, bytes) else source.read_bytes())
    except OSError:
        return False
    return size_wh is not None and max(size_wh) > STACK_PX


class _GreyStack:
    """Grows while every image is small and grey, and of the first one's size."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows: NDArray[np.uint8] | None = None
        self.count = 0
        self.fits = True

    def add(self, plane: NDArray[np.uint8] | None) -> None:
        if not self.fits:
            return
        if plane is None or not self._takes(plane):
            self.fits, self.rows = False, None
            return
        if self.rows is None:
            self.rows = np.empty((self.capacity, *plane.shape), np.uint8)
        self.rows[self.count] = plane
        self.count += 1

    def _takes(self, plane: NDArray[np.uint8]) -> bool:
        if self.rows is not None:
            return plane.shape == self.rows.shape[1:]
        return self.capacity * plane.size <= STACK_BYTES

    def filled(self) -> NDArray[np.uint8] | None:
        return None if self.rows is None else self.rows[: self.count]


def _small_plane(pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    height, width = pixels.shape[:2]
    return _grey_plane(pixels) if height == width <= STACK_PX else None


def _grey_plane(pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    if pixels.ndim == 2:
        return pixels
    first = pixels[..., 0]
    is_grey = np.array_equal(first, pixels[..., 1]) and np.array_equal(first, pixels[..., 2])
    return first if is_grey else None
