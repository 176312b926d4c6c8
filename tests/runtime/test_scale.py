"""The Ray engine gives the rows of the plain one, on a real Ray of one processor."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facetell.cli.read import read
from facetell.errors import MissingExtra
from facetell.results import Reading
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.collection import Settings, make_reader
from facetell.runtime.scale import RayReader, _Actor


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(7):
        image = np.random.default_rng(i).integers(0, 256, (48, 40 + i, 3), np.uint8)
        Image.fromarray(image).save(folder / f"{i}.png")
    (folder / "2.png").write_bytes(b"no image")
    (folder / "4.png").rename(Path(os.fsdecode(os.fsencode(folder) + b"/4\xe9.png")))
    return folder


@pytest.fixture(scope="module")
def local_ray():
    ray = pytest.importorskip("ray")
    try:
        pytest.importorskip("ray.data", exc_type=ImportError)  # needs pandas
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
            patch.setenv("RAY_worker_niceness", "0")
            ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
        yield ray
    finally:
        ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_what_one_engine_began_ray_goes_on_with_and_the_table_is_the_same(
    local_ray, photos, tiny_model_path, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # the names are relative
    monkeypatch.setattr("facetell.runtime.scale._CROPS", 3)  # blocks of two and of one
    whole, out = tmp_path / "whole.csv", tmp_path / "out.csv"
    base = ["--model", str(tiny_model_path), "--detector", "none", "in"]

    def run(*arguments):
        return CliRunner().invoke(read, [*base, *map(str, arguments)])

    assert run("--csv", whole, "--threads", "1").exit_code == 1
    read_many = Analyzer.read_many
    with monkeypatch.context() as patch:

        def some(self, sources):
            yield from list(read_many(self, sources))[:2]
            raise KeyboardInterrupt

        patch.setattr(Analyzer, "read_many", some)
        run("--csv", out)

    result = run("--csv", out, "--engine", "ray")

    assert "going on behind the 2" in result.stderr, result.output
    assert "Error: in/2.png: expected a photo" in result.stderr
    assert (result.exit_code, "1 of 7 failed" in result.stderr) == (1, True)
    assert out.read_bytes() == whole.read_bytes()
    assert local_ray.is_initialized()  # a cluster that was there stays


def test_an_actor_turns_a_block_of_names_into_a_block_of_readings(photos, tiny_model_path):
    arrow = pytest.importorskip("pyarrow")
    settings = Settings(model=tiny_model_path, detector="none", threads=1)
    files = sorted(photos.iterdir())
    names = [os.fsencode(file) for file in files]
    before = os.getcwd()
    block = _Actor(settings, "/no/such/folder")(arrow.table({"source": names}))

    assert os.getcwd() == before
    got = [Reading.from_dict(json.loads(text)) for text in block.column("reading").to_pylist()]
    assert got == list(settings.analyzer().read_many(files))
    assert [bool(reading.error) for reading in got] == [False, False, True] + [False] * 4


def test_without_ray_the_engine_says_what_to_install(tiny_model_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"reading on Ray needs ray.* 'facetell\[scale\]'"):
        make_reader(Settings(model=tiny_model_path), engine="ray")


def test_no_sources_need_no_cluster(tiny_model_path, monkeypatch):
    monkeypatch.setattr("facetell.runtime.scale.require", lambda *_, **__: None)
    assert list(RayReader(Settings(model=tiny_model_path)).read_many([])) == []
