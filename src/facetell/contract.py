"""What a model file promises about itself.

The contract travels in the ONNX metadata under the key `facetell.contract`.
Training and runtime prepare faces with one function that reads nothing but this.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from facetell.errors import ContractError
from facetell.labels import EMOTIONS

__all__ = ["METADATA_KEY", "VERSION", "Contract"]

METADATA_KEY = "facetell.contract"
VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Contract:
    """Everything a runtime must know to use a model file, and nothing it must guess.

    Attributes:
        name: what the model is called, for people.
        labels: K emotion names, in the order of the score vector.
        face_px: side S of the face the model takes, px.
        channels: 1 (grey, Rec. 601 luma) or 3 (RGB).
        mean: per channel, on the 0-1 scale; subtracted from the face.
        std: per channel, on the 0-1 scale; divides the face.
        crop_margin: the square crop's side is (1 + 2 * margin) times the box's longer side.
        align: turn the crop so that the eyes lie level.
        sequence: what the LSTM reads: `regions`, `rows`; `mean`, `whole`: no LSTM.
        memory: units H of the LSTM over the frames of a clip; 0 for a model of stills.
        flip: average the margins of the face and of its mirror image.
        score_scale: scores = softmax(score_scale * margins), fitted on validation faces.
        score_meaning: one sentence for people.
        recipe: name of the recipe that trained it.
        architecture: short description of the blocks in use.
        protocol: how training, selection and test faces were kept apart.
        data: fingerprint of what it was trained on (see datasets.fingerprint).
        results: numbers measured at export, with their protocol.
        parameters: learned numbers in the graph.
        multiply_adds: multiply-adds for one face, without flip.
        licence: what is known about the licence of weights and data.
        version: version of this format.
    """

    name: str
    labels: tuple[str, ...] = EMOTIONS
    face_px: int = 48
    channels: int = 1
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.25,)
    crop_margin: float = 0.0
    align: bool = True
    sequence: str = "regions"
    memory: int = 0
    flip: bool = True
    score_scale: float = 1.0
    score_meaning: str = (
        "How the face looks to annotators, not what the person feels; "
        "scores are calibrated on validation faces and sum to 1."
    )
    recipe: str = ""
    architecture: str = ""
    protocol: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    parameters: int = 0
    multiply_adds: int = 0
    licence: str = ""
    version: int = VERSION

    def __post_init__(self) -> None:
        checks = {
            "labels": len(self.labels) >= 2 and len(set(self.labels)) == len(self.labels),
            "face_px": 8 <= self.face_px <= 1024,
            "channels": self.channels in (1, 3),
            "mean": len(self.mean) == self.channels,
            "std": len(self.std) == self.channels and all(s > 0 for s in self.std),
            "crop_margin": -0.5 < self.crop_margin <= 2,
            "memory": self.memory >= 0,
            "score_scale": self.score_scale > 0,
        }
        for name, holds in checks.items():
            if not holds:
                raise ContractError(
                    f"contract field {name!r} has the impossible value {getattr(self, name)!r}. "
                    "Export the model again with `facetell export`."
                )

    def to_json(self) -> str:
        """One line of JSON; `from_json` is its inverse."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Contract:
        """The contract in a line of JSON. Unknown fields are an error: they may matter."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ContractError(
                f"the contract is not JSON ({error}). Export the model again."
            ) from error
        version = values.get("version") if isinstance(values, dict) else None
        if version != VERSION:
            raise ContractError(
                f"expected a contract of version {VERSION}, got {version!r}. "
                "Use the facetell version that wrote the file, or export the model again.",
                expected=VERSION,
                actual=version,
            )
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ContractError(
                f"unknown contract fields {sorted(unknown)}. "
                "Use a newer facetell to read this file."
            )
        for name in ("labels", "mean", "std"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)
