"""A path, bytes or an array -> RGB uint8 (H, W, 3), or one clear ImageError."""

from __future__ import annotations

import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from facetell.errors import ImageError, require

__all__ = ["MAX_PIXELS", "SUFFIXES", "find_images", "read_image"]

#: Default bound on an image's size, pixels.
MAX_PIXELS = 100_000_000

#: What a folder is searched for; files named one by one may end as they like.
SUFFIXES = (
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm",
    ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip

# What `facetell read` itself writes: copies (--annotate) and explanations (--explain).
_WRITTEN = re.compile(
    rf"\.faces\.jpg$|({'|'.join(map(re.escape, SUFFIXES))}|\.\d+s)\.face\d+\.png$", re.IGNORECASE
)

# Photo formats only: Pillow's EPS reader, for one, starts an outside program.
_FORMATS = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "PPM", "TIFF", "AVIF", "JPEG2000", "ICO", "TGA",
)  # fmt: skip
_EXPECTED = "expected a photo (JPEG, PNG, WebP, AVIF, HEIC, TIFF, GIF, BMP)"
_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_METADATA = {"exif", "xmp", "Raw profile type exif", "XML:com.adobe.xmp"}  # keys of image.info
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
# warnings.catch_warnings swaps process-wide state, so two threads must not be in it at once.
_SILENCE = threading.Lock()

Source = str | Path | bytes | NDArray[np.uint8]


def read_image(
    source: Source, *, max_pixels: int = MAX_PIXELS, max_bytes: int = 256 * 2**20
) -> NDArray[np.uint8]:
    """An image as RGB, upright, 8 bits a channel, transparency laid on white.

    Animated images give their first frame. 16-bit grey is divided by 257; 32-bit and float
    grey is scaled by the smallest usual range (1, 255, 65535, else its own) that holds it.

    Args:
        source: a path, the bytes of an image file, or a uint8 array of shape
            (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.
        max_pixels: larger images are refused by their header, before decoding. Pillow's own
            limit (179 million, unless the program changed it) stays in force above it.
        max_bytes: larger files are refused unread.

    Returns:
        (H, W, 3) uint8, C-contiguous. An RGB array comes back unchanged, not copied.

    Raises:
        ImageError: missing, empty, broken, truncated, too large, or not an image.
        MissingExtra: a HEIC file without the `heic` extra.

    Example:
        >>> read_image(np.zeros((2, 3), np.uint8)).shape
        (2, 3, 3)
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, data = "image", bytes(source)
        if len(data) > max_bytes:
            _refuse_bytes(name, len(data), max_bytes)
    elif isinstance(source, (str, Path)):
        name, data = str(source), _read_bytes(Path(source), max_bytes)
    else:
        raise ImageError(
            "image must be a path, bytes or a uint8 array, "
            f"got {type(source).__name__}. Pass a path, or the bytes of the file.",
            actual=type(source).__name__,
        )
    if not data:
        raise ImageError(f"{name}: {_EXPECTED}, got 0 bytes. Copy the file again.", path=name)
    return _decode(data, name, max_pixels)


def find_images(paths: Iterable[str | Path]) -> Iterator[Path]:
    """Files as given; folders searched all the way down, images only (by suffix), sorted.

    Hidden files and folders inside a folder are passed over, and so are links to folders, and what
    `facetell read` wrote there (`NAME.jpg.faces.jpg`, `NAME.jpg.face1.png`). A folder that cannot
    be listed is given as it is, so that reading it fails like that of a broken file.
    """
    for path in map(Path, paths):
        if os.path.isdir(path):  # of a folder that cannot be searched Path.is_dir raises an error
            yield from _images_under(path)
        else:
            yield path


def _images_under(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        yield folder  # who reads it is told why it cannot be
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if not entry.is_symlink():  # a link may lead back up
                yield from _images_under(entry)
        elif entry.suffix.lower() in SUFFIXES and not _WRITTEN.search(entry.name):
            yield entry


def _read_bytes(path: Path, max_bytes: int) -> bytes:
    try:
        about = path.stat()
        _check_is_file(path, about.st_mode)
        if about.st_size > max_bytes:
            _refuse_bytes(str(path), about.st_size, max_bytes)
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(
            f"{path}: {_EXPECTED}, got no such file. Check the path.", path=str(path)
        ) from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise ImageError(
            f"{path}: {_EXPECTED}, but the file cannot be read ({reason}). "
            "Check the path and its permissions.",
            path=str(path),
        ) from error


def _check_is_file(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise ImageError(
            f"{path}: {_EXPECTED}, got a folder. Name a file in it, or use read_many().",
            path=str(path),
        )
    if not stat.S_ISREG(mode):
        raise ImageError(
            f"{path}: {_EXPECTED}, got something that is not a regular file. "
            "Save the image as a file first.",
            path=str(path),
        )


def _refuse_bytes(name: str, size: int, max_bytes: int) -> NoReturn:
    raise ImageError(
        f"{name}: expected at most {max_bytes:,} bytes, got {size:,}. "
        "Save the image smaller, or raise max_bytes.",
        path=name,
        expected=max_bytes,
        actual=size,
    )


def _refuse_pixels(name: str, got: str, max_pixels: int) -> NoReturn:
    raise ImageError(
        f"{name}: expected at most {max_pixels:,} pixels, got {got}. "
        "Make the image smaller, or raise max_pixels.",
        path=name,
        expected=max_pixels,
        actual=got,
    )


def _decode(data: bytes, name: str, max_pixels: int) -> NDArray[np.uint8]:
    try:
        with _silence():
            image = _open(data, name)
        with image:
            width, height = image.size
            if width * height > max_pixels:
                _refuse_pixels(name, f"{width} x {height}", max_pixels)
            with _silence() if image.format == "TIFF" else nullcontext():
                image.load()
            return _to_rgb(_upright(image))
    except (ImageError, ImportError):
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name}: {_EXPECTED}, got {len(data):,} bytes that are none of these. "
            "Check that the file is an image and was copied whole.",
            path=name,
        ) from error
    except Image.DecompressionBombError:
        _refuse_pixels(name, "more than Pillow's own limit", max_pixels)
    # Decoders raise anything on bad bytes: OSError, SyntaxError, struct.error, ValueError, ...
    except Exception as error:
        raise ImageError(
            f"{name}: {_EXPECTED}, got a broken or truncated file "
            f"({str(error).strip() or type(error).__name__}). Copy the file again.",
            path=name,
        ) from error


def _open(data: bytes, name: str) -> Image.Image:
    if not _is_heif(data):
        return Image.open(io.BytesIO(data), formats=_FORMATS)
    heif = require("pillow_heif", extra="heic", purpose=f"reading HEIC ({name})")
    # Not register_heif_opener(): that would change Pillow for the whole process.
    opened = heif.HeifImageFile(io.BytesIO(data))
    assert isinstance(opened, Image.Image)
    return opened


def _is_heif(data: bytes) -> bool:
    """Whether an ISO base media file (`ftyp` box) declares HEVC images and not AVIF ones."""
    if data[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(data[:4], "big"), len(data), 256)
    brands = {data[8:12], *(data[i : i + 4] for i in range(16, end, 4))}
    return bool(brands & _HEIF_BRANDS) and not brands & {b"avif", b"avis"}


@contextmanager
def _silence() -> Iterator[None]:
    """Pillow's warnings (sizes, odd metadata) are ours to judge, not the user's to read."""
    with _SILENCE, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _upright(image: Image.Image) -> Image.Image:
    if image.format in ("JPEG", "PNG") and not _METADATA & image.info.keys():
        return image  # a third of the time of a small face crop is saved by not asking
    with _silence():
        try:
            turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
        except Exception:  # broken EXIF beside good pixels: read them as they lie
            turn = None
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_array(_to_8_bit(np.asarray(image)))
    if image.has_transparency_data:
        image = _on_white(image.convert("RGBA"))
    elif image.mode != "RGB":
        image = image.convert("RGB")
    return np.array(image, np.uint8)


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _to_8_bit(grey: NDArray[np.generic]) -> NDArray[np.uint8]:
    """(H, W) uint16, int32 or float32 -> (H, W) uint8."""
    if grey.dtype.kind == "u":
        return ((grey.astype(np.uint32) + 128) // 257).astype(np.uint8)
    values = np.nan_to_num(grey.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    tops = (1.0, 255.0, 65535.0) if grey.dtype.kind == "f" else (255.0, 65535.0)
    fitting = [top for top in tops if low >= 0 and high <= top]
    if fitting:
        low, high = 0.0, fitting[0]
    return np.rint((values - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)


def _from_array(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    fits = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))
    if image.dtype != np.uint8 or not fits or not image.size:
        raise ImageError(
            "an image array must be uint8 of shape (H, W), (H, W, 3) or (H, W, 4), none of them "
            f"0, got {image.dtype} of shape {image.shape}. "
            "Scale floats to 0-255, put channels last, then convert with .astype(np.uint8).",
            actual=(str(image.dtype), image.shape),
        )
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    if image.shape[2] == 4:
        return np.array(_on_white(Image.fromarray(np.ascontiguousarray(image))), np.uint8)
    return np.ascontiguousarray(image)
