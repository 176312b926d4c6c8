"""Frames, one after the other -> readings with numbered people and steady scores.

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
from facetell.faces.crop import crop_faces, whole_face
from facetell.faces.detect import CenterFace, Detector, WholeImage, suppress
from facetell.faces.track import Tracked, Tracker
from facetell.images import read_image
from facetell.predictor import FramePredictor, Prediction
from facetell.results import Detection, Face, Reading
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.scenes import is_cut, movement, thumbnail
from facetell.runtime.steady import Steady, SteadyScores

__all__ = ["Follower"]

_SEARCH_S = 0.5  # a newcomer waits at most so long for the next search of the whole frame
_SOON_S = 0.2  # while somebody is out of sight, or nobody is there yet
_STILL_S = 2.0  # while nothing in the frame moves
_STILL = 8.0  # grey levels of movement() below which nothing moves; noise of deviation 5 makes 6
_WINDOW = 2.2  # side of the window around a face, in sizes of the face
_WINDOW_GROWS = 3.0  # and how much more for each second since the face was seen
_WINDOW_MOST = 4.0
_INSIDE = 0.4  # sizes of a face that must lie between its middle and the window's edge
_FACE_PX = 40  # a face in its window is scaled to this; 24 are found upright, 48 also tilted
_OVERLAP = 0.3  # faces that overlap more (IoU) are one

Box = tuple[float, float, float, float]


class Follower:
    """Reads the frames of one clip, camera or connection in their order.

    Several followers may share an analyzer, each in a thread of its own.

    Args:
        analyzer: model and detector. A model with an LSTM over frames keeps one memory a person.
        source: name of the clip, for the readings.
        search_s: the whole frame is searched for faces at least so often, seconds, unless
            nothing in it moves.
        steady: smooth scores and labels over time; if not, each frame stands for itself.
        remember_s: a person out of sight keeps the number for so long, seconds.

    Attributes:
        spent_s: seconds spent so far on `detect` (whole frames), `track` and `score`.
        searched: frames that were searched as a whole.

    Example:
        follower = Follower(Analyzer("compact"))
        for frame in frames:
            reading = follower.read(frame.image, frame.time_s)
            print(reading.time_s, [(face.person, face.label) for face in reading.faces])
    """

    def __init__(
        self,
        analyzer: Analyzer,
        *,
        source: str = "",
        search_s: float = _SEARCH_S,
        steady: bool = True,
        remember_s: float = 1.2,
    ) -> None:
        if not search_s > 0:
            raise InputError(f"search_s must be above 0 seconds, got {search_s}. Try {_SEARCH_S}.")
        self.analyzer = analyzer
        self.source = source
        self.search_s = search_s
        self.steady = steady
        self.spent_s = {"detect": 0.0, "track": 0.0, "score": 0.0}
        self.searched = 0
        self._tracker = Tracker(remember_s=remember_s)
        self._people: dict[int, _Look] = {}
        self._time_s = -math.inf
        self._last: NDArray[np.float32] | None = None  # thumbnail of the frame before
        self._searched_s = -math.inf
        self._search: NDArray[np.float32] | None = None  # thumbnail of the frame searched last

    def read(self, image: NDArray[np.uint8], time_s: float) -> Reading:
        """The people in the next frame and what they look like.

        Args:
            image: (H, W, 3) uint8 RGB.
            time_s: when it is shown, seconds; not before the last frame's.

        Returns:
            Faces of the people in sight, largest first, each with `person` set.

        Raises:
            InputError: the frame is older than the last one, or its time is not finite.
            ImageError: the image is no uint8 RGB array.
        """
        image = read_image(image)
        self._check_time(time_s)
        seen = self._find(image, time_s)
        faces = self._score(image, seen, time_s)
        return Reading(
            source=self.source,
            size_wh=(image.shape[1], image.shape[0]),
            faces=tuple(sorted(faces, key=_area, reverse=True)),
            model=self.analyzer.contract.name,
            time_s=time_s,
        )

    def _check_time(self, time_s: float) -> None:
        if not math.isfinite(time_s) or time_s < self._time_s:
            raise InputError(
                f"time_s must be finite and not before the last frame's {self._time_s}, "
                f"got {time_s}. Pass frames in the order in which they are shown.",
                actual=time_s,
            )
        self._time_s = time_s

    def _find(self, image: NDArray[np.uint8], time_s: float) -> tuple[Tracked, ...]:
        if isinstance(self.analyzer.detector, WholeImage):
            return self._tracker.update(self.analyzer.detector.detect(image), time_s)
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
        found = self.analyzer.detect(image)
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
        detector: Detector = self.analyzer.detector
        if not isinstance(detector, CenterFace):
            return self.analyzer.detect  # with its lock
        return detector.at(max(64, 32 * math.ceil(sizes * _FACE_PX / 32))).detect

    def _score(
        self, image: NDArray[np.uint8], seen: Sequence[Tracked], time_s: float
    ) -> list[Face]:
        started = time.perf_counter()
        contract = self.analyzer.contract
        known = {someone.person for someone in self._tracker.expect(time_s)}
        self._people = {n: look for n, look in self._people.items() if n in known}
        detections = [someone.detection for someone in seen]
        if isinstance(self.analyzer.detector, WholeImage):
            crops = whole_face(image, contract.face_px)[None]
        else:
            crops = crop_faces(image, detections, contract)
        looks = [self._look(someone.person) for someone in seen]
        scored = self._predict(looks, crops, time_s)
        faces = []
        for row, (someone, look) in enumerate(zip(seen, looks, strict=True)):
            now = look.update(scored, row, time_s, steady=self.steady)
            if now.scores.max() >= self.analyzer.min_score:
                faces.append(_face(someone, now, contract.labels))
        self.spent_s["score"] += time.perf_counter() - started
        return faces

    def _look(self, person: int) -> _Look:
        return self._people.setdefault(person, _Look())

    def _predict(
        self, looks: Sequence[_Look], crops: NDArray[np.uint8], time_s: float
    ) -> Prediction:
        model = self.analyzer.model
        if not self.analyzer.contract.memory or not isinstance(model, FramePredictor):
            return model.predict(crops)
        old = next((look.memory for look in looks if look.memory is not None), None)
        memory = None if old is None else np.stack(
            [np.zeros_like(old) if look.memory is None else look.memory for look in looks]
        )  # fmt: skip
        scored, after = model.predict_next(
            crops, memory, np.array([look.elapsed_s(time_s) for look in looks])
        )
        for look, now in zip(looks, after, strict=True):
            look.memory = now
        return scored


class _Look:
    """What one person looked like so far."""

    def __init__(self) -> None:
        self._steady = Steady()
        self._time_s: float | None = None
        self.memory: NDArray[np.float32] | None = None

    def elapsed_s(self, time_s: float) -> float:
        """Seconds since the person was seen before; 0 for the first time."""
        elapsed = 0.0 if self._time_s is None else time_s - self._time_s
        self._time_s = time_s
        return elapsed

    def update(self, scored: Prediction, row: int, time_s: float, *, steady: bool) -> SteadyScores:
        scores, margins = scored.scores[row], scored.margins[row]
        if steady:
            return self._steady.update(scores, margins, time_s)
        return SteadyScores(
            scores.astype(np.float64), margins.astype(np.float64), int(scores.argmax())
        )


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


def _face(someone: Tracked, now: SteadyScores, labels: Sequence[str]) -> Face:
    best, second = sorted(now.scores.tolist(), reverse=True)[:2]
    return Face(
        box_xyxy=someone.detection.box_xyxy,
        label=labels[now.label],
        scores=dict(zip(labels, now.scores.tolist(), strict=True)),
        margins=dict(zip(labels, now.margins.tolist(), strict=True)),
        margin=best - second,
        detector_score=someone.detection.score,
        landmarks_xy=someone.detection.landmarks_xy,
        person=someone.person,
    )


def _area(face: Face) -> float:
    x1, y1, x2, y2 = face.box_xyxy
    return (x2 - x1) * (y2 - y1)
