"""How well two faces agree once one is laid on the other: shift, scale and mirror."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.candidates import LOW_PX, Candidates, gaussian, low_resolution, sampling

__all__ = ["align"]

Floats = NDArray[np.float32]

_BLOCK = 512
_SCALE_STEP = 0.06
#: Scales 0.82 to 1.22, and at least half of each side in common.
_LARGEST = np.array([LOW_PX / 4, LOW_PX / 4, 0.2], np.float32)
#: A pair goes on to the next stage with at least this correlation. Of the pairs found on
#: FER2013, 99.8 % have more than 0.6 at the first stage; half of the candidates have less.
_FIRST, _SECOND = 0.55, 0.6


def align(
    faces: NDArray[np.uint8],
    candidates: Candidates,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[Floats, Floats]:
    """Lay the second face of each pair on the first, as well as it goes.

    Args:
        faces: (N, S, S) grey uint8, S a multiple of LOW_PX.
        candidates: P pairs with a first guess of their pose.
        progress: called with the share done, 0-1.

    Returns:
        Two (P,) float32 correlations over the whole overlap: of the pixels (hair and
        background included), and of their details (band-passed, which unrelated faces under
        the same light do not share). Both are 0 for pairs given up early.
    """
    plain = np.zeros(len(candidates.pairs), np.float32)
    detail = np.zeros(len(candidates.pairs), np.float32)
    low = low_resolution(faces)
    low_detail = _details(low, 0.6, 2.5)
    for start in range(0, len(plain), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(plain)))
        poses = candidates.poses[block]
        alive = _correlation(*_pair(low, candidates, block), poses) >= _FIRST
        block, poses = block[alive], poses[alive]
        score, poses = _refine(*_pair(low_detail, candidates, block), poses, (1, 0.5, 0.5))
        alive = score >= _SECOND
        block, poses = block[alive], poses[alive] * _to_full(faces)
        one, other = _pair(faces, candidates, block)
        detail[block], poses = _refine(_details(one), _details(other), poses, (0.5, 0.25))
        plain[block] = _correlation(one, other, poses)
        progress(min(1.0, (start + _BLOCK) / len(plain)))
    return plain, detail


def _to_full(faces: NDArray[np.uint8]) -> Floats:
    factor = faces.shape[1] / LOW_PX
    return np.array([factor, factor, 1], np.float32)


def _pair(
    images: NDArray[np.uint8] | Floats, candidates: Candidates, block: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Both images of each pair, (P, S, S) float32, the second mirrored where it should be."""
    first, second = candidates.pairs[block].T
    others = images[second].astype(np.float32)
    turn = candidates.mirrored[block]
    others[turn] = others[turn][:, :, ::-1]
    return images[first].astype(np.float32), others


def _details(images: Floats, fine: float = 0.8, coarse: float = 3.0) -> Floats:
    size = images.shape[1]
    narrow, wide = gaussian(size, fine), gaussian(size, coarse)
    details = narrow @ images @ narrow.T - wide @ images @ wide.T
    return details.astype(np.float32, copy=False)


def _refine(
    first: Floats, second: Floats, poses: Floats, steps: tuple[float, ...]
) -> tuple[Floats, Floats]:
    """Move each pose to its best neighbour, axis by axis, with the given step sizes in px."""
    poses = poses.copy()
    best = _correlation(first, second, poses)
    largest = _LARGEST * [first.shape[1] / LOW_PX, first.shape[1] / LOW_PX, 1]
    for step in steps:
        for axis, unit in enumerate((1, 1, _SCALE_STEP)):
            for move in (-step * unit, step * unit):
                moved = poses.copy()
                moved[:, axis] = np.clip(moved[:, axis] + move, -largest[axis], largest[axis])
                score = _correlation(first, second, moved)
                better = score > best
                poses[better], best[better] = moved[better], score[better]
    return best, poses


def _correlation(first: Floats, second: Floats, poses: Floats) -> Floats:
    """(P,) normalised cross-correlation over the overlap, -1 to 1."""
    size, scale = first.shape[1], np.exp(poses[:, 2])
    columns, rows = sampling(size, scale, poses[:, 0]), sampling(size, scale, poses[:, 1])
    moved = rows @ second @ columns.transpose(0, 2, 1)
    seen = np.asarray(rows.any(axis=2)), np.asarray(columns.any(axis=2))  # (P, S) each
    inside = seen[0][:, :, None] & seen[1][:, None, :]
    kept = first * inside
    area = np.maximum(inside.sum(axis=(1, 2)), 1).astype(np.float32)
    a, b = kept.sum(axis=(1, 2)), moved.sum(axis=(1, 2))
    aa = np.einsum("pij,pij->p", kept, kept) - a * a / area
    bb = np.einsum("pij,pij->p", moved, moved) - b * b / area
    ab = np.einsum("pij,pij->p", kept, moved) - a * b / area
    least = area  # a deviation below one grey level is noise
    result: Floats = ab / np.sqrt(np.maximum(aa, least) * np.maximum(bb, least))
    return result
