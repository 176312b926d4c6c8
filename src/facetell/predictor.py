"""What can be judged: anything that turns faces into margins and scores.

The torch model, the ONNX file and a peer's model all fit this protocol, so that one
evaluation code scores them all.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from facetell.contract import Contract
from facetell.errors import InputError

__all__ = [
    "LEAST_BEND", "FramePredictor", "Prediction", "Predictor", "bent", "calibrated",
    "frame_by_frame", "softmax",
]  # fmt: skip

#: A smaller bend is none: calibration rounds to six digits.
LEAST_BEND = 1e-6


class Prediction(NamedTuple):
    """Answers for N faces.

    Attributes:
        margins: (N, K) float32, SVM margins.
        scores: (N, K) float32, calibrated, rows sum to 1.
        theta: (N, 2, 3) float32, the spatial transformer's affine map (output to input
            coordinates in [-1, 1]), or None for a model without one.
        steps: (N, L, K) float32, what each step of the LSTM over a face's regions adds to each
            margin: over the steps they sum to the margins of the face, not of its mirror image,
            less the SVM's bias. None for a model without one, or a file without that output.
    """

    margins: NDArray[np.float32]
    scores: NDArray[np.float32]
    theta: NDArray[np.float32] | None = None
    steps: NDArray[np.float32] | None = None


def softmax(margins: NDArray[np.floating], scale: float) -> NDArray[np.float32]:
    """softmax(scale * margins) along the last axis."""
    z = scale * margins.astype(np.float64)
    z = np.exp(z - z.max(-1, keepdims=True, initial=-np.inf))
    return np.asarray(z / z.sum(-1, keepdims=True), np.float32)


def calibrated(margins: NDArray[np.floating], contract: Contract) -> NDArray[np.float32]:
    """Scores of margins (N, K) by the contract's calibration: (N, K), rows sum to 1.

    softmax(scale * bent(margins)), where the scale depends on the label with the highest margin.
    Within a face the map is monotone: the label with the highest margin has the highest score.

    Departs from temperature scaling (Guo et al. 2017, section 4.2), which has the scale alone:
    how sure the model may be differs between the labels that it gives.
    """
    scale = np.full(len(contract.labels), contract.score_scale)
    if contract.score_factors:
        scale *= contract.score_factors
    top = margins.argmax(axis=1)
    return softmax(scale[top][:, None] * bent(margins, contract.score_bend), 1.0)


def bent(margins: NDArray[np.floating], bend: float) -> NDArray[np.float64]:
    """Margins as log-odds: ln softplus(bend * (margin + 1)), its slope 1 at a margin of -1.

    The squared hinge asks for the margin 2 p - 1 where a label has the probability p (see
    `model.svm.squared_hinge`): ln(margin + 1) is ln p and a constant, and softplus keeps it finite
    where a margin is below -1. With a bend of 0 margins are log-odds already, as a softmax's are.
    """
    straight: NDArray[np.float64] = np.asarray(margins, np.float64)
    if bend < LEAST_BEND:
        return straight
    m = bend * (straight + 1)
    with np.errstate(divide="ignore"):  # far below, softplus is 0 and its logarithm its argument
        logs = np.where(m < -30, m, np.log(np.logaddexp(0, m)))
    return np.asarray((logs - np.log(np.log(2))) * 2 * np.log(2) / bend)


@runtime_checkable
class Predictor(Protocol):
    """Something that scores faces."""

    @property
    def contract(self) -> Contract: ...

    def predict(self, faces: NDArray[np.uint8]) -> Prediction:
        """Score (N, S, S) grey or (N, S, S, 3) RGB uint8 faces; N may be 0 and large."""
        ...


@runtime_checkable
class FramePredictor(Predictor, Protocol):
    """Something that also scores the faces of a clip's frames by what went before."""

    def predict_next(
        self,
        faces: NDArray[np.uint8],
        memory: NDArray[np.float32] | None,
        elapsed_s: NDArray[np.floating],
    ) -> tuple[Prediction, NDArray[np.float32]]:
        """Score the next frame of N clips.

        Args:
            faces: (N, S, S) grey or (N, S, S, 3) RGB uint8.
            memory: (N, ...) as the frame before left it; zeros, or None for all of them, where
                there was none.
            elapsed_s: (N,) seconds since that frame; 0 where there was none.

        Returns:
            The prediction, and the memory for the next frame.
        """
        ...


def frame_by_frame(model: Predictor) -> FramePredictor | None:
    """The model as one that goes from frame to frame; None for a model of stills.

    Raises:
        InputError: it has an LSTM over frames, but cannot be asked frame by frame.
    """
    if not model.contract.memory:
        return None
    if not isinstance(model, FramePredictor):
        raise InputError(
            f"expected a model that goes from frame to frame, got {model.contract.name} with an "
            "LSTM over frames as a training run. Export it with `facetell export` first.",
            actual=model.contract.name,
        )
    return model
