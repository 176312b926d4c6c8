"""Anybody's ONNX model that scores faces, described by its user -> a predictor.

What the graph tells (layout, size, channels, batch) is read from it. What it cannot tell (names,
range of the pixels) is asked for, never guessed.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facetell.contract import METADATA_KEY, Contract
from facetell.errors import InputError
from facetell.graph import open_graph
from facetell.labels import EMOTIONS, canonical
from facetell.predictor import Prediction, Predictor, softmax
from facetell.runtime.session import BATCH, Model
from facetell.tensors import normalise

if TYPE_CHECKING:
    import onnxruntime

__all__ = [
    "Description", "ForeignModel", "Interface", "load_any", "read_description", "read_interface",
]  # fmt: skip

#: Range of the pixels -> mean and deviation on the 0-1 scale.
_RANGES = {"0-255": (0.0, 1 / 255), "0-1": (0.0, 1.0), "-1-1": (0.5, 0.5)}
_OUTPUTS = ("logits", "probabilities")
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a user says of a model; what is left out is read from the graph or not known.

    Attributes:
        labels: names of the outputs, in order; other people's names are understood ("anger").
        size: side of the face, px.
        channels: 1 (grey) or 3 (RGB).
        range: of the pixels: 0-255, 0-1 or -1-1; the short way to say mean and std.
        mean: per channel, on the 0-1 scale; with std in place of range.
        std: per channel, on the 0-1 scale, above 0.
        layout: NCHW or NHWC.
        output: logits or probabilities.
    """

    labels: tuple[str, ...] = ()
    size: int = 0
    channels: int = 0
    range: Literal["", "0-255", "0-1", "-1-1"] = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: Literal["", "NCHW", "NHWC"] = ""
    output: Literal["", "logits", "probabilities"] = ""

    def __post_init__(self) -> None:
        choices = {"range": tuple(_RANGES), "layout": ("NCHW", "NHWC"), "output": _OUTPUTS}
        for name, known in choices.items():
            value = getattr(self, name)
            if value and value not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}.")
        kinds = {"labels": str, "mean": int | float, "std": int | float}
        for name, kind in kinds.items():
            if not all(isinstance(value, kind) for value in getattr(self, name)):
                wanted = "texts" if kind is str else "numbers"
                raise InputError(f"{name} must be a list of {wanted}, got {getattr(self, name)!r}.")
        if self.channels not in (0, 1, 3):
            raise InputError(f"channels must be 1 or 3, got {self.channels}.")
        if not all(map(math.isfinite, self.mean)):
            raise InputError(f"mean must be finite numbers, got {_list(self.mean)}.")
        if not all(0 < value < math.inf for value in self.std):
            raise InputError(f"std must be numbers above 0, got {_list(self.std)}.")
        if self.range and (self.mean or self.std):
            given = f"mean {_list(self.mean)}" if self.mean else f"std {_list(self.std)}"
            raise InputError(
                f"expected range, or mean and std in its place, got range {self.range} and "
                f"{given}. Leave one of them out."
            )

    def updated(self, other: Description) -> Description:
        """This, with what the other says in place of it."""
        said = {f.name: getattr(other, f.name) for f in fields(other) if getattr(other, f.name)}
        if other.range:
            said |= {"mean": (), "std": ()}
        elif other.mean or other.std:
            said["range"] = ""
        return replace(self, **said)


class Interface(NamedTuple):
    """How a graph takes faces.

    Attributes:
        name: of the input.
        layout: NCHW or NHWC.
        batch: faces in a call where the graph fixes them, else 0.
        channels: 1 or 3.
        size: side of the face, px.
        dtype: of the input.
    """

    name: str
    layout: Literal["NCHW", "NHWC"]
    batch: int
    channels: int
    size: int
    dtype: Any

    def shape(self, faces: int) -> tuple[int, ...]:
        """The input's shape for this many faces."""
        face = (self.size, self.size)
        image = (self.channels, *face) if self.layout == "NCHW" else (*face, self.channels)
        return (faces, *image)


def read_description(model: Path) -> Description:
    """What the TOML file beside a model says (model.toml for model.onnx); empty without one.

    Raises:
        InputError: not TOML, an unknown key, or a value of another kind.
    """
    path = model.with_suffix(".toml")
    if not path.is_file():
        return Description()
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: expected TOML that describes {model.name}, got {error}. Correct the file."
        ) from error
    return _described(values, path)


def _described(values: Mapping[str, Any], path: Path) -> Description:
    known: dict[str, Any] = {f.name: f.default for f in fields(Description)}
    given: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}."
            raise InputError(f"unknown key {key!r} in {path}. {hint}")
        value = tuple(value) if isinstance(value, list) else value
        if type(value) is not type(known[key]):
            wanted = {str: "text", int: "a whole number", tuple: "a list"}[type(known[key])]
            raise InputError(f"{key} in {path} must be {wanted}, got {value!r}. Correct the file.")
        given[key] = value
    try:
        return Description(**given)
    except InputError as error:
        raise InputError(f"{path}: {error} Correct the file.") from error


def read_interface(graph: onnxruntime.InferenceSession, said: Description, path: Path) -> Interface:
    """How a graph takes faces, from its input's shape and what is said of it.

    Raises:
        InputError: it takes no images, contradicts the description, or leaves something open.
    """
    inputs = graph.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _DTYPES:
        takes = ", ".join(f"{value.name} {value.type} {value.shape}" for value in inputs)
        raise InputError(
            f"{path}: expected a graph with one input of images (four axes), got {takes}. "
            "Only such models can be measured beside ours."
        )
    shape = [axis if isinstance(axis, int) and axis > 0 else 0 for axis in inputs[0].shape]
    layout = said.layout or _layout(shape)
    if not layout:
        raise _untold(path, "layout", f"its input has the shape {inputs[0].shape}", "NCHW")
    axes = (1, 2, 3) if layout == "NCHW" else (3, 1, 2)
    channels, height, width = (shape[axis] for axis in axes)
    channels = _agreed(path, "channels", channels, said.channels)
    size = _agreed(path, "size", height or width, said.size)
    read = f"an input of the shape {inputs[0].shape} read as {layout}"
    if channels not in (1, 3):
        raise InputError(
            f"{path}: expected faces with 1 or 3 channels, got {read}. "
            "Correct --layout, or leave the model out."
        )
    if height and width and height != width:
        raise InputError(
            f"{path}: expected square faces, got {read}: {height} px high and {width} px wide. "
            "Only models of square faces can be measured beside ours."
        )
    dtype = _DTYPES[inputs[0].type]
    return Interface(inputs[0].name, layout, shape[0], channels, size, dtype)


def _layout(shape: Sequence[int]) -> Literal["", "NCHW", "NHWC"]:
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first == last:
        return ""
    return "NCHW" if first else "NHWC"


def _agreed(path: Path, name: str, told: int, said: int) -> int:
    """A number that the graph tells, the user says, or both alike."""
    if told and said and told != said:
        raise InputError(
            f"{path}: expected {name} {told} as in the graph, got {said}. Leave --{name} out."
        )
    if not (told or said):
        raise _untold(path, name, "its graph leaves them open", "48" if name == "size" else "1")
    return told or said


def _untold(path: Path, name: str, why: str, example: str) -> InputError:
    return InputError(
        f"{path}: expected to know its {name}, got nothing: {why}. "
        f"Give --{name} {example}, or write {name} into "
        f"{path.with_suffix('.toml').name} beside it.",
        path=str(path),
        missing=name,
    )


class ForeignModel:
    """A described model as a `Predictor`.

    It scores the labels that it shares with the data; scores of others, such as contempt, are
    left out and the rest sum to 1.

    Args:
        path: the ONNX file.
        said: what its user says of it.
        labels: the data's labels.
        threads: threads for the network; None takes every processor.
        flip: average each face with its mirror image.

    Raises:
        InputError: names, range or something else is not known, or no output scores one of the
            data's labels.
    """

    def __init__(
        self,
        path: Path,
        said: Description,
        *,
        labels: Sequence[str] = EMOTIONS,
        threads: int | None = None,
        flip: bool | None = None,
    ) -> None:
        self.path, self.flip = path, bool(flip)
        self._graph = open_graph(path, threads=threads)
        self._interface = read_interface(self._graph, said, path)
        names = _names(path, said)
        mean, std = _normal(path, said, self._interface)
        self._columns = [i for i, name in enumerate(names) if name in labels]
        self.contract = Contract(
            name=path.stem,
            labels=tuple(names),
            face_px=self._interface.size,
            channels=self._interface.channels,
            mean=mean,
            std=std,
            flip=self.flip,
            score_meaning="A third party's scores, as its graph gives them.",
        )
        self._output = self._find_output(len(names))
        missing = [label for label in labels if label not in names]
        if missing:
            raise InputError(
                f"{path}: expected an output for every label of the data, got none for "
                f"{', '.join(missing)} among {', '.join(names)}. Correct --labels, or judge on "
                "data with the model's labels."
            )
        self.contract = replace(self.contract, labels=tuple(names[i] for i in self._columns))
        self._logits = (said.output or self._guess_output()) == "logits"

    def predict(self, faces: NDArray[np.uint8]) -> Prediction:
        """Margins (logits, or log-probabilities) and scores of N faces; N may be 0 and large."""
        margins = self._margins(faces)
        if self.flip:
            margins = (margins + self._margins(faces[:, :, ::-1])) * np.float32(0.5)
        return Prediction(margins, softmax(margins, 1.0))

    def _margins(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        step = self._interface.batch or BATCH
        outputs = [self._run(faces[i : i + step]) for i in range(0, len(faces), step)]
        shape = (0, len(self._columns))
        chosen = [output[:, self._columns] for output in outputs]
        found = np.concatenate([np.empty(shape, np.float32), *chosen])
        return found if self._logits else np.log(np.maximum(found, np.float32(1e-12)))

    def _run(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, S, S[, 3]) uint8 -> (B, outputs)."""
        missing = max(0, self._interface.batch - len(faces))
        if missing:  # the last faces of a graph with a fixed batch
            faces = np.concatenate([faces, np.repeat(faces[-1:], missing, axis=0)])
        tensor = normalise(faces, self.contract)  # (B, C, S, S)
        if self._interface.layout == "NHWC":
            tensor = tensor.transpose(0, 2, 3, 1)
        fed = np.ascontiguousarray(tensor, self._interface.dtype)
        (found,) = self._graph.run([self._output], {self._interface.name: fed})
        rows = np.asarray(found, np.float32).reshape(len(faces), -1)
        return rows[: len(faces) - missing]

    def _find_output(self, count: int) -> str:
        """The one output with as many numbers for a face as there are names."""
        blank = np.zeros((1, self._interface.size, self._interface.size), np.uint8)
        sizes = []
        for output in self._graph.get_outputs():
            self._output = str(output.name)
            sizes.append(self._run(blank).shape[1])
            if sizes[-1] == count:
                return self._output
        raise InputError(
            f"{self.path}: expected as many labels as it has outputs, {sizes[0]}, got {count}. "
            "Name every output in order with --labels, also those the data do not have."
        )

    def _guess_output(self) -> str:
        """Whether the numbers of four faces of noise are probabilities."""
        side = self._interface.size
        faces = np.random.default_rng(0).integers(0, 256, (4, side, side)).astype(np.uint8)
        found = np.concatenate([self._run(face[None]) for face in faces])
        sums = (found >= 0).all() and np.allclose(found.sum(axis=1), 1, atol=1e-2)
        return "probabilities" if sums else "logits"


class _Narrowed:
    """A model of ours without the labels that the data do not have; the others' scores sum to 1."""

    def __init__(self, model: Model, labels: Sequence[str]) -> None:
        self._model, self.flip = model, model.flip
        names = model.contract.labels
        self._columns = [i for i, name in enumerate(names) if name in labels]
        self.contract = replace(
            model.contract,
            labels=tuple(names[i] for i in self._columns),
            score_factors=(),
            certainty=None,  # both say something of all the labels
        )

    def predict(self, faces: NDArray[np.uint8]) -> Prediction:
        """Margins and scores of N faces, of the labels that are left."""
        found = self._model.predict(faces)
        scores = np.maximum(found.scores[:, self._columns], np.float32(1e-12))
        scores = scores / scores.sum(axis=1, keepdims=True)
        return Prediction(found.margins[:, self._columns], scores)


def load_any(
    path: Path,
    said: Description,
    *,
    labels: Sequence[str] = EMOTIONS,
    threads: int | None = None,
    flip: bool | None = None,
) -> Predictor:
    """A model with a contract by its contract, another by what its user says of it.

    Labels that the data do not have, such as contempt, are left out of both.
    """
    graph = open_graph(path, threads=1)
    if METADATA_KEY in graph.get_modelmeta().custom_metadata_map:
        model = Model(path, threads=threads, flip=flip)
        return _Narrowed(model, labels) if set(model.contract.labels) > set(labels) else model
    return ForeignModel(path, said, labels=labels, threads=threads, flip=flip)


def _names(path: Path, said: Description) -> list[str]:
    if not said.labels:
        raise _untold(path, "labels", "a graph has no names", ",".join(EMOTIONS))
    names = [canonical(name) or name.strip().lower() for name in said.labels]
    if len(names) < 2:
        raise InputError(
            f"{path}: expected two labels or more, got {', '.join(said.labels)}. Name every "
            "output in order with --labels."
        )
    if len(set(names)) < len(names):
        raise InputError(
            f"{path}: expected different labels, got {', '.join(said.labels)}. Correct --labels."
        )
    return names


def _normal(
    path: Path, said: Description, interface: Interface
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation per channel, on the 0-1 scale."""
    channels, whole = interface.channels, interface.dtype is np.uint8
    if said.mean or said.std:
        mean, std = said.mean or (0.0,), said.std or (1.0,)
    elif said.range:
        mean, std = (_RANGES[said.range][0],), (_RANGES[said.range][1],)
    else:
        example = "0-255" if whole else "0-1"
        raise _untold(path, "range", "a graph does not say how pixels are scaled", example)
    mean, std = (tuple(map(float, v)) * (channels if len(v) == 1 else 1) for v in (mean, std))
    if len(mean) != channels or len(std) != channels:
        wanted = "1 number" if channels == 1 else f"1 or {channels} numbers"
        raise InputError(
            f"{path}: expected --mean and --std with {wanted}, got {len(mean)} and {len(std)}. "
            "Give one per channel."
        )
    if whole and not np.allclose([*mean, *std], [*(0.0,) * channels, *(1 / 255,) * channels]):
        given = f"--range {said.range}" if said.range else "--mean and --std"
        raise InputError(
            f"{path}: expected pixels from 0 to 255 for a graph that reads whole numbers (uint8), "
            f"got {given}, of which rounding would leave next to nothing. Give --range 0-255."
        )
    return mean, std


def _list(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
