"""Frames, one after the other -> readings with numbered people and steady scores."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facetell.errors import InputError
from facetell.faces.crop import crop_faces, whole_face
from facetell.faces.detect import WholeImage
from facetell.faces.track import Tracked
from facetell.images import read_image
from facetell.predictor import Prediction, frame_by_frame
from facetell.results import Face, Reading
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.finder import SEARCH_S, Finder
from facetell.runtime.quality import warn
from facetell.runtime.steady import Steady, SteadyScores

__all__ = ["Follower"]


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

    Raises:
        InputError: the model has an LSTM over frames, but cannot be asked frame by frame.

    Example:
        follower = Follower(Analyzer())
        for frame in frames:
            reading = follower.read(frame.image, frame.time_s)
            print(reading.time_s, [(face.person, face.label) for face in reading.faces])
    """

    def __init__(
        self,
        analyzer: Analyzer,
        *,
        source: str = "",
        search_s: float = SEARCH_S,
        steady: bool = True,
        remember_s: float = 1.2,
    ) -> None:
        self._finder = Finder(
            analyzer.detector,
            detect=analyzer.detect,  # with its lock
            search_s=search_s,
            remember_s=remember_s,
        )
        self.analyzer = analyzer
        self._framewise = frame_by_frame(analyzer.model)
        self.source = source
        self.steady = steady
        self._score_s = 0.0
        self._people: dict[int, _Look] = {}
        self._time_s = -math.inf

    @property
    def spent_s(self) -> dict[str, float]:
        """Seconds spent so far on `detect` (whole frames), `track` and `score`."""
        return {**self._finder.spent_s, "score": self._score_s}

    @property
    def searched(self) -> int:
        """Frames that were searched as a whole."""
        return self._finder.searched

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
        seen = self._finder.find(image, time_s)
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

    def _score(
        self, image: NDArray[np.uint8], seen: Sequence[Tracked], time_s: float
    ) -> list[Face]:
        started = time.perf_counter()
        contract = self.analyzer.contract
        known = {someone.person for someone in self._finder.expect(time_s)}
        self._people = {n: look for n, look in self._people.items() if n in known}
        detections = [someone.detection for someone in seen]
        if isinstance(self.analyzer.detector, WholeImage):
            crops = whole_face(image, contract.face_px)[None]
        else:
            crops = crop_faces(image, detections, contract)
        looks = [self._look(someone.person) for someone in seen]
        scored = self._predict(looks, crops, time_s)
        faces = []
        warnings = warn(crops, detections)
        for row, (someone, look) in enumerate(zip(seen, looks, strict=True)):
            now = look.update(scored, row, time_s, steady=self.steady)
            if now.scores.max() >= self.analyzer.min_score:
                face = replace(_face(someone, now, contract.labels), warnings=warnings[row])
                faces.append(self.analyzer.doubt.about(face))
        self._score_s += time.perf_counter() - started
        return faces

    def _look(self, person: int) -> _Look:
        return self._people.setdefault(person, _Look())

    def _predict(
        self, looks: Sequence[_Look], crops: NDArray[np.uint8], time_s: float
    ) -> Prediction:
        if self._framewise is None:
            return self.analyzer.model.predict(crops)
        old = next((look.memory for look in looks if look.memory is not None), None)
        memory = None if old is None else np.stack(
            [np.zeros_like(old) if look.memory is None else look.memory for look in looks]
        )  # fmt: skip
        scored, after = self._framewise.predict_next(
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
