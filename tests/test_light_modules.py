"""The light modules, imported one and all in a fresh process, bring no training package along."""

import json
import pkgutil
import subprocess
import sys

import facetell

#: Only these may import PyTorch and what belongs to it.
HEAVY = (
    "facetell.model", "facetell.train", "facetell.export", "facetell.reproduce",
    "facetell.__main__",
)  # fmt: skip
ABSENT = (
    "torch", "lightning_fabric", "scipy", "skimage", "sklearn", "pyarrow", "onnx", "onnxscript",
    "safetensors", "ray",
)  # fmt: skip


def light_modules():
    names = [module.name for module in pkgutil.walk_packages(facetell.__path__, "facetell.")]
    return [name for name in names if not name.startswith(HEAVY)]


def test_all_light_modules_together_import_no_training_package():
    names = light_modules()
    assert {"facetell.cli.train", "facetell.datasets.parquet", "facetell.evaluate.metrics"} < {
        *names
    }

    code = (
        "import importlib, json, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print(json.dumps([name for name in {ABSENT!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
