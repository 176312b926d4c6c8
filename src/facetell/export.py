"""A finished run -> one ONNX graph with its contract, compared with the network it came from."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facetell.contract import METADATA_KEY, Contract
from facetell.errors import ExportError, require
from facetell.files import write_atomically
from facetell.graph import import_runtime, quiet_logging
from facetell.model.hybrid import Hybrid
from facetell.tensors import to_tensor
from facetell.train.predictor import TorchPredictor

__all__ = ["TOLERANCE", "export", "graph_of", "largest_difference"]

#: Largest difference between PyTorch's and onnxruntime's numbers that may be shipped.
TOLERANCE = 1e-4
OPSET = 20


class _Deployed(nn.Module):
    """The network with the calibration behind it.

    Faces (B, 1, C, S, S), and with an LSTM over frames its state (B, 2, H) before them and the
    seconds (B,) since -> margins and scores (B, K), theta (B, 1, 2, 3), the steps of an LSTM over
    regions (B, L, K) and the state afterwards, the last three where there are such.
    """

    def __init__(self, network: Hybrid, scale: float) -> None:
        super().__init__()
        self.network = network
        self.scale = scale

    def forward(
        self, faces: Tensor, memory: Tensor | None = None, elapsed_s: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        elapsed = None if elapsed_s is None else elapsed_s[:, None]
        margins, _, theta, state, steps = self.network(faces, elapsed, memory)
        margins = margins[:, 0]
        steps = None if steps is None else steps[:, 0]
        outputs = (margins, torch.softmax(self.scale * margins, 1), theta, steps, state)
        return tuple(output for output in outputs if output is not None)


def _inputs(contract: Contract, batch: int) -> dict[str, Tensor]:
    """Zeros as the graph takes them, by name."""
    side = contract.face_px
    inputs = {"faces": torch.zeros(batch, 1, contract.channels, side, side)}
    if contract.memory:
        inputs["memory"] = torch.zeros(batch, 2, contract.memory)
        inputs["elapsed_s"] = torch.zeros(batch)
    return inputs


def export(
    predictor: TorchPredictor, path: Path, faces: NDArray[np.uint8], *, name: str | None = None
) -> float:
    """Write one ONNX graph with everything inside and the contract in its metadata.

    Args:
        predictor: a finished model, as `load_run` returns it.
        path: the .onnx file; written only if the comparison succeeds.
        faces: (N, S, S) grey or (N, S, S, 3) RGB real faces to compare on.
        name: what the model is called from now on; the recipe's name by default.

    Returns:
        The largest absolute difference of any output between PyTorch and onnxruntime.

    Raises:
        ExportError: the two disagree by more than 1e-4, there are no faces to compare on, or
            the model was trained under the leaky protocol.
    """
    if predictor.contract.protocol == "leaky-80-10-10":
        raise ExportError(
            "expected a model trained under an honest protocol, got one trained under "
            f"{predictor.contract.protocol!r}: it has seen copies of the faces it was chosen on. "
            "Train again with data.protocol=official."
        )
    if not len(faces):
        raise ExportError("expected real faces to compare the exported graph on, got none.")
    contract = replace(predictor.contract, name=name or predictor.contract.name)
    graph = graph_of(predictor.model, contract)
    difference = largest_difference(graph, predictor.model, contract, faces)
    if not difference <= TOLERANCE:
        raise ExportError(
            f"expected onnxruntime to agree with PyTorch within {TOLERANCE:g} on {len(faces)} "
            f"faces, got a difference of {difference:.2g}. The file was not written; "
            "report this with the recipe.",
            actual=difference,
        )
    write_atomically(path, graph)
    return difference


def graph_of(network: Hybrid, contract: Contract) -> bytes:
    """The serialised ONNX graph.

    Input `faces`, outputs `margins`, `scores` and maybe `theta` and `steps`: what each step of an
    LSTM over regions adds to the margins, for `facetell read --explain`. With an LSTM over frames
    also the inputs `memory` and `elapsed_s` and the output `next_memory`.
    """
    require("onnxscript", extra="train", purpose="exporting")
    example = _inputs(contract, 2)
    outputs = ["margins", "scores"] + (["theta"] if network.stn is not None else [])
    outputs += ["steps"] if network.reader is not None else []
    outputs += ["next_memory"] if contract.memory else []
    batch = torch.export.Dim("batch", min=1)
    module = _Deployed(network.eval().cpu(), contract.score_scale)
    with _quiet():
        program = torch.onnx.export(
            module,
            tuple(example.values()),
            input_names=list(example),
            output_names=outputs,
            dynamic_shapes={name: {0: batch} for name in example},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    proto.producer_name = "facetell"
    del proto.metadata_props[:]
    entry = proto.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, contract.to_json()
    _forget_source(proto)
    return proto.SerializeToString()  # type: ignore[no-any-return]


def largest_difference(
    graph: bytes, network: Hybrid, contract: Contract, faces: NDArray[np.uint8]
) -> float:
    """Largest absolute difference of any output, for all faces at once and the first alone."""
    onnxruntime = import_runtime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    inputs = _inputs(contract, len(faces))
    inputs["faces"] = torch.from_numpy(to_tensor(faces, contract))
    if contract.memory:  # as after some frames
        generator = torch.Generator().manual_seed(0)
        inputs["memory"] = torch.rand(inputs["memory"].shape, generator=generator) - 0.5
        inputs["elapsed_s"] = torch.rand(len(faces), generator=generator)
    module = _Deployed(network.eval(), contract.score_scale)
    with torch.inference_mode():
        expected = [o.numpy() for o in module(*inputs.values())]
    together = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    alone = session.run(None, {name: value[:1].numpy() for name, value in inputs.items()})
    pairs = [
        *zip(expected, together, strict=True),
        *zip([e[:1] for e in expected], alone, strict=True),
    ]
    return float(max(np.abs(a - b).max() for a, b in pairs))


def _forget_source(proto: object) -> None:
    """Drop the exporter's notes (stack traces with paths of this machine) from every node."""
    graph = proto.graph  # type: ignore[attr-defined]
    for part in (graph.node, graph.value_info, graph.input, graph.output, graph.initializer):
        for item in part:
            item.doc_string = ""
            del item.metadata_props[:]
    del graph.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's prints and deprecation notes, which users can do nothing about."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        quiet_logging(),
    ):
        warnings.simplefilter("ignore")
        yield
