"""An image -> where its faces are.

The default detector is CenterFace (Xu et al. 2019, "CenterFace: Joint Face Detection and
Alignment Using Face as Point", arXiv 1911.03599), trained on WIDER FACE: one network call
gives, on a grid of 4 x 4 pixels, how much each cell looks like the centre of a face, that
face's height and width, and five landmarks. `centerface.LICENSE` says where the file is from.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facetell.errors import InputError
from facetell.graph import open_graph
from facetell.results import Detection

__all__ = ["DETECT_SIDE", "CenterFace", "Detector", "WholeImage", "make_detector"]

#: Default bound on the longer side, px. A 24 px face in a photo that long is found (23 of 23),
#: at 3/4 of its size 19 of 23 are; 0.24 s a photo on one thread, 0.11 s at 896 px.
DETECT_SIDE = 1280
_STRIDE = 4  # pixels per cell of the output grid
_MULTIPLE = 32  # the network halves its input five times
_ENLARGE_TO = 960  # px, see detection_scale
_WEIGHTS = Path(__file__).with_name("centerface.onnx")


@runtime_checkable
class Detector(Protocol):
    """Something that finds faces."""

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """Faces in an RGB uint8 (H, W, 3) image, largest first; empty when there is none."""
        ...


class WholeImage:
    """For images that already are faces: the one face is the image."""

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """One detection of score 1.0 that covers the image."""
        height, width = image.shape[:2]
        return (Detection(box_xyxy=(0.0, 0.0, float(width), float(height)), score=1.0),)


class CenterFace:
    """Faces and five landmarks, upright or tilted up to about 45 degrees.

    Args:
        side: images are scaled so that their longer side has at most this many pixels.
            Memory and time grow with its square.
        min_score: confidence below which a detection is dropped, 0-1.
        max_overlap: of two detections that overlap more (intersection over union), the
            weaker is dropped.
        threads: threads for the network; None takes every processor.

    Example:
        >>> CenterFace().detect(np.zeros((64, 64, 3), np.uint8))
        ()
    """

    def __init__(
        self,
        *,
        side: int = DETECT_SIDE,
        min_score: float = 0.5,
        max_overlap: float = 0.3,
        threads: int | None = None,
    ) -> None:
        if not 64 <= side <= 8192:
            raise InputError(
                f"detect side must be from 64 to 8192 px, got {side}. Try {DETECT_SIDE}."
            )
        if not 0 < min_score < 1:
            raise InputError(f"detector min_score must be between 0 and 1, got {min_score}.")
        self.side = side
        self.min_score = min_score
        self.max_overlap = max_overlap
        self._graph = open_graph(_WEIGHTS, threads=threads)

    def at(self, side: int) -> CenterFace:
        """The same network for images scaled to another size of the longer side, px."""
        other = copy.copy(self)
        other.side = side
        return other

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """Faces in an RGB uint8 (H, W, 3) image, largest first.

        Boxes are in pixels of that image and may reach beyond its border where a face does.
        """
        canvas, scale, origin = letterbox(image, self.side)
        tensor = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32)
        heat, size, offset, points = self._graph.run(None, {"image": tensor})
        boxes, scores, marks = decode(heat[0, 0], size[0], offset[0], points[0], self.min_score)
        kept = suppress(boxes, scores, self.max_overlap)
        boxes = (boxes[kept] - [*origin, *origin]) / scale
        marks = (marks[kept] - origin) / scale
        height, width = image.shape[:2]
        return _largest_first(
            Detection(
                box_xyxy=(x1, y1, x2, y2),
                score=score,
                landmarks_xy=tuple((x, y) for x, y in mark),
            )
            for (x1, y1, x2, y2), score, mark in zip(
                boxes.tolist(), scores[kept].tolist(), marks.tolist(), strict=True
            )
            if 0 <= x1 + x2 < 2 * width and 0 <= y1 + y2 < 2 * height  # centre in the image
        )


def make_detector(
    name: Literal["centerface", "none"] | Detector,
    *,
    side: int = DETECT_SIDE,
    threads: int | None = None,
) -> Detector:
    """The detector of that name; a Detector comes back as it is."""
    if isinstance(name, Detector):
        return name
    if name == "none":
        return WholeImage()
    if name == "centerface":
        return CenterFace(side=side, threads=threads)
    raise InputError(
        f"detector must be 'centerface', 'none' or an object with a detect method, got {name!r}."
    )


def letterbox(
    image: NDArray[np.uint8], side: int
) -> tuple[NDArray[np.uint8], float, tuple[int, int]]:
    """The image scaled onto a canvas the network can read.

    Returns:
        canvas: (H', W', 3) uint8, sides multiples of 32, black around the image.
        scale: canvas pixels per image pixel.
        origin: (x, y) of the image's corner on the canvas, px.
    """
    height, width = image.shape[:2]
    scale = detection_scale(height, width, side)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(np.ascontiguousarray(image))
    small = picture.resize(size_wh, Image.Resampling.BILINEAR, reducing_gap=2.0)
    shape = [math.ceil(length / _MULTIPLE) * _MULTIPLE for length in reversed(size_wh)]
    x, y = (shape[1] - size_wh[0]) // 2, (shape[0] - size_wh[1]) // 2
    canvas = np.zeros((*shape, 3), np.uint8)
    canvas[y : y + size_wh[1], x : x + size_wh[0]] = small
    return canvas, scale, (x, y)


def detection_scale(height: int, width: int, side: int) -> float:
    """Canvas pixels per image pixel: large images shrink to `side`, small ones grow.

    Faces of 24 px are found when upright (23 of 23), but tilted by 30 degrees only 40 of 46
    are, at 32 px 42 and at 48 px 43; and of 100 images of 48 x 48 px that are nothing but a
    face 66 are found as they are, 98 when doubled. So images up to 960 px are enlarged to
    that, at most to twice their size.
    """
    longer = max(height, width)
    return min(side / longer, max(1.0, min(_ENLARGE_TO / longer, 2.0)))


def decode(
    heat: NDArray[np.float32],
    size: NDArray[np.float32],
    offset: NDArray[np.float32],
    points: NDArray[np.float32],
    min_score: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The network's grids as boxes.

    Args:
        heat: (h, w), 0-1, how much a cell looks like the centre of a face.
        size: (2, h, w), logarithm of height and width in cells.
        offset: (2, h, w), from the cell's middle to the face's centre, y and x, in cells.
        points: (10, h, w), y and x of five landmarks as shares of the box.
        min_score: peaks below it are dropped.

    Returns:
        boxes (n, 4) and landmarks (n, 5, 2) in canvas pixels, scores (n,), best first.
    """
    rows, columns = np.nonzero((heat >= min_score) & (heat == _neighbourhood_maximum(heat)))
    order = np.argsort(-heat[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    height, width = np.exp(size[:, rows, columns].astype(np.float64)) * _STRIDE
    centre_y = (rows + offset[0, rows, columns].astype(np.float64) + 0.5) * _STRIDE
    centre_x = (columns + offset[1, rows, columns].astype(np.float64) + 0.5) * _STRIDE
    x1, y1 = centre_x - width / 2, centre_y - height / 2
    boxes = np.stack([x1, y1, x1 + width, y1 + height], axis=1)
    shares = points[:, rows, columns].astype(np.float64).reshape(5, 2, -1)
    marks = np.stack([x1 + shares[:, 1] * width, y1 + shares[:, 0] * height])  # (2, 5, n)
    return boxes, heat[rows, columns].astype(np.float64), marks.transpose(2, 1, 0)


def _neighbourhood_maximum(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest of each cell and its eight neighbours: only peaks equal it."""
    padded = np.pad(heat, 1, constant_values=-np.inf)
    tall = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.maximum(np.maximum(tall[:, :-2], tall[:, 1:-1]), tall[:, 2:])


def suppress(
    boxes: NDArray[np.float64], scores: NDArray[np.float64], max_overlap: float
) -> NDArray[np.intp]:
    """Indices of the boxes to keep, best first: none overlaps a better one by more (IoU)."""
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(int(best))
        left = left[_overlap(boxes[best], boxes[left]) <= max_overlap]
    return np.array(kept, np.intp)


def _overlap(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of one box with each of the others."""
    corner1 = np.maximum(box[:2], others[:, :2])
    corner2 = np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.clip(corner2 - corner1, 0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return np.asarray(shared / (areas - shared))


def _largest_first(detections: Iterable[Detection]) -> tuple[Detection, ...]:
    def area(detection: Detection) -> float:
        x1, y1, x2, y2 = detection.box_xyxy
        return (x2 - x1) * (y2 - y1)

    return tuple(sorted(detections, key=area, reverse=True))
