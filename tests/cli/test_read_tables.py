"""`facetell read --csv`, `--parquet` and `--jsonl`: collections, also when they are cut short."""

import csv
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facetell.cli.progress import Progress, progress_line
from facetell.cli.read import read
from facetell.results import Reading
from facetell.rows import RowWriter
from facetell.runtime.analyzer import Analyzer

BROKEN = "3.png"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    for i in range(6):
        image = np.random.default_rng(i).integers(0, 256, (20, 20 + i, 3), np.uint8)
        Image.fromarray(image).save(folder / ("deep" if i > 4 else ".") / f"{i}.png")
    (folder / BROKEN).write_bytes(b"no image")
    return folder


@pytest.fixture
def run(tiny_model_path):
    def run_(*arguments: object):
        base = ["--model", str(tiny_model_path), "--threads", "1", "--detector", "none"]
        return CliRunner().invoke(read, [*base, *map(str, arguments)])

    return run_


@contextmanager
def stopped_after(count):
    """Readings break off after so many, as after Ctrl-C."""
    whole = Analyzer.read_many

    def some(self, sources):
        for index, reading in enumerate(whole(self, sources)):
            if index == count:
                raise KeyboardInterrupt
            yield reading

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Analyzer, "read_many", some)
        yield


def rows_in(path):
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))


def names(photos):
    return [str(photos / name) for name in ("0.png", "1.png", "2.png", BROKEN, "4.png")] + [
        str(photos / "deep" / "5.png")
    ]


def test_a_table_has_a_row_for_each_photo_in_order_and_the_broken_one_says_why(run, photos):
    out = photos.parent / "out.csv"
    result = run("--csv", out, photos)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[-2:] == [f"wrote {out}", "1 of 6 failed"]
    rows = rows_in(out)
    assert [row["source"] for row in rows] == sorted(names(photos))
    for row in rows:
        assert bool(row["error"]) == row["source"].endswith(BROKEN) != bool(row["label"])


def test_json_lines_are_the_lines_that_json_prints(run, photos):
    out = photos.parent / "out.jsonl"
    assert run("--jsonl", out, photos).exit_code == 1
    assert out.read_text() == run("--json", photos).stdout


def test_parquet_holds_what_csv_holds(run, photos):
    parquet = pytest.importorskip("pyarrow.parquet")
    out = photos.parent
    run("--csv", out / "a.csv", photos)
    run("--parquet", out / "a.parquet", photos)
    table = parquet.read_table(out / "a.parquet").to_pylist()
    texts = [{k: "" if v is None else str(v) for k, v in row.items()} for row in table]
    assert texts == rows_in(out / "a.csv")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_run_that_was_cut_short_goes_on_where_it_stopped(form, run, photos):
    if form == "parquet":
        pytest.importorskip("pyarrow.parquet")
    whole, out = photos.parent / "whole", photos.parent / "out"
    run(f"--{form}", whole, photos)
    with stopped_after(4):
        stopped = run(f"--{form}", out, photos)
    assert stopped.exit_code == 1
    assert "stopped; 4 of 6 are done, and the same command goes on" in stopped.stderr
    assert not out.exists()

    result = run(f"--{form}", out, photos)

    assert f"going on behind the 4 that are in {out}.part" in result.stderr
    assert result.stderr.count("Error") == 0  # the broken photo was among the first four
    assert (result.exit_code, "1 of 6 failed" in result.stderr) == (1, True)
    assert out.read_bytes() == whole.read_bytes()


def test_another_model_or_option_or_photo_does_not_go_on_with_it(run, photos, make_model, tmp_path):
    out = tmp_path / "out.csv"
    with stopped_after(4):
        run("--csv", out, photos)
    other = make_model(tmp_path / "other.onnx", score_scale=3.0)
    for arguments, key in [
        ([photos, "--model", other], "model"),
        ([photos, "--min-score", "0.5"], "min_score"),
        ([photos, "--detect-side", "640"], "detect_side"),
        ([photos / "0.png"], "sources 6"),
    ]:
        result = run("--csv", out, *arguments)
        assert result.exit_code == 2
        assert "to be of the same run, got one begun by a run with " + key in result.stderr
    assert run("--csv", out, photos, "--threads", "2").exit_code == 1  # threads change no row
    assert len(rows_in(out)) == 6


def test_annotated_copies_go_on_with_the_table(run, photos, tmp_path):
    arguments = ["--csv", tmp_path / "out.csv", "--annotate", tmp_path / "copies", photos]
    with stopped_after(2):
        run(*arguments)
    (tmp_path / "copies" / "2.png.faces.jpg").write_bytes(b"a kill came before its row")
    assert "wrote" in run(*arguments).stderr
    assert len(list((tmp_path / "copies").rglob("*.jpg"))) == 5
    assert (tmp_path / "copies" / "2.png.faces.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_misuse_of_tables_is_told_and_leaves_nothing_behind(run, photos, tmp_path):
    before = sorted(tmp_path.iterdir())
    for arguments, message in [
        (["--csv", "a", "--jsonl", "b"], "choose one of --json, --csv, --parquet and --jsonl"),
        (["--csv", "a", "--json"], "choose one of"),
        (["--csv", tmp_path / "none" / "a"], "found none. Create it first"),
        (["--csv", photos], "expected a file to write, got the folder"),
        (["--csv", tmp_path / "a", "--annotate", tmp_path / "a"], "a file of its own for every"),
        (["--annotate", photos / "0.png"], "expected a folder to write into, got the file"),
        (["--explain", photos / "0.png" / "why"], "expected a folder to write into, got the file"),
    ]:
        result = run(*arguments, photos)
        assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / "0.png.faces.jpg").touch()
    result = run("--csv", tmp_path / "out.csv", "--annotate", tmp_path / "copies", photos)
    assert "exists; choose another folder or pass --force" in result.stderr
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "copies"])


def test_a_full_disk_is_told_and_the_same_command_goes_on(run, photos, monkeypatch):
    out = photos.parent / "out.csv"
    add = RowWriter.add

    def full(self, reading):
        if self.done == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(self, reading)

    with monkeypatch.context() as patch:
        patch.setattr(RowWriter, "add", full)
        result = run("--csv", out, photos)
    message = f"Error: {out} cannot be written (No space left on device); 2 of 6 are done. Make"
    assert (result.exit_code, message in result.stderr) == (1, True), result.stderr
    assert "going on behind the 2" in run("--csv", out, photos).stderr
    assert len(rows_in(out)) == 6


def test_a_finished_table_is_replaced_by_force_only(run, photos):
    out = photos.parent / "out.csv"
    out.write_text("mine")
    result = run("--csv", out, photos)
    assert (result.exit_code, "overwrite with --force" in result.stderr) == (2, True)
    assert out.read_text() == "mine"
    run("--csv", out, "--force", photos)
    assert len(rows_in(out)) == 6


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_file_names_that_are_no_text_are_read_shown_and_written(tiny_model_path, tmp_path):
    folder = os.fsencode(tmp_path / "in")
    os.mkdir(folder)
    Image.new("RGB", (20, 20)).save(tmp_path / "ok.png")
    for name in (b"caf\xe9.png", b'new\nline",.png'):
        with open(folder + b"/" + name, "wb") as file:
            file.write((tmp_path / "ok.png").read_bytes())
    with open(folder + b"/broken\xff.png", "wb") as file:
        file.write(b"no image")
    command = [sys.executable, "-c", "from facetell.cli import main; main()", "read"]
    command += ["--detector", "none", "--model", str(tiny_model_path), str(tmp_path / "in")]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}

    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    shown = done.stdout.decode()
    assert (done.returncode, r"caf\udce9.png  20 x 20 px, 1 face" in shown) == (1, True)
    assert rb"broken\udcff.png: expected a photo" in done.stderr

    command += ["--csv", str(tmp_path / "out.csv")]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    sources = [row["source"] for row in rows_in(tmp_path / "out.csv")]
    endings = [source.removeprefix(str(tmp_path / "in") + "/") for source in sources]
    assert endings == [r"broken\udcff.png", r"caf\udce9.png", 'new\nline",.png']


# Reads slowly and notes what it reads, before the reading is done.
SLOW = """
import sys, time
from facetell.runtime import analyzer
log, read_image = open(sys.argv.pop(1), "a", buffering=1), analyzer.read_image
def slow(source, **options):
    log.write(f"{source}\\n")
    time.sleep(0.004)
    return read_image(source, **options)
analyzer.read_image = slow
from facetell.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_collection_goes_on_without_losing_or_doubling_a_row_or_reading_twice(
    run, tiny_model_path, tmp_path
):
    folder, out = tmp_path / "in", tmp_path / "out.csv"
    folder.mkdir()
    files = [folder / f"{i:03}.png" for i in range(400)]
    for i, file in enumerate(files):
        Image.new("L", (8, 8), i % 256).save(file)
    files[130].write_bytes(b"no image")
    whole = tmp_path / "whole.csv"
    run("--csv", whole, folder)

    def start(log):
        command = [sys.executable, "-c", SLOW, str(tmp_path / log), "read", "--detector", "none"]
        command += ["--model", str(tiny_model_path), "--threads", "1"]
        command += ["--csv", str(out), str(folder)]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def sources_safe():
        journal = tmp_path / "out.csv.journal"
        lines = journal.read_text().splitlines() if journal.exists() else []
        return int(lines[-1].split()[0]) if len(lines) > 1 else 0

    safe = []
    for log, least in [("first", 1), ("second", 129)]:
        process = start(log)
        deadline = time.monotonic() + 120
        while sources_safe() < least and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        safe.append(sources_safe())
        assert not out.exists()
    last = start("last")

    assert last.wait(120) == 1  # a photo is broken; the first or the second call met it
    assert out.read_bytes() == whole.read_bytes()
    assert 0 < safe[0] < safe[1] < 400
    second, third = ((tmp_path / log).read_text().split() for log in ("second", "last"))
    assert {*second}.isdisjoint(map(str, files[: safe[0]]))
    assert sorted(third) == [*map(str, files[safe[1] :])]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("out")) == [
        "out.csv"
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((0, 0, 0, 0.0), "  0%  0/0"),
        ((0, 10, 0, 3.0), "  0%  0/10"),
        ((250, 1000, 200, 8.0), " 25%  250/1,000  25/s  0:30 left"),
        ((1, 4000, 1, 2.0), "  0%  1/4,000  0.5/s  2:13:18 left"),
        ((1, 400_000, 1, 2.0), "  0%  1/400,000  0.5/s  9 days left"),
        ((1000, 1000, 500, 65.0), "100%  1,000/1,000  7.7/s  1:05"),
    ],
)
def test_progress_names_share_count_rate_and_time_left(arguments, line):
    assert progress_line(*arguments) == line


def test_progress_is_one_line_on_a_terminal_and_messages_stand_above_it(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("facetell.cli.progress._EVERY_S", 0)
    with Progress(3, done=1) as progress:
        progress.step()
        progress.say("Error: x")
        progress.step()
    shown = capsys.readouterr().err
    before, after = shown.split("Error: x\n")
    assert before.startswith("\r 67%  2/3")
    assert before.endswith("\r\x1b[K")
    assert after.startswith("\r100%  3/3")
    assert after.endswith("\n")
    assert shown.count("\n") == 2


def test_progress_is_silent_when_piped_or_not_asked_for(monkeypatch, capsys):
    monkeypatch.setattr("facetell.cli.progress._EVERY_S", 0)
    with Progress(3) as progress:
        progress.step()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Progress(3, shown=False) as progress:
        progress.step()
    assert capsys.readouterr().err == ""


def test_readings_of_a_table_come_back(run, photos):
    out = photos.parent / "out.jsonl"
    run("--jsonl", out, photos)
    readings = [Reading.from_dict(json.loads(line)) for line in out.read_text().splitlines()]
    assert [reading.source for reading in readings] == sorted(names(photos))


def test_a_table_never_replaces_a_photo_that_it_is_made_of(run, photos):
    before = (photos / "0.png").read_bytes()
    result = run("--jsonl", photos / "0.png", "--force", photos)
    assert result.exit_code == 2
    assert "would replace the photo" in result.stderr
    assert (photos / "0.png").read_bytes() == before
