"""What reading a photo yields: values that every part of facetell shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Detection", "Face", "Reading"]

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Where a face is.

    Attributes:
        box_xyxy: corners in pixels of the original image, second corner exclusive.
        score: the detector's confidence, 0-1.
        landmarks_xy: L points (left eye, right eye, nose, left and right mouth corner, as seen
            in the image), px; empty when the detector has none.
    """

    box_xyxy: Box
    score: float
    landmarks_xy: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Face:
    """One face and what it looks like.

    Attributes:
        box_xyxy: corners in pixels of the original image, second corner exclusive.
        label: the emotion with the highest score; in a clip the steady one, which for moments may
            be another.
        scores: every emotion's score, 0-1, sum 1.
        margins: every emotion's SVM margin, unbounded; above 0 means "looks like it".
        margin: distance between the highest and the second highest score, 0-1.
        detector_score: 0-1; 1.0 when the image was given as a face.
        landmarks_xy: five points, px, or empty.
        person: number of the person in a clip, from 1; None in a photo.
        set: the labels that the face may have, highest score first; None if not asked for.
        sure: whether the model answers, or rather keeps silent, as it does with any warning; None
            if not asked for.
        warnings: what may make the scores worthless (see `runtime.quality.WARNINGS`).
    """

    box_xyxy: Box
    label: str
    scores: dict[str, float]
    margins: dict[str, float]
    margin: float
    detector_score: float = 1.0
    landmarks_xy: tuple[tuple[float, float], ...] = ()
    person: int | None = None
    set: tuple[str, ...] | None = None
    sure: bool | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` is its inverse."""
        return {
            "box_xyxy": list(self.box_xyxy),
            "label": self.label,
            "scores": dict(self.scores),
            "margins": dict(self.margins),
            "margin": self.margin,
            "detector_score": self.detector_score,
            "landmarks_xy": [list(point) for point in self.landmarks_xy],
            "person": self.person,
            "set": None if self.set is None else list(self.set),
            "sure": self.sure,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Face:
        """The face that `to_dict` described."""
        x1, y1, x2, y2 = values["box_xyxy"]
        points = tuple((float(x), float(y)) for x, y in values["landmarks_xy"])
        names = values.get("set")
        return cls(
            **{
                **values,
                "box_xyxy": (x1, y1, x2, y2),
                "landmarks_xy": points,
                "set": None if names is None else tuple(names),
                "warnings": tuple(values.get("warnings", ())),
            }
        )


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read from one image, or from one frame of a clip.

    Attributes:
        source: path or name of the image or clip, "" for arrays.
        size_wh: width and height after the EXIF orientation was applied, px; (0, 0) on error.
        faces: all faces, largest first; empty when there is none.
        model: name of the model that scored them.
        error: why the image could not be read, or None.
        time_s: when the frame is shown, seconds from the clip's start; None for a photo.
    """

    source: str
    size_wh: tuple[int, int]
    faces: tuple[Face, ...]
    model: str
    error: str | None = None
    time_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` is its inverse."""
        return {
            "source": self.source,
            "size_wh": list(self.size_wh),
            "faces": [face.to_dict() for face in self.faces],
            "model": self.model,
            "error": self.error,
            "time_s": self.time_s,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Reading:
        """The reading that `to_dict` described."""
        width, height = values["size_wh"]
        faces = tuple(Face.from_dict(face) for face in values["faces"])
        return cls(**{**values, "size_wh": (width, height), "faces": faces})
