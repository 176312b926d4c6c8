"""Frames, one after the other -> the people in sight, each with a number.

The whole frame is searched now and then, which finds newcomers; in between each face is found
in a small window around where it should be, which takes a twentieth of the time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facetell.errors import InputError
from facetell.faces.detect import CenterFace, Detector, WholeImage, suppress
from facetell.faces.track import Tracked, Tracker
from facetell.results import Box, Detection
from facetell.runtime.scenes import is_cut, movement, thumbnail

__all__ = ["SEARCH_S", "Finder"]

#: A newcomer waits at most so long for the next search of the whole frame, seconds.
SEARCH_S = 0.5
_SOON_S = 0.2  # while somebody is out of sight, or nobody is there yet
_STILL_S = 2.0  # while nothing in the frame moves
_STILL = 8.0  # grey levels of movement() below which nothing moves; noise of deviation 5 makes 6
_WINDOW = 2.2  # side of the window around a face, in sizes of the face
_WINDOW_GROWS = 3.0  # and how much more for each second since the face was seen
_WINDOW_MOST = 4.0
_INSIDE = 0.4  # sizes of a face that must lie between its middle and the window's edge
_FACE_PX = 40  # a face in its window is scaled to this; 24 are found upright, 48 also tilted
_OVERLAP = 0.3  # faces that overlap more (IoU) are one


class Finder:
    """Finds the people in the frames of one clip, camera or connection, in their order.

    Args:
        detector: finds faces in an image.
        detect: calls the detector, where that needs a lock; by default the detector's own method.
        search_s: the whole frame is searched for faces at least so often, seconds, unless
            nothing in it moves.
        remember_s: a person out of sight keeps the number for so long, seconds.

    Attributes:
        spent_s: seconds spent so far on `detect` (whole frames) and `track`.
        searched: frames that were searched as a whole.

    Example:
        finder = Finder(CenterFace())
        for frame in frames:
            print([someone.person for someone in finder.find(frame.image, frame.time_s)])
    """

    def __init__(
        self,
        detector: Detector,
        *,
        detect: Callable[[NDArray[np.uint8]], tuple[Detection, ...]] | None = None,
        search_s: float = SEARCH_S,
        remember_s: float = 1.2,
    ) -> None:
        if not search_s > 0:
            raise InputError(f"search_s must be above 0 seconds, got {search_s}. Try {SEARCH_S}.")
        self.detector = detector
        self.search_s = search_s
        self.spent_s = {"detect": 0.0, "track": 0.0}
        self.searched = 0
        self._detect = detect or detector.detect
        self._tracker = Tracker(remember_s=remember_s)
        self._last: NDArray[np.float32] | None = None  # thumbnail of the frame before
        self._searched_s = -math.inf
        self._search: NDArray[np.float32] | None = None  # thumbnail of the frame searched last

    def find(self, image: NDArray[np.uint8], time_s: float) -> tuple[Tracked, ...]:
        """The people in sight in the next frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            time_s: when it is shown, seconds; not before the last frame's.
        """
        if isinstance(self.detector, WholeImage):
            return self._tracker.update(self.detector.detect(image), time_s)
        started = time.perf_counter()
        now = thumbnail(image)
        if self._last is not None and is_cut(self._last, now):
            self._tracker.forget()
            self._searched_s = -math.inf
        self._last = now
        found = self._search_windows(image, time_s)
        self.spent_s["track"] += time.perf_counter() - started
        due = self._is_due(now, len(found), time_s)
        if due:
            found += self._search_frame(image, now, time_s)
        started = time.perf_counter()
        seen = self._tracker.update(_distinct(found), time_s, newcomers=due)
        self.spent_s["track"] += time.perf_counter() - started
        return seen

    def expect(self, time_s: float) -> tuple[Tracked, ...]:
        """Everybody remembered, also out of sight, where they should be at that time."""
        return self._tracker.expect(time_s)

    def _is_due(self, now: NDArray[np.float32], found: int, time_s: float) -> bool:
        """Whether the whole frame is searched."""
        if self._search is None:
            return True
        expected = len(self._tracker.expect(time_s))
        pause = self.search_s if expected and found >= expected else min(_SOON_S, self.search_s)
        if movement(self._search, now) < _STILL:
            pause = max(pause, min(_STILL_S, 4 * pause))
        return time_s - self._searched_s >= pause - 1e-6

    def _search_frame(
        self, image: NDArray[np.uint8], now: NDArray[np.float32], time_s: float
    ) -> tuple[Detection, ...]:
        started = time.perf_counter()
        found = self._detect(image)
        self._search, self._searched_s = now, time_s
        self.searched += 1
        self.spent_s["detect"] += time.perf_counter() - started
        return found

    def _search_windows(self, image: NDArray[np.uint8], time_s: float) -> list[Detection]:
        """The faces of the people expected, each searched where it should be."""
        found: list[tuple[float, Detection]] = []
        for someone in self._tracker.expect(time_s):
            hidden_s = time_s - someone.seen_s
            sizes = min(_WINDOW + _WINDOW_GROWS * hidden_s, _WINDOW_MOST)
            found += _search_window(image, someone.detection.box_xyxy, sizes, self._near(sizes))
        found.sort(key=lambda pair: pair[0])  # two windows may show one face: in the middle first
        return [detection for _, detection in found]

    def _near(self, sizes: float) -> Callable[[NDArray[np.uint8]], tuple[Detection, ...]]:
        if not isinstance(self.detector, CenterFace):
            return self._detect
        return self.detector.at(max(64, 32 * math.ceil(sizes * _FACE_PX / 32))).detect


def _search_window(
    image: NDArray[np.uint8],
    box: Box,
    sizes: float,
    detect: Callable[[NDArray[np.uint8]], tuple[Detection, ...]],
) -> list[tuple[float, Detection]]:
    """Faces near a box in the image's coordinates, with their distance from its middle, px.

    A face that the window cuts is left out: its box would be wrong.
    """
    (x, y), length = _middle(box), max(box[2] - box[0], box[3] - box[1])
    half = sizes * length / 2
    left, top = max(0, math.floor(x - half)), max(0, math.floor(y - half))
    window = image[top : max(0, math.ceil(y + half)), left : max(0, math.ceil(x + half))]
    if min(window.shape[:2]) < 2:
        return []
    found = []
    for detection in detect(window):
        moved = _moved(detection, left, top)
        x1, y1, x2, y2 = moved.box_xyxy
        there_x, there_y = _middle(moved.box_xyxy)
        off = max(abs(there_x - x), abs(there_y - y))
        if off <= half - _INSIDE * max(x2 - x1, y2 - y1):
            found.append((off, moved))
    return found


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _moved(detection: Detection, x: int, y: int) -> Detection:
    x1, y1, x2, y2 = detection.box_xyxy
    points = tuple((px + x, py + y) for px, py in detection.landmarks_xy)
    return replace(detection, box_xyxy=(x1 + x, y1 + y, x2 + x, y2 + y), landmarks_xy=points)


def _distinct(found: Sequence[Detection]) -> list[Detection]:
    """Each face once. The first stays: a window shows its face larger than the frame does."""
    boxes = np.array([detection.box_xyxy for detection in found]).reshape(-1, 4)
    first = -np.arange(len(found), dtype=np.float64)
    return [found[i] for i in suppress(boxes, first, _OVERLAP)]
