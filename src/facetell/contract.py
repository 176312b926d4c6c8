"""What a model file promises about itself.

The contract travels in the ONNX metadata under the key `facetell.contract`.
Training and runtime prepare faces with one function that reads nothing but this.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import Any

from facetell.errors import ContractError
from facetell.labels import EMOTIONS

__all__ = ["METADATA_KEY", "VERSION", "Certainty", "Contract", "replace_contract"]

METADATA_KEY = "facetell.contract"
VERSION = 2
_METADATA = 14 << 3 | 2  # tag of an ONNX file's metadata entries: field 14, length-delimited


@dataclass(frozen=True, kw_only=True)
class Certainty:
    """What faces that the model had not seen showed about when it can be believed.

    Attributes:
        data: which faces these were, for people.
        faces: how many.
        levels: shares of faces whose set shall hold their label, 0-1, ascending.
        least_scores: for each level and label the score from which the label is in the set.
        shares: shares of faces that shall get an answer, 0-1, ascending.
        sure_scores: for each share the highest score of a face from which it is answered.
        accuracies: for each share the accuracy of the answers on these faces, 0-1.
    """

    data: str
    faces: int
    levels: tuple[float, ...]
    least_scores: tuple[tuple[float, ...], ...]
    shares: tuple[float, ...]
    sure_scores: tuple[float, ...]
    accuracies: tuple[float, ...]

    def fits(self, labels: int) -> bool:
        """Whether the numbers can be those of a model with so many labels."""
        rows = [len(row) == labels and all(0 <= s <= 1 for s in row) for row in self.least_scores]
        return (
            len(self.levels) == len(rows) > 0
            and all(rows)
            and len(self.shares) == len(self.sure_scores) == len(self.accuracies) > 0
            and all(0 < a < b <= 1 for a, b in pairwise((*self.levels, 1.0)))
            and all(0 < a < b <= 1 for a, b in pairwise(self.shares))
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Certainty:
        """The certainty that `dataclasses.asdict` took apart."""
        lists = ("levels", "shares", "sure_scores", "accuracies")
        read: dict[str, Any] = {name: tuple(values[name]) for name in lists}
        read["least_scores"] = tuple(tuple(row) for row in values["least_scores"])
        return cls(**{**values, **read})


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
        score_scale: scores = softmax(score_scale * margins), fitted on validation faces; see
            `predictor.calibrated` for what the next two add. The graph's own output `scores`
            knows none of it: it is the softmax on the scale that was fitted after training.
        score_factors: K factors of the scale, by the label with the highest margin; () is 1 each.
        score_bend: how far margins are from log-odds; 0 for a softmax's, which are some.
        certainty: when to believe the model; None for a file that was not calibrated for it.
        score_meaning: one sentence for people.
        recipe: name of the recipe that trained it.
        architecture: short description of the blocks in use.
        protocol: name of the way in which training, selection and test faces were kept apart.
        trained_on: SHA-256 of the ids and labels of its training faces (`Split.trained_on`); ""
            where not known.
        training: what it learned from, one remark each, the faces of both sides first.
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
    score_factors: tuple[float, ...] = ()
    score_bend: float = 0.0
    certainty: Certainty | None = None
    score_meaning: str = (
        "How the face looks to annotators, not what the person feels; "
        "scores are calibrated on validation faces and sum to 1."
    )
    recipe: str = ""
    architecture: str = ""
    protocol: str = ""
    trained_on: str = ""
    training: tuple[str, ...] = ()
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
            "score_factors": len(self.score_factors) in (0, len(self.labels))
            and all(factor > 0 for factor in self.score_factors),
            "score_bend": self.score_bend >= 0,
            "certainty": self.certainty is None or self.certainty.fits(len(self.labels)),
        }
        for name, holds in checks.items():
            if not holds:
                raise ContractError(
                    f"contract field {name!r} has the impossible value {getattr(self, name)!r}. "
                    "Export the model again with `facetell export`."
                )

    def learned_from(self) -> dict[str, Any]:
        """How many faces of each label it was trained on and chosen by, None where not known."""
        classes = self.data.get("classes", {})
        return {side: classes.get(side) for side in ("train", "validation")}

    @property
    def own_sides(self) -> bool:
        """Whether the sides that came with the data said who trains and who chooses."""
        own = self.protocol in ("official", "clean")
        return own and self.learned_from()["validation"] is not None

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
                "Use the facetell version that wrote the file, or export the model again."
            )
        if values.get("certainty") is not None:
            values["certainty"] = _certainty(values["certainty"])
        try:
            for name in ("labels", "mean", "std", "score_factors", "training"):
                if name in values:
                    values[name] = tuple(values[name])
            return cls(**values)
        except TypeError as error:
            raise ContractError(
                f"the contract cannot be read ({error}). Export the model again."
            ) from error


def _certainty(values: Any) -> Certainty:
    try:
        return Certainty.from_dict(values)
    except (TypeError, KeyError) as error:
        raise ContractError(
            f"contract field 'certainty' cannot be read ({error}). "
            "Calibrate the model again with `facetell calibrate`."
        ) from error


def replace_contract(model: bytes, contract: Contract) -> bytes:
    """The same ONNX file with another contract in its metadata; the graph is not touched.

    An ONNX file is a protobuf message whose field 14 holds the metadata, one entry each: no
    library is needed to leave one out and to append another.

    Args:
        model: the bytes of an .onnx file.
        contract: what it promises from now on.

    Raises:
        ContractError: the bytes are no protobuf message.
    """
    kept = [part for tag, part in _fields_of(model) if tag != _METADATA or not _is_contract(part)]
    entry = _field(1, METADATA_KEY.encode()) + _field(2, contract.to_json().encode())
    return b"".join(kept) + _field(14, entry)


def _is_contract(part: bytes) -> bool:
    """Whether an entry's key, its first field, is the contract's."""
    _, at = _read_varint(part, 0)
    _, at = _read_varint(part, at)
    return part.startswith(_field(1, METADATA_KEY.encode()), at)


def _fields_of(message: bytes) -> list[tuple[int, bytes]]:
    """(tag, bytes with the tag) of the message's fields, in order."""
    found, at = [], 0
    while at < len(message):
        tag, end = _read_varint(message, at)
        kind = tag & 7
        if kind == 0:
            _, end = _read_varint(message, end)
        elif kind == 2:
            length, end = _read_varint(message, end)
            end += length
        else:
            end += {1: 8, 5: 4}.get(kind, len(message) + 1)
        if end > len(message):
            raise _not_onnx()
        found.append((tag, message[at:end]))
        at = end
    return found


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, lowest first, and where the next thing begins."""
    value = 0
    for place in range(at, min(at + 10, len(message))):
        value |= (message[place] & 127) << 7 * (place - at)
        if message[place] < 128:
            return value, place + 1
    raise _not_onnx()


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _not_onnx() -> ContractError:
    return ContractError(
        "expected the bytes of an ONNX file, got something else. Copy or export the file again."
    )
