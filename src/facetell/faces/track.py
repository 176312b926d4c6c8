"""Faces found in single frames -> people who keep their number over time.

Each person has a constant-velocity Kalman filter for the middle of the face and a slow average
of its size (Bewley et al. 2016, "Simple Online and Realtime Tracking", section 3, with boxes
compared by distance instead of overlap, so that frames may be far apart). A person out of sight
moves on for `remember_s` seconds and gets the same number back when found where expected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facetell.results import Detection

__all__ = ["Tracked", "Tracker"]

# Lengths are in sizes of the face (its longer side), so that near and far people move alike.
_ACCELERATION = 6.0  # sizes / s²: a head that starts, stops or turns
_NOISE = 0.03  # sizes: how far the detector's boxes tremble
_FIRST_SPEED = 1.0  # sizes / s: what is not known about a newcomer
_SLOWING_S = 0.4  # out of sight, a person's speed falls by 1/e in this time
_SIZE_S = 0.15  # averaging time of width and height, seconds
_REACH = 0.7  # sizes: how far from the expected place a face may be found
_REACH_GROWS = 1.2  # sizes / s: and how much farther for each second out of sight
_WIDEST_REACH = 1.6  # sizes
_LARGEST_CHANGE = math.log(2.0)  # of the size, between two sightings


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """A person at a moment.

    Attributes:
        person: the number, from 1 in the order of appearance.
        detection: box and landmarks, px, with the tremble of single detections smoothed out.
        seen_s: when the face was last found; earlier than now while it is out of sight.
    """

    person: int
    detection: Detection
    seen_s: float


class Tracker:
    """Gives detections the numbers of people. One for each clip.

    Args:
        remember_s: a person out of sight longer than this comes back as somebody new.

    Example:
        >>> tracker = Tracker()
        >>> face = Detection(box_xyxy=(10.0, 10.0, 50.0, 60.0), score=0.9)
        >>> [someone.person for someone in tracker.update([face], 0.0)]
        [1]
    """

    def __init__(self, *, remember_s: float = 1.2) -> None:
        self.remember_s = remember_s
        self._people: list[_Person] = []
        self._count = 0

    def update(
        self, detections: Sequence[Detection], time_s: float, *, newcomers: bool = True
    ) -> tuple[Tracked, ...]:
        """The people whose faces these are, in the order of the detections.

        Args:
            detections: the faces found in the frame, px.
            time_s: the frame's time; not before the last one's.
            newcomers: whether a face that belongs to nobody becomes somebody new; if not, it
                is left out.
        """
        self._people = [p for p in self._people if time_s - p.seen_s <= self.remember_s]
        for person in self._people:
            person.move_to(time_s)
        owners = _assign(self._people, detections, time_s)
        seen = []
        for detection, owner in zip(detections, owners, strict=True):
            if owner is None and not newcomers:
                continue
            person = self._add(detection, time_s) if owner is None else self._people[owner]
            person.see(detection, time_s)
            seen.append(person.tracked(time_s))
        return tuple(seen)

    def expect(self, time_s: float) -> tuple[Tracked, ...]:
        """Everybody remembered, where they should be at that time; nothing is changed."""
        people = [p for p in self._people if time_s - p.seen_s <= self.remember_s]
        return tuple(person.tracked(time_s) for person in people)

    def forget(self) -> None:
        """Everybody is gone, as after a cut to another scene; numbers are not used again."""
        self._people = []

    def _add(self, detection: Detection, time_s: float) -> _Person:
        self._count += 1
        self._people.append(_Person(self._count, detection, time_s))
        return self._people[-1]


class _Person:
    """One face's state: (2, 2) position and velocity by x and y, and the size."""

    def __init__(self, number: int, detection: Detection, time_s: float) -> None:
        self.number = number
        centre, size = _centre_and_size(detection)
        self.state = np.stack([centre, np.zeros(2)])
        self.size_wh = size
        self.spread = self._length() ** 2 * np.diag([_NOISE**2, _FIRST_SPEED**2])
        self.detection, self.time_s, self.seen_s = detection, time_s, time_s

    def _length(self) -> float:
        return float(self.size_wh.max())

    def move_to(self, time_s: float) -> None:
        """Predict: Kalman's first step."""
        step = max(0.0, time_s - self.time_s)
        push = self._length() ** 2 * _ACCELERATION**2
        turn = np.array([[1.0, step], [0.0, 1.0]])
        grown = np.array([[step**4 / 4, step**3 / 2], [step**3 / 2, step**2]]) * push
        self.state = self._state_at(time_s)
        self.spread = turn @ self.spread @ turn.T + grown
        self.time_s = max(self.time_s, time_s)

    def _state_at(self, time_s: float) -> NDArray[np.float64]:
        step = max(0.0, time_s - self.time_s)
        hidden = self.time_s - self.seen_s
        # While hidden the way is the integral of a speed that dies away.
        still_to_go = _SLOWING_S * (1 - math.exp(-step / _SLOWING_S)) if hidden > 0 else step
        position = self.state[0] + self.state[1] * still_to_go
        fading = math.exp(-step / _SLOWING_S) if hidden > 0 else 1.0
        return np.stack([position, self.state[1] * fading])

    def see(self, detection: Detection, time_s: float) -> None:
        """Correct: Kalman's second step."""
        centre, size = _centre_and_size(detection)
        noise = (_NOISE * self._length()) ** 2
        gain = self.spread[:, :1] / (self.spread[0, 0] + noise)  # (2, 1)
        self.state = self.state + gain * (centre - self.state[0])
        self.spread = self.spread - gain @ self.spread[:1]
        share = 1 - math.exp(-(time_s - self.seen_s) / _SIZE_S)
        self.size_wh = self.size_wh * (size / self.size_wh) ** share
        self.detection, self.seen_s = detection, time_s

    def tracked(self, time_s: float) -> Tracked:
        x, y = self._state_at(time_s)[0].tolist()
        width, height = self.size_wh.tolist()
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        found, _ = _centre_and_size(self.detection)
        points = tuple(
            (px + x - float(found[0]), py + y - float(found[1]))
            for px, py in self.detection.landmarks_xy
        )
        placed = replace(self.detection, box_xyxy=box, landmarks_xy=points)
        return Tracked(person=self.number, detection=placed, seen_s=self.seen_s)

    def distance(self, detection: Detection, time_s: float) -> float:
        """0 where expected, 1 at the edge of what may be the same person, more beyond."""
        centre, size = _centre_and_size(detection)
        reach = min(_REACH + _REACH_GROWS * (time_s - self.seen_s), _WIDEST_REACH)
        apart = float(np.hypot(*(centre - self.state[0]))) / (reach * self._length())
        grown = abs(math.log(float(size.max()) / self._length())) / _LARGEST_CHANGE
        return math.hypot(apart, grown)


def _centre_and_size(detection: Detection) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x1, y1, x2, y2 = detection.box_xyxy
    size = np.maximum(np.array([x2 - x1, y2 - y1]), 1.0)
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2]), size


def _assign(
    people: Sequence[_Person], detections: Sequence[Detection], time_s: float
) -> list[int | None]:
    """For each detection the index of its person, or None: the nearest pairs first."""
    pairs = sorted(
        (person.distance(detection, time_s), row, column)
        for row, person in enumerate(people)
        for column, detection in enumerate(detections)
    )
    owners: list[int | None] = [None] * len(detections)
    taken: set[int] = set()
    for distance, row, column in pairs:
        if distance <= 1 and row not in taken and owners[column] is None:
            owners[column] = row
            taken.add(row)
    return owners
