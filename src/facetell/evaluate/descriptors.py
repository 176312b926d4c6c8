"""Features that were designed, not learned: what expression readers were built on before CNNs."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import factorial
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from facetell.errors import InputError, require

__all__ = ["KINDS", "Kind", "describe"]

Kind = Literal["hog", "lbp", "gabor", "zernike", "pixels"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Progress = Callable[[int, int], None]
#: (n, S, S) uint8 -> (n, D) float32
_Describer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

#: Cells along a side, of every kind that counts in cells: 8 px each on faces of 48 px.
_CELLS = 6
_ORIENTATIONS = 9
_PATTERNS = 59
_SCALES, _ANGLES = 5, 8
#: On 48 px faces, 49 magnitudes per window.
_ORDER = 12
_SIDES = (24, 128)
_BLOCK = 512


def describe(
    faces: NDArray[np.uint8], kind: Kind, *, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Faces as rows of numbers that say more about a face than its pixels do.

    All lengths are shares of the side S, so that D does not depend on it. A face's row depends
    on this face only.

    Args:
        faces: (N, S, S) grey uint8, S from 24 to 128 px.
        kind: `hog`: histograms of oriented gradients (9 orientations, 6 x 6 cells, blocks of
            2 x 2 cells); `lbp`: shares of the 59 uniform local binary patterns in 6 x 6 cells;
            `gabor`: magnitudes of 40 Gabor filters (5 scales, 8 orientations) at the centres of
            6 x 6 cells; `zernike`: magnitudes of the Zernike moments up to order 12 of the
            whole face and of 3 x 3 overlapping windows of half its side; `pixels`: the pixels.
            The last three are taken from the face less its mean, divided by its deviation.
        progress: called with (faces done, faces in all) after every block.

    Returns:
        (N, D) float32; D = 900, 2124, 1440, 490, S * S.

    Raises:
        InputError: an unknown kind, or faces of another dtype or shape.
        MissingExtra: scikit-image is not installed (`hog`, `lbp`, `gabor`).

    Sources: Dalal & Triggs 2005 (HOG); Ahonen et al. 2006 and Shan et al. 2009 (LBP); Lyons et
    al. 1998 (Gabor); Teague 1980 and Khotanzad & Hong 1990 (Zernike).

    Example:
        features = describe(dataset.faces(), "hog")
    """
    _check(faces, kind)
    describer = _describer(kind, faces.shape[1])
    width = describer(np.zeros((1, *faces.shape[1:]), np.uint8)).shape[1]
    out = np.empty((len(faces), width), np.float32)
    for start in range(0, len(faces), _BLOCK):
        block = faces[start : start + _BLOCK]
        out[start : start + len(block)] = describer(block)
        if progress:
            progress(start + len(block), len(faces))
    return out


def _check(faces: NDArray[np.uint8], kind: str) -> None:
    if kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}.", actual=kind)
    square = faces.ndim == 3 and faces.shape[1] == faces.shape[2]
    if faces.dtype != np.uint8 or not square or not _SIDES[0] <= faces.shape[1] <= _SIDES[1]:
        raise InputError(
            f"faces must be grey uint8 of shape (N, S, S), S from {_SIDES[0]} to {_SIDES[1]} px, "
            f"got {faces.dtype} of shape {faces.shape}. Pass dataset.faces(face_px=48).",
            actual=faces.shape,
        )


@lru_cache(maxsize=len(KINDS))
def _describer(kind: Kind, side: int) -> _Describer:
    """Kept, as a model's batches are described one after the other."""
    return _DESCRIBERS[kind](side)


def _hog(side: int) -> _Describer:
    feature = require("skimage.feature", extra="evaluate", purpose="describing faces by HOG")
    cell = side // _CELLS

    def one(face: NDArray[np.uint8]) -> NDArray[np.float64]:
        cells = feature.hog(
            face,
            orientations=_ORIENTATIONS,
            pixels_per_cell=(cell, cell),
            cells_per_block=(2, 2),
            feature_vector=False,
        )
        return np.asarray(cells[: _CELLS - 1, : _CELLS - 1]).ravel()

    return lambda faces: np.stack([one(face) for face in faces]).astype(np.float32)


def _lbp(side: int) -> _Describer:
    feature = require("skimage.feature", extra="evaluate", purpose="describing faces by LBP")
    place = np.arange(side) * _CELLS // side
    cell = place[:, None] * _CELLS + place  # (S, S)
    bins = _CELLS**2 * _PATTERNS
    sizes = np.repeat(np.bincount(cell.ravel()), _PATTERNS)

    def one(face: NDArray[np.uint8]) -> NDArray[np.float64]:
        pattern = feature.local_binary_pattern(face, 8, 1, "nri_uniform").astype(np.int64)
        found = np.bincount((cell * _PATTERNS + pattern).ravel(), minlength=bins)
        return np.asarray(found / sizes, np.float64)

    return lambda faces: np.stack([one(face) for face in faces]).astype(np.float32)


def _gabor(side: int) -> _Describer:
    filters = require("skimage.filters", extra="evaluate", purpose="describing faces by Gabor")
    centres = (2 * np.arange(_CELLS) + 1) * side // (2 * _CELLS)
    # The shortest wave is a twelfth of the face, 4 px of 48; each next one is 1.41 times longer.
    kernels = [
        filters.gabor_kernel(12 / side * 2 ** (-scale / 2), np.pi * angle / _ANGLES)
        for scale in range(_SCALES)
        for angle in range(_ANGLES)
    ]
    basis = [
        _placed(kernel, int(row), int(column), side)
        for row in centres
        for column in centres
        for kernel in kernels
    ]
    return _magnitudes(np.stack(basis))


def _placed(
    kernel: NDArray[np.complexfloating], row: int, column: int, side: int
) -> NDArray[np.complex64]:
    """(S, S) zeros with the kernel (odd height and width) centred on one pixel."""
    height, width = kernel.shape
    canvas = np.zeros((side + height - 1, side + width - 1), np.complex64)
    canvas[row : row + height, column : column + width] = kernel
    return canvas[height // 2 : height // 2 + side, width // 2 : width // 2 + side]


def _zernike(side: int) -> _Describer:
    half, quarter = side // 2, side // 4
    windows = [(0, 0, side)]
    windows += [(quarter * i, quarter * j, half) for i in range(3) for j in range(3)]
    basis = []
    for row, column, length in windows:
        polynomials = _zernike_polynomials(length)
        whole = np.zeros((len(polynomials), side, side), np.complex64)
        whole[:, row : row + length, column : column + length] = polynomials
        basis.append(whole)
    return _magnitudes(np.concatenate(basis))


def _zernike_polynomials(side: int) -> NDArray[np.complex128]:
    """(49, S, S) the weights that turn a window into its moments: n <= 12, 0 <= m <= n.

    Source: Khotanzad & Hong 1990, "Invariant Image Recognition by Zernike Moments", equations
    2 to 6, on the disk inscribed in the window. Rotating the window turns the phase only.
    """
    x = (2 * np.arange(side) + 1 - side) / side  # the pixels' centres, -1 to 1
    radius, angle = np.hypot(x[:, None], x), np.arctan2(x[:, None], x)
    inside = (radius <= 1) * (2 / side) ** 2
    return np.stack(
        [
            (n + 1) / np.pi * _radial(n, m, radius) * np.exp(-1j * m * angle) * inside
            for n in range(_ORDER + 1)
            for m in range(n % 2, n + 1, 2)
        ]
    )


def _radial(n: int, m: int, radius: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.zeros_like(radius)
    for s in range((n - m) // 2 + 1):
        below = factorial(s) * factorial((n + m) // 2 - s) * factorial((n - m) // 2 - s)
        out += (-1) ** s * factorial(n - s) / below * radius ** (n - 2 * s)
    return out


def _magnitudes(basis: NDArray[np.complexfloating]) -> _Describer:
    """Magnitudes of complex filters, (D, S, S), as one matrix product per block of faces."""
    flat = basis.reshape(len(basis), -1)  # (D, S * S)
    weights = np.concatenate([flat.real, flat.imag]).T.astype(np.float32)  # (S * S, 2 D)

    def magnitudes(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        both = _standardised(faces) @ weights
        return np.asarray(np.hypot(both[:, : len(basis)], both[:, len(basis) :]), np.float32)

    return magnitudes


def _pixels(side: int) -> _Describer:
    return _standardised


def _standardised(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, S * S) each face less its mean, divided by its deviation; a flat face is all zero."""
    flat = faces.reshape(len(faces), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(flat.std(axis=1, keepdims=True), 1e-3), np.float32)


_DESCRIBERS: dict[Kind, Callable[[int], _Describer]] = {
    "hog": _hog,
    "lbp": _lbp,
    "gabor": _gabor,
    "zernike": _zernike,
    "pixels": _pixels,
}
