"""The whole pipeline on drawn faces: train, judge, export, read back without PyTorch."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from click.testing import CliRunner
from PIL import Image

from facetell.cli import _group
from facetell.datasets import open_dataset
from facetell.datasets.splits import split
from facetell.train.predictor import load_run

READ_WITHOUT_TORCH = """
import json, sys
for name in ("torch", "lightning_fabric", "sklearn", "onnx"):
    sys.modules[name] = None  # importing it now fails
import facetell
analyzer = facetell.Analyzer(sys.argv[1], detector="none")
print(json.dumps([analyzer.read(path).to_dict() for path in sys.argv[2:]]))
"""


def run(*arguments):
    done = CliRunner().invoke(_group, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done


@pytest.mark.slow
def test_the_hybrid_learns_drawn_faces_and_reads_them_back_without_torch(tmp_path):
    out, model = tmp_path / "run", tmp_path / "toon.onnx"
    run("train", "quick", "--data", "toon", "--out", out, "--accelerator", "cpu", "--threads", 1)
    run("export", out, "--out", model)
    judged = json.loads(run("evaluate", model, "--data", "toon", "--json").stdout)

    assert judged["side"] == "test"
    assert judged["metrics"]["accuracy"]["value"] >= 0.95

    dataset = open_dataset("toon")
    chosen = split(dataset).test[::16]
    paths = [tmp_path / f"{i}.png" for i in chosen]
    for index, path in zip(chosen, paths, strict=True):
        Image.fromarray(dataset.read(int(index))).save(path)
    done = subprocess.run(
        [sys.executable, "-c", READ_WITHOUT_TORCH, str(model), *map(str, paths)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    readings = json.loads(done.stdout)
    expected = load_run(out).predict(dataset.faces(chosen)).scores

    assert len(readings) == len(chosen) >= 10
    for reading, scores in zip(readings, expected, strict=True):
        (face,) = reading["faces"]
        assert list(face["scores"].values()) == pytest.approx(scores.tolist(), abs=1e-3)
