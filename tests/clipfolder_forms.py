"""Folders of labelled clips under the exact names of their makers, with drawn squares inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipmaking import write_clip
from facetell.results import Detection

#: RAVDESS's third field, in the order of its documentation.
RAVDESS_EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")


def frame(*squares: tuple[int, int, int, int], size_wh: tuple[int, int] = (96, 64)) -> NDArray:
    """A dark picture with grey squares at x, y, of a side and a level above 100."""
    image = np.full((size_wh[1], size_wh[0], 3), 20, np.uint8)
    for x, y, side, level in squares:
        image[y : y + side, x : x + side] = level
    return image


class FindsSquares:
    """Every run of bright columns is a face; counts how often it is asked."""

    def __init__(self, **_: object) -> None:
        self.asked = 0

    def at(self, side: int) -> FindsSquares:
        return self

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        self.asked += 1
        bright = image.mean(axis=2) > 70
        columns = np.flatnonzero(np.diff(np.pad(bright.any(axis=0).astype(int), 1)))
        found = []
        for left, right in zip(columns[::2].tolist(), columns[1::2].tolist(), strict=True):
            rows = np.flatnonzero(bright[:, left:right].any(axis=1))
            box = (float(left), float(rows[0]), float(right), rows[-1] + 1.0)
            found.append(Detection(box_xyxy=box, score=0.9))
        return tuple(sorted(found, key=lambda face: face.box_xyxy[0] - face.box_xyxy[2]))


def level_of(label: int) -> int:
    """The grey level that stands for an emotion; a codec moves it by one or two."""
    return 110 + 20 * label


def label_of(face: NDArray[np.uint8]) -> int:
    """The emotion whose level the middle of a face has."""
    side = face.shape[0]
    level = float(face[side // 4 : -side // 4, side // 4 : -side // 4].mean())
    return int(np.clip(round((level - 110) / 20), 0, 6))


def shown(labels: Sequence[int]) -> list[NDArray]:
    """Frames of one square that shows these emotions, one after the other."""
    return [frame((30, 16, 32, level_of(label))) for label in labels]


def make_empty(root: Path, *names: str) -> Path:
    """Files with a byte in them: what only looks at names needs no more."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0")
    return root


def make_ravdess(root: Path, *, actors: int = 3, codec: str = "libx264") -> Path:
    """Three emotions by each actor, in the folders of the archives."""
    for actor in range(1, actors + 1):
        for code, label in (("03", 3), ("04", 4), ("05", 0)):
            name = f"02-01-{code}-01-01-01-{actor:02}.mp4"
            path = root / f"Video_Speech_Actor_{actor:02}" / f"Actor_{actor:02}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # The last actor's sad clip looks neutral in most frames.
            mostly = 6 if (actor, label) == (actors, 4) else label
            write_clip(path, shown([label] * 2 + [mostly] * 6), codec=codec)
    return root
