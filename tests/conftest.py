"""What every test gets: fixed seeds, a user folder of its own, and a tiny ONNX model."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest

from facetell.contract import METADATA_KEY, Contract


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def write_tiny_model(
    path: Path,
    *,
    face_px: int = 48,
    channels: int = 1,
    theta: bool = True,
    steps: int = 0,
    **values: object,
) -> Path:
    """An ONNX file with the interface of a trained model: one linear layer, random weights.

    With `memory=H` the margins also depend on the memory, which fades with the time that passed.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    settings = {"mean": (0.5,) * channels, "std": (0.25,) * channels, "score_scale": 2.0}
    contract = Contract(
        name=path.stem, face_px=face_px, channels=channels, **{**settings, **values}
    )
    rng = np.random.default_rng(7)
    inputs, labels, units = channels * face_px**2, len(contract.labels), contract.memory
    weights = rng.normal(0, 1 / np.sqrt(inputs), (inputs, labels)).astype(np.float32)
    turns = rng.normal(0, 0.1 / np.sqrt(inputs), (inputs, 6)).astype(np.float32)
    identity = np.array([1, 0, 0, 0, 1, 0], np.float32)
    constants = {
        "weights": weights,
        "bias": rng.normal(0, 0.1, labels).astype(np.float32),
        "scale": np.array(contract.score_scale, np.float32),
        "turns": turns,
        "identity": identity,
        "theta_shape": np.array([-1, 1, 2, 3], np.int64),
        "recall": rng.normal(0, 1, (2 * units, labels)).astype(np.float32),
        "learn": rng.normal(0, 1 / np.sqrt(inputs), (inputs, 2 * units)).astype(np.float32),
        "memory_shape": np.array([-1, 2, units], np.int64),
        "time_shape": np.array([-1, 1, 1], np.int64),
        "weigh": rng.normal(0, 1 / inputs, (inputs, steps * labels)).astype(np.float32),
        "steps_shape": np.array([-1, steps, labels], np.int64),
    }
    nodes = [
        helper.make_node("Flatten", ["faces"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights", "bias"], ["alone" if units else "margins"]),
        helper.make_node("Mul", ["margins", "scale"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    outputs = {"margins": ["batch", labels], "scores": ["batch", labels]}
    if theta:
        nodes += [
            helper.make_node("Gemm", ["flat", "turns", "identity"], ["six"]),
            helper.make_node("Reshape", ["six", "theta_shape"], ["theta"]),
        ]
        outputs["theta"] = ["batch", 1, 2, 3]
    if steps:
        nodes += [
            helper.make_node("MatMul", ["flat", "weigh"], ["flat_steps"]),
            helper.make_node("Reshape", ["flat_steps", "steps_shape"], ["steps"]),
        ]
        outputs["steps"] = ["batch", steps, labels]
    takes = {"faces": ["batch", 1, channels, face_px, face_px]}
    if units:
        nodes[2:2] = [
            helper.make_node("Flatten", ["memory"], ["flat_memory"]),
            helper.make_node("Gemm", ["flat_memory", "recall"], ["remembered"]),
            helper.make_node("Add", ["alone", "remembered"], ["margins"]),
            helper.make_node("MatMul", ["flat", "learn"], ["flat_new"]),
            helper.make_node("Reshape", ["flat_new", "memory_shape"], ["new"]),
            helper.make_node("Reshape", ["elapsed_s", "time_shape"], ["passed"]),
            helper.make_node("Neg", ["passed"], ["less"]),
            helper.make_node("Exp", ["less"], ["kept"]),
            helper.make_node("Mul", ["memory", "kept"], ["old"]),
            helper.make_node("Add", ["old", "new"], ["next_memory"]),
        ]
        outputs["next_memory"] = takes["memory"] = ["batch", 2, units]
        takes["elapsed_s"] = ["batch"]
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in takes.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(v, n) for n, v in constants.items() if n in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: contract.to_json()})
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def make_model():
    """`make_model(path, face_px=..., channels=..., theta=..., steps=..., **contract fields)`."""
    return write_tiny_model


@pytest.fixture(scope="session")
def tiny_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model for 48 px grey faces, with theta, flip on and score_scale 2."""
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny.onnx")
