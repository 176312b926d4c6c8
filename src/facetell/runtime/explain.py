"""A face that was read -> what the model straightened, weighed and depended on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facetell.faces.crop import crop_faces, whole_face
from facetell.predictor import Predictor
from facetell.results import Detection, Face, Reading
from facetell.runtime.occlusion import Occlusion, occlude

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """What a model did with one face.

    Attributes:
        number: of the face in its reading, from 1.
        face: what was read.
        crop: (S, S, 3) uint8, the face as the model got it, in colour.
        occlusion: what the label's score depends on when it is hidden.
        theta: (2, 3), the spatial transformer's map, output to input coordinates in [-1, 1];
            None for a model without one.
        steps: (L, K), what each step of the LSTM over regions adds to each margin of the face
            itself (not of its mirror image); None for a model without one, or a file without
            that output.
    """

    number: int
    face: Face
    crop: NDArray[np.uint8]
    occlusion: Occlusion
    theta: NDArray[np.float32] | None = None
    steps: NDArray[np.float32] | None = None


def explain(
    model: Predictor, image: NDArray[np.uint8], reading: Reading, *, whole: bool = False
) -> Iterator[Explanation]:
    """One explanation per face of a reading, in its order; about 300 runs of the model each.

    Args:
        model: what the reading was made with.
        image: (H, W, 3) uint8, the photo that was read, or the clip's frame.
        reading: the occlusion map is that of each face's `label`.
        whole: the image was given as a face (`detector="none"`).

    Example:
        analyzer = Analyzer()
        for found in explain(analyzer.model, image, analyzer.read(image)):
            print(found.face.label, found.occlusion.lowest_box)
    """
    if not reading.faces:
        return
    crops = _crops(model, image, reading, whole)
    prediction = model.predict(crops)
    for row, face in enumerate(reading.faces):
        yield Explanation(
            number=row + 1,
            face=face,
            crop=crops[row],
            occlusion=occlude(model, crops[row], face.label),
            theta=None if prediction.theta is None else prediction.theta[row],
            steps=None if prediction.steps is None else prediction.steps[row],
        )


def _crops(
    model: Predictor, image: NDArray[np.uint8], reading: Reading, whole: bool
) -> NDArray[np.uint8]:
    """(N, S, S, 3): cut out as they were when they were read."""
    if whole:
        return whole_face(image, model.contract.face_px)[None]
    detections = [
        Detection(box_xyxy=face.box_xyxy, score=face.detector_score, landmarks_xy=face.landmarks_xy)
        for face in reading.faces
    ]
    return crop_faces(image, detections, model.contract)
