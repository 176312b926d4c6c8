"""Near-copies: the same photograph cropped, shifted, scaled, mirrored or recompressed.

FER2013 holds thousands of them, also across its official sides.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["NearCopies", "cached_near_copies", "near_copies", "union"]

Progress = Callable[[str, float], None]

#: Part of the cache's name: change it when the method changes.
_METHOD = "near-copies 1"
_FIELDS = ("pairs", "correlation", "mirrored", "groups")
_BLOCK = 2048


@dataclass(frozen=True, kw_only=True, eq=False)
class NearCopies:
    """Which images show the same photograph.

    Attributes:
        pairs: (P, 2) int64 indices, first < second, each pair once.
        correlation: (P,) float32, 0-1, of the aligned images over their whole overlap.
        mirrored: (P,) bool, the second image is the first one's mirror image.
        groups: (N,) int64; equal numbers are connected by pairs. The number is the smallest
            index of the group.
    """

    pairs: NDArray[np.int64]
    correlation: NDArray[np.float32]
    mirrored: NDArray[np.bool_]
    groups: NDArray[np.int64]


def near_copies(faces: NDArray[np.uint8], progress: Progress | None = None) -> NearCopies:
    """Find near-copies among grey faces."""
    bits = _hash_bits(_equalised(faces))
    pairs = _similar(bits, bits, 1 - 2 * 6 / 64)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    count = len(pairs)
    return NearCopies(
        pairs=pairs,
        correlation=np.ones(count, np.float32),
        mirrored=np.zeros(count, np.bool_),
        groups=union(pairs, len(faces)),
    )


def union(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(count,) for every index the smallest index it is connected with.

    >>> union(np.array([[3, 1], [1, 4]]), 5).tolist()
    [0, 1, 2, 1, 1]
    """
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for first, second in pairs.tolist():
        a, b = root(first), root(second)
        parent[max(a, b)] = min(a, b)
    return np.array([root(index) for index in range(count)], np.int64)


def _equalised(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, S, S) float32 in 0-1: every pixel's rank within its own image."""
    count, area = len(faces), faces[0].size
    flat = faces.reshape(count, area)
    out = np.empty((count, area), np.float32)
    for start in range(0, count, _BLOCK):
        block = flat[start : start + _BLOCK]
        offset = np.arange(len(block))[:, None] * 256
        histogram = np.bincount((block + offset).ravel(), minlength=len(block) * 256)
        rank = histogram.reshape(-1, 256).cumsum(axis=1) / area
        out[start : start + _BLOCK] = np.take_along_axis(rank, block.astype(np.int64), axis=1)
    return out.reshape(faces.shape)


def _hash_bits(equalised: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 64) of +-1/8: the perceptual hash, so that a product is 1 - 2 * Hamming / 64."""
    side = equalised.shape[1]
    basis = _dct(8, 32) @ _reduction(32, side)  # (8, S)
    coefficients = (basis @ equalised @ basis.T).reshape(-1, 64)
    median = np.median(coefficients[:, 1:], axis=1, keepdims=True)
    return np.where(coefficients > median, 1 / 8, -1 / 8).astype(np.float32)


def _dct(rows: int, size: int) -> NDArray[np.float32]:
    k, x = np.arange(rows)[:, None], np.arange(size)[None]
    return np.cos(np.pi * k * (2 * x + 1) / (2 * size)).astype(np.float32)


def _reduction(target: int, source: int) -> NDArray[np.float32]:
    """(target, source): the mean over each target pixel's share of the source pixels."""
    edges = np.arange(target + 1) * source / target
    low, high = edges[:-1, None], edges[1:, None]
    x = np.arange(source)[None]
    share = np.clip(np.minimum(high, x + 1) - np.maximum(low, x), 0, None)
    weights: NDArray[np.float32] = (share / share.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights


def _similar(
    first: NDArray[np.float32], second: NDArray[np.float32], threshold: float
) -> NDArray[np.int64]:
    """(P, 2) the row pairs (i, j), i <= j, whose product reaches the threshold."""
    found = [np.empty((0, 2), np.int64)]
    for top in range(0, len(first), _BLOCK):
        for left in range(top, len(second), _BLOCK):
            products = first[top : top + _BLOCK] @ second[left : left + _BLOCK].T
            i, j = np.divmod(np.flatnonzero(products >= threshold - 1e-5), products.shape[1])
            found.append(np.stack([i + top, j + left], axis=1))
    pairs = np.concatenate(found)
    return pairs[pairs[:, 0] <= pairs[:, 1]]


def cached_near_copies(faces: NDArray[np.uint8], progress: Progress | None = None) -> NearCopies:
    """`near_copies`, remembered on disk by the pixels' hash, so that the second run is instant.

    The file is near-copies-<sha256>.npz in $XDG_CACHE_HOME/facetell (~/.cache/facetell).
    """
    path = _cache_folder() / f"near-copies-{_digest(faces)}.npz"
    if (known := _load(path)) is not None:
        return known
    found = near_copies(faces, progress)
    _save(path, found)
    return found


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "facetell"


def _digest(faces: NDArray[np.uint8]) -> str:
    digest = hashlib.sha256(f"{_METHOD} {faces.shape}".encode())
    for start in range(0, len(faces), _BLOCK):
        digest.update(np.ascontiguousarray(faces[start : start + _BLOCK]).data)
    return digest.hexdigest()


def _load(path: Path) -> NearCopies | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return NearCopies(**{name: stored[name] for name in _FIELDS})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # absent, or cut off: found anew


def _save(path: Path, found: NearCopies) -> None:
    """Write atomically; a cache that cannot be written is no reason to fail."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
            np.savez_compressed(file, **{name: getattr(found, name) for name in _FIELDS})
        os.replace(file.name, path)
    except OSError:
        return
