"""ONNX graphs as other people publish them: the interfaces of well-known models, tiny weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

#: FER+'s order (onnx/models, emotion-ferplus): contempt is the eighth.
FERPLUS_NAMES = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
)  # fmt: skip
#: oarriaga/face_classification, fer2013_mini_XCEPTION.
KERAS_NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def write_foreign(
    path: Path,
    shape,
    *,
    outputs=7,
    probabilities=False,
    reads=None,
    dtype=None,
    left=False,
):
    """A linear model of a face's average brightness, one weight per output.

    The input has the given shape (text for open axes). Output k is slope[k] times the mean of
    the input plus offset[k], so that a test knows every answer; `reads` are (slope, offset). With
    `left` only the first column of an NHWC face is read.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    slopes, offsets = reads or (np.arange(outputs) / 10, np.zeros(outputs))
    constants = {
        "slopes": np.asarray(slopes, np.float32)[None],
        "offsets": np.asarray(offsets, np.float32),
        "axes": np.array([1, 2, 3], np.int64),
        "zero": np.array([0], np.int64),
        "end": np.array([1 if left else 9999], np.int64),
        "width": np.array([2], np.int64),
        "column": np.array([-1, 1], np.int64),
    }
    cast = [helper.make_node("Cast", ["input"], ["floats"], to=TensorProto.FLOAT)]
    nodes = [
        *cast,
        helper.make_node("Slice", ["floats", "zero", "end", "width"], ["part"]),
        helper.make_node("ReduceMean", ["part", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "column"], ["column_of_means"]),
        helper.make_node("Gemm", ["column_of_means", "slopes", "offsets"], ["logits"]),
    ]
    last = "logits"
    if probabilities:
        nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
        last = "probabilities"
    batch = shape[0]
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("input", dtype or TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, outputs])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, path)
    return path
