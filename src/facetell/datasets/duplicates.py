"""Near-copies: the same photograph cropped, shifted, scaled, mirrored or recompressed.

FER2013 holds thousands of them, also across its official sides.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.alignment import align
from facetell.datasets.candidates import LOW_PX, find_candidates, is_flat
from facetell.errors import InputError
from facetell.files import cache_folder, write_atomically

__all__ = ["NearCopies", "cached_near_copies", "known_near_copies", "near_copies", "union"]

Progress = Callable[[str, float], None]

#: Part of the cache's name: change it when the method changes.
_METHOD = "near-copies 2"
#: Correlation of the pixels. On FER2013, 95 of 96 pairs above the first one and found by a
#: similar search were the same photograph.
_LEAST, _LEAST_MIRRORED = 0.85, 0.88
#: Correlation of the details, which tells a copy from another face under the same light. Between
#: 0.4 and 0.7 lie unrelated faces, above 0.9 copies, and there is a gap at 0.8.
_LEAST_DETAIL = 0.8
_FIELDS = ("pairs", "correlation", "mirrored", "groups")
_BLOCK = 2048


@dataclass(frozen=True, kw_only=True, eq=False)
class NearCopies:
    """Which images show the same photograph.

    Attributes:
        pairs: (P, 2) int64 indices, first < second, each pair once. Exact copies are paired
            with the first of them, which then stands for all in the other pairs.
        correlation: (P,) float32, 0-1, of the aligned images over their whole overlap.
        mirrored: (P,) bool, the second image is the first one's mirror image.
        groups: (N,) int64; equal numbers are connected by pairs. The number is the smallest
            index of the group.
    """

    pairs: NDArray[np.int64]
    correlation: NDArray[np.float32]
    mirrored: NDArray[np.bool_]
    groups: NDArray[np.int64]


def near_copies(
    faces: NDArray[np.uint8], progress: Progress | None = None, *, quick: bool = False
) -> NearCopies:
    """The near-copies among grey faces: shifted, scaled (0.82-1.22), mirrored, recompressed.

    Exact copies come first and are compared once; candidates from two cheap searches are then
    aligned. A pair counts when the pixels of the whole overlap correlate by 0.85 (0.88 if
    mirrored) and their details by 0.8. Flat images are copies only of exact copies. Large
    changes of crop and rotations are missed: counts are lower bounds.

    Args:
        faces: (N, 48, 48) grey uint8; any side that is a multiple of 24 will do.
        progress: called with a phase and its share done, 0-1.
        quick: align only the pairs that agree in a perceptual hash, which are crops of the same
            place, mirrored or not: a sixth of the time, and a third of the near-copies.

    Raises:
        InputError: another dtype or shape.

    Example:
        groups = near_copies(dataset.faces()).groups
    """
    _check(faces)
    report = progress or (lambda phase, share: None)
    first = _first_copies(faces)
    copies = np.flatnonzero(first != np.arange(len(faces)))
    exact = np.stack([first[copies], copies], axis=1)
    single = np.flatnonzero(first == np.arange(len(faces)))
    single = single[~is_flat(faces[single])]
    pairs, correlation, mirrored = _near_pairs(faces[single], report, quick)
    pairs = np.concatenate([exact, single[pairs]])
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    ones = np.ones(len(exact), np.float32)
    return NearCopies(
        pairs=pairs[order],
        correlation=np.concatenate([ones, correlation])[order],
        mirrored=np.concatenate([ones == 0, mirrored])[order],
        groups=union(pairs, len(faces)),
    )


def _check(faces: NDArray[np.uint8]) -> None:
    square = faces.ndim == 3 and faces.shape[1] == faces.shape[2]
    if faces.dtype != np.uint8 or not square or not faces.shape[1] or faces.shape[1] % LOW_PX:
        raise InputError(
            f"faces must be grey uint8 of shape (N, 48, 48), got {faces.dtype} of shape "
            f"{faces.shape}. Pass dataset.faces(face_px=48).",
            actual=faces.shape,
        )


def _near_pairs(
    faces: NDArray[np.uint8], report: Progress, quick: bool
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """Pairs, correlation and mirrored of faces that are neither flat nor exact copies."""
    if len(faces) < 2:
        return np.empty((0, 2), np.int64), np.empty(0, np.float32), np.empty(0, np.bool_)
    candidates = find_candidates(faces, lambda share: report("comparing faces", share), quick=quick)
    plain, detail = align(faces, candidates, lambda share: report("aligning pairs", share))
    least = np.where(candidates.mirrored, _LEAST_MIRRORED, _LEAST)
    kept = np.flatnonzero((plain >= least) & (detail >= _LEAST_DETAIL))
    # A symmetric face may be found both ways round; the better one is kept.
    order = kept[np.lexsort((-plain[kept], candidates.pairs[kept, 1], candidates.pairs[kept, 0]))]
    pairs = candidates.pairs[order]
    once = np.append(True, (np.diff(pairs, axis=0) != 0).any(axis=1))[: len(pairs)]
    chosen = order[once]
    return candidates.pairs[chosen], plain[chosen], candidates.mirrored[chosen]


def _first_copies(faces: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(N,) for every image the first one with the same pixels."""
    seen: dict[bytes, int] = {}
    digests = (hashlib.sha256(face.tobytes()).digest() for face in faces)
    return np.array([seen.setdefault(key, i) for i, key in enumerate(digests)], np.int64)


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


def cached_near_copies(faces: NDArray[np.uint8], progress: Progress | None = None) -> NearCopies:
    """`near_copies`, remembered on disk by the pixels' hash, so that the second run is instant.

    The file is near-copies-<sha256>.npz in $XDG_CACHE_HOME/facetell (~/.cache/facetell).
    """
    path = cache_folder() / f"near-copies-{_digest(faces)}.npz"
    if (known := _load(path)) is not None:
        return known
    found = near_copies(faces, progress)
    _save(path, found)
    return found


def known_near_copies(faces: NDArray[np.uint8]) -> NearCopies | None:
    """What `cached_near_copies` remembers of these faces; None where it has not searched them."""
    return _load(cache_folder() / f"near-copies-{_digest(faces)}.npz")


def _digest(faces: NDArray[np.uint8]) -> str:
    digest = hashlib.sha256(f"{_METHOD} {faces.shape}".encode())
    for start in range(0, len(faces), _BLOCK):
        digest.update(np.ascontiguousarray(faces[start : start + _BLOCK]).data)
    return digest.hexdigest()


def _load(path: Path) -> NearCopies | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return NearCopies(**{name: stored[name] for name in _FIELDS})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # absent, or cut off: found anew


def _save(path: Path, found: NearCopies) -> None:
    """Write atomically; a cache that cannot be written is no reason to fail."""
    try:
        content = io.BytesIO()
        np.savez_compressed(content, **{name: getattr(found, name) for name in _FIELDS})
        write_atomically(path, content.getvalue())
    except OSError:
        return
