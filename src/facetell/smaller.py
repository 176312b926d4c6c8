"""A model file -> a smaller one, and what that costs.

`fp16` stores the weights at half precision. Runtimes turn them back into floats when they load
the file, so that speed and memory stay as they are: full half precision was no faster on a
processor (docs/small.md).

`int8` computes convolutions and fully connected layers in integers: their weights are fixed per
output channel, their inputs by the range seen on training faces (static quantisation; Jacob et
al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", section 2). Only standard operators are written (QuantizeLinear, DequantizeLinear).

Weights keep seven bits: processors without VNNI add pairs of eight-bit products in sixteen bits
and saturate, which cost `compact` 3.3 points of accuracy, and other machines would say otherwise.
"""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from facetell.contract import METADATA_KEY, Contract
from facetell.datasets.sample import Dataset
from facetell.datasets.splits import Protocol, Split, split
from facetell.datasets.trained_faces import describe_training, trained_by
from facetell.errors import ExportError, InputError, require
from facetell.evaluate.compare import Comparison, compare
from facetell.evaluate.judged import Judged, judge
from facetell.evaluate.metrics import balanced_accuracy, confusion_matrix
from facetell.graph import import_runtime, quiet_logging
from facetell.runtime.session import Model
from facetell.tensors import to_tensor

__all__ = ["MOST_LOSS", "Precision", "Smaller", "check_data", "shrink", "split_of"]

Precision = Literal["fp16", "int8"]

#: Largest loss of accuracy on the validation faces that may be shipped, 0-1.
MOST_LOSS = 0.003
#: Share of held-apart training faces that must keep their label; below it, layers go back.
AGREE = 0.985
#: Training faces that set the ranges, and others that the layers are chosen by.
FACES = 512
_BATCH = 64

_LAYERS = ("Conv", "Gemm", "MatMul")
# Computed in integers where what they read is; the calibrator watches them, too.
_PASSING = ("MaxPool", "Relu", "Reshape", "Transpose")
_HALF_FROM = 256  # smaller tensors are not worth a node that casts them


@dataclass(frozen=True, kw_only=True)
class Smaller:
    """A smaller model, and its paired comparison with the one it was made from.

    Attributes:
        graph: the ONNX file's bytes; the contract is inside.
        contract: of the smaller model; `results` says what this dataclass says.
        precision: fp16 or int8.
        comparison: the float model (a) and the smaller one (b) on the same validation faces.
        in_float: layers that compute in float, and why; for fp16 none, as all do.
    """

    graph: bytes
    contract: Contract
    precision: Precision
    comparison: Comparison
    in_float: dict[str, str]

    @property
    def loss(self) -> float:
        """Accuracy lost on the validation faces, 0-1; negative for a gain."""
        return self.comparison.difference.value


def split_of(contract: Contract, dataset: Dataset) -> Split:
    """The sides that a model file was trained and chosen on, as far as its contract tells.

    Sides that were drawn are drawn again, by seed and fold 0.

    Raises:
        ExportError: they are others, which only the run knows, or were not drawn honestly, or
            these are other data.
    """
    protocol = contract.protocol or "official"
    own = protocol in ("official", "clean")
    parts = None
    if own:
        parts = split(dataset, "official")
    elif contract.trained_on and protocol != "leaky-80-10-10":
        parts = split(dataset, cast(Protocol, protocol))
    if parts is None or (parts.drawn and parts.trained_on != contract.trained_on):
        raise ExportError(
            "expected data with validation faces of their own, or a model whose sides are those "
            f"that seed 0 draws, got {dataset.name} under protocol {protocol!r}: {contract.name} "
            "may have been trained on any of these faces. Export from the run's folder: "
            "`facetell export RUN --precision int8`.",
            actual=protocol,
        )
    check_data(contract, parts)
    return parts


def check_data(contract: Contract, parts: Split) -> None:
    """Whether these are the data that a model was trained on, divided as they were.

    Raises:
        ExportError: they are not; an unknown training is not refused.
    """
    if (contract.trained_on or contract.own_sides) and not trained_by(contract, parts):
        raise ExportError(
            f"expected the data that {contract.name} was trained on, "
            f"{describe_training(contract)}, got {parts.dataset.name} with {len(parts.train):,} "
            f"training faces {parts.trained_on[:8]}. Name those data."
        )


def shrink(
    path: Path,
    precision: Precision,
    parts: Split,
    *,
    name: str | None = None,
    most_loss: float = MOST_LOSS,
    say: Callable[[str], None] = lambda _: None,
) -> Smaller:
    """A smaller version of a facetell model file.

    Training faces set the ranges and choose what stays in float; validation faces only judge.

    Args:
        path: the float model.
        precision: fp16 or int8.
        parts: sides of the data that the model was trained on.
        name: what the smaller model is called; by default the old name and the precision.
        most_loss: largest loss of accuracy on the validation faces, 0-1.
        say: progress in words.

    Raises:
        ExportError: the loss is larger even with every layer in float, or there are no training
            faces.
    """
    require("onnx", extra="train", purpose="making a model smaller")
    work = _Work(path, parts, precision, name, say)
    if "precision" in work.contract.results:
        raise InputError(
            f"expected a model in float, got {path}, which is {work.contract.results['precision']} "
            "already. Start from the file it was made from."
        )
    if precision == "fp16":
        smaller = work.judged(_halved(work.folded), {})
    else:
        smaller = _integers(work, most_loss)
    if not smaller.loss <= most_loss:
        raise ExportError(
            f"expected at most {100 * most_loss:g} points of accuracy lost, got "
            f"{100 * smaller.loss:.2f} on {smaller.comparison.n:,} validation faces. "
            "Keep the float model, or allow more with --most-loss.",
            actual=smaller.loss,
        )
    return smaller


def _integers(work: _Work, most_loss: float) -> Smaller:
    """As many layers in int8 as the answers allow; the one that hurts most goes back first."""
    released: list[str] = []
    order: list[str] = []
    while True:
        graph = work.quantised(released)
        agreement = work.agreement(graph)
        work.say(f"{agreement:.1%} of held-apart training faces keep their label")
        if agreement >= AGREE or len(released) == len(work.layers):
            smaller = work.judged(_halved(graph), work.in_float(released))
            work.say(f"{100 * smaller.loss:+.2f} points lost on the validation faces")
            if smaller.loss <= most_loss or len(released) == len(work.layers):
                return smaller
        order = order or work.sensitivity()
        released.append(order[len(released)])
        work.say(f"back to float: {work.called(released[-1])}")


class _Work:
    """What is made once and used for every graph that is tried."""

    def __init__(
        self,
        path: Path,
        parts: Split,
        precision: Precision,
        name: str | None,
        say: Callable[[str], None],
    ) -> None:
        self.parts, self.precision, self.say = parts, precision, say
        self.model = Model(path)
        self.contract = self.model.contract
        self.name = name or f"{self.contract.name}-{precision}"
        indices = parts.train.indices
        if len(indices) < 2:
            raise ExportError(
                f"expected training faces to set the ranges by, got {len(indices)}. "
                "Name the data that the model was trained on."
            )
        chosen = np.random.default_rng(0).permutation(indices)[: 2 * FACES]
        faces = parts.dataset.faces(
            chosen, face_px=self.contract.face_px, channels=self.contract.channels
        )
        self.ranging, self.apart = faces[::2], faces[1::2]
        self.folded = _folded(path)
        self.fixed = _fixed(self.folded)
        self.layers = [
            node.name
            for node in self.folded.graph.node
            if _is_layer(node, self.folded) and node.name not in self.fixed
        ]

    @cached_property
    def before(self) -> Judged:
        """The float model on the validation faces."""
        return judge(self.model, self.parts.dataset, self.parts, side="validation")

    @cached_property
    def margins(self) -> NDArray[np.float32]:
        """The float model's margins of the training faces held apart."""
        return self.model.predict(self.apart).margins

    @cached_property
    def ranges(self) -> Any:
        """The smallest and largest value of every tensor over the ranging faces."""
        self.say(f"ranges of {len(self.ranging)} training faces")
        return _ranges(self.folded, self.ranging, self.contract)

    def quantised(self, released: Sequence[str]) -> Any:
        """The graph with every layer in int8 but the released ones and those that never are."""
        return _quantised(
            self.folded, self.ranges, [name for name in self.layers if name not in released]
        )

    def agreement(self, graph: Any) -> float:
        """Share of the held-apart training faces that keep their label."""
        margins = self.answers(graph)
        return float((margins.argmax(1) == self.margins.argmax(1)).mean())

    def sensitivity(self) -> list[str]:
        """The layers, the one first without whose rounding the margins err least."""
        errors = {}
        for name in self.layers:
            errors[name] = float(
                np.square(self.answers(self.quantised([name])) - self.margins).sum()
            )
            self.say(f"without {self.called(name)}: squared error {errors[name]:.4g}")
        return sorted(errors, key=lambda name: errors[name])

    def answers(self, graph: Any) -> NDArray[np.float32]:
        """A graph's margins of the training faces held apart."""
        with _as_model(graph, self.contract) as model:
            return model.predict(self.apart).margins

    def judged(self, graph: Any, in_float: dict[str, str]) -> Smaller:
        """The graph beside the float model on the validation faces, contract included."""
        contract = replace(self.contract, name=self.name)
        with _as_model(graph, contract) as model:
            after = judge(model, self.parts.dataset, self.parts, side="validation")
        comparison = compare(self.before, after)
        contract = replace(contract, results=_results(self.precision, after, comparison, in_float))
        return Smaller(
            graph=_with_contract(graph, contract).SerializeToString(),
            contract=contract,
            precision=self.precision,
            comparison=comparison,
            in_float=in_float,
        )

    def in_float(self, released: Sequence[str]) -> dict[str, str]:
        """Layers that compute in float, and why."""
        why = {**self.fixed, **dict.fromkeys(released, "lost too much in int8")}
        return {self.called(name): reason for name, reason in why.items()}

    def called(self, node_name: str) -> str:
        """What people call a node: the module it came from, where its weight still says so."""
        node = next(node for node in self.folded.graph.node if node.name == node_name)
        weight = node.input[1]
        if weight.startswith("network.") and weight.endswith(".weight"):
            return str(weight.removeprefix("network.").removesuffix(".weight"))
        return f"{node.op_type} {node.name}"


def _results(
    precision: Precision, after: Judged, comparison: Comparison, in_float: dict[str, str]
) -> dict[str, Any]:
    """What the contract says of a smaller model."""
    confusion = confusion_matrix(after.labels, after.predicted, len(after.dataset.labels))
    return {
        "side": "validation",
        "faces": comparison.n,
        "flip": after.contract.flip,
        "accuracy": round(comparison.accuracy_b, 6),
        "balanced_accuracy": round(float(balanced_accuracy(confusion)), 6),
        "precision": precision,
        "accuracy_in_float": round(comparison.accuracy_a, 6),
        "agreement_with_float": round(comparison.agreement, 6),
        "layers_in_float": in_float,
    }


def _folded(path: Path) -> Any:
    """The graph with its constants computed and batch normalisation inside the convolutions."""
    onnx, runtime = require("onnx", extra="train", purpose="int8"), import_runtime()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        model = onnx.load(options.optimized_model_filepath)
    used = {node.domain for node in model.graph.node} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    return model


def _is_layer(node: Any, model: Any) -> bool:
    """Whether a node multiplies what it reads with a constant weight."""
    return node.op_type in _LAYERS and node.input[1] in {w.name for w in model.graph.initializer}


def _fixed(model: Any) -> dict[str, str]:
    """Nodes that always compute in float, by name, and why."""
    nodes = list(model.graph.node)
    maker = {output: node for node in nodes for output in node.output}
    fixed = {
        node.name: "an LSTM's rounding would add up; its weights are int8"
        for node in nodes
        if node.op_type == "LSTM"
    }
    waiting = ["margins"]  # back from the margins to the layers that decide
    while waiting:
        node = maker.get(waiting.pop())
        if node is None:
            continue
        if _is_layer(node, model):
            fixed[node.name] = "it decides"
        elif node.op_type != "LSTM":
            waiting += node.input
    remembered = {"memory", "elapsed_s"}  # what a calibration on stills cannot know
    for node in nodes:  # in the order of computation
        if remembered & set(node.input):
            remembered |= set(node.output)
            if _is_layer(node, model):
                fixed[node.name] = "it reads the memory"
    return fixed


def _joins(model: Any) -> list[str]:
    """Sums of two branches of the trunk, as a shortcut makes them."""
    maker = {output: node.op_type for node in model.graph.node for output in node.output}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Add"
        and all(maker.get(i) in ("Conv", "Relu", "Add") for i in node.input)
    ]


def _ranges(model: Any, faces: NDArray[np.uint8], contract: Contract) -> Any:
    """What each tensor reaches on these faces."""
    quantization = require("onnxruntime.quantization", extra="train", purpose="int8")
    import onnx

    starts = range(0, len(faces), _BATCH)
    feeds = (_feed(faces[start : start + _BATCH], contract) for start in starts)
    reader = type(
        "Feeds",
        (quantization.CalibrationDataReader,),
        {"get_next": lambda _: next(feeds, None)},
    )
    with tempfile.TemporaryDirectory() as folder, quiet_logging():
        whole, watched = Path(folder) / "model.onnx", Path(folder) / "watched.onnx"
        onnx.save(model, whole)
        calibrator = quantization.create_calibrator(
            whole, [*_LAYERS, *_PASSING, "Add"], augmented_model_path=str(watched)
        )
        calibrator.collect_data(reader())
        return calibrator.compute_data()


def _feed(faces: NDArray[np.uint8], contract: Contract) -> dict[str, NDArray[np.float32]]:
    """A graph's inputs for faces of stills."""
    fed = {"faces": to_tensor(faces, contract)}
    if contract.memory:
        fed["memory"] = np.zeros((len(faces), 2, contract.memory), np.float32)
        fed["elapsed_s"] = np.zeros(len(faces), np.float32)
    return fed


def _quantised(model: Any, ranges: Any, layers: Sequence[str]) -> Any:
    """A copy that computes the named layers in integers, and stores LSTMs' weights as such."""
    quantization = require("onnxruntime.quantization", extra="train", purpose="int8")
    model = copy.deepcopy(model)
    _store_lstm_weights(model)
    if not layers:
        return model
    passing = [node.name for node in model.graph.node if node.op_type in _PASSING]
    with quiet_logging():
        quantizer = quantization.QDQQuantizer(
            model,
            True,  # one scale per output channel
            True,  # seven-bit weights, see above
            quantization.QuantType.QInt8,
            quantization.QuantType.QUInt8,
            ranges,
            [*layers, *passing, *_joins(model)],
            [],
            [*_LAYERS, *_PASSING, "Add"],
            {},
        )
        quantizer.quantize_model()
    return quantizer.model.model


def _store_lstm_weights(model: Any) -> None:
    """LSTM weights as int8 with a scale per row; they are floats again when the LSTM reads them.

    ONNX Runtime's integer LSTM sets its range by the whole batch, so that a face's scores would
    depend on the faces beside it.
    """
    from onnx import helper, numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in [node for node in model.graph.node if node.op_type == "LSTM"]:
        for name in node.input[1:3]:  # (directions, 4 * hidden, inputs)
            if name not in weights:
                continue
            values = numpy_helper.to_array(weights[name])
            scales = np.abs(values).max(axis=(0, 2)) / 127
            scales = np.where(scales > 0, scales, 1).astype(np.float32)
            whole = np.round(values / scales[:, None]).astype(np.int8)
            model.graph.initializer.remove(weights[name])
            model.graph.initializer.extend(
                [
                    numpy_helper.from_array(whole, f"{name}_int8"),
                    numpy_helper.from_array(scales, f"{name}_scale"),
                ]
            )
            model.graph.node.insert(
                0,
                helper.make_node(
                    "DequantizeLinear", [f"{name}_int8", f"{name}_scale"], [name],
                    name=f"{name}_dequantised", axis=1,
                ),
            )  # fmt: skip


def _halved(model: Any) -> Any:
    """A copy whose large float tensors are stored as fp16 and cast back when they are read."""
    from onnx import TensorProto, helper, numpy_helper

    model = copy.deepcopy(model)
    scales = {
        name
        for node in model.graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
        for name in node.input[1:]
    }
    for tensor in list(model.graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or tensor.name in scales:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _HALF_FROM or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        stored = f"{tensor.name}_fp16"
        model.graph.initializer.remove(tensor)
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), stored))
        model.graph.node.insert(
            0, helper.make_node("Cast", [stored], [tensor.name], name=f"{stored}_cast",
                                to=TensorProto.FLOAT),
        )  # fmt: skip
    return model


def _with_contract(model: Any, contract: Contract) -> Any:
    """The model with this contract and nothing else in its metadata."""
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, contract.to_json()
    model.producer_name = "facetell"
    return model


@contextlib.contextmanager
def _as_model(graph: Any, contract: Contract) -> Iterator[Model]:
    """A graph as the runtime will see it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(_with_contract(graph, contract).SerializeToString())
        yield Model(path)
