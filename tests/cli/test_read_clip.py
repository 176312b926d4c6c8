import csv
import json
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from clipmaking import av, noise, write_clip
from facetell.cli import clip as clip_module
from facetell.cli.read import read
from facetell.clips.frames import Frame, open_clip
from facetell.results import Reading
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.follower import Follower

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tiny_model_path):
    def run_(*arguments: object, detector: str = "none"):
        base = ["--model", str(tiny_model_path), "--threads", "1", "--detector", detector]
        return CliRunner().invoke(read, [*base, *map(str, arguments)])

    return run_


@pytest.fixture
def clip(tmp_path):
    """Ten frames at uneven times, with sound."""
    times = [0, 0.04, 0.08, 0.5, 0.54, 1.0, 1.5, 1.6, 1.7, 2.0]
    return write_clip(tmp_path / "a.mp4", noise(10, 64, 64), times=times, tone_s=2.0)


def test_the_table_says_who_was_seen_when_and_with_which_labels(run, clip):
    result = run(clip)
    assert result.exit_code == 0, result.output
    head, columns, person = result.stdout.splitlines()
    assert head == f"{clip}  64 x 64 px, 2.3 s, 10 frames, 1 person"
    assert columns.split() == ["person", "from", "to", "seen", "labels"]
    assert person.split()[:7] == ["1", "0.0", "s", "2.0", "s", "2.3", "s"]
    assert person.rstrip().endswith("%")


def test_json_is_one_reading_a_frame_as_the_follower_gives_it(run, clip, tiny_model_path):
    result = run("--json", clip)
    readings = [Reading.from_dict(json.loads(line)) for line in result.stdout.splitlines()]
    follower = Follower(Analyzer(tiny_model_path, detector="none", threads=1), source=str(clip))
    with open_clip(clip) as frames:
        expected = [follower.read(frame.image, frame.time_s) for frame in frames]
    assert readings == expected
    assert [r.time_s for r in readings][3] == pytest.approx(0.5, abs=1e-3)


def test_tables_hold_one_row_a_face_with_its_time_and_person(run, clip, tmp_path):
    assert run("--csv", tmp_path / "a.csv", clip).exit_code == 0
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["time_s"]) for row in rows][-1] == pytest.approx(2.0, abs=1e-3)
    assert {row["person"] for row in rows} == {"1"}
    assert all(float(row["score"]) == float(row[f"score_{row['label']}"]) for row in rows)
    assert run("--jsonl", tmp_path / "a.jsonl", clip).exit_code == 0
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 10
    again = run("--csv", tmp_path / "a.csv", clip)
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_the_annotated_copy_keeps_times_and_sound(run, clip, tmp_path):
    out = tmp_path / "out.mp4"
    result = run("--annotate", out, clip)
    assert result.exit_code == 0, result.output
    with open_clip(clip) as one, open_clip(out) as other:
        before, after = list(one), list(other)
    assert [f.time_s for f in after] == pytest.approx([f.time_s for f in before], abs=2e-3)
    with av.open(str(out)) as container:
        assert [s.codec_context.name for s in container.streams.audio] == ["aac"]
    assert after[0].image.shape[0] > 5 * 64, "small pictures are enlarged and get a strip"


def test_the_plot_is_a_png_and_is_not_replaced(run, clip, tmp_path):
    out = tmp_path / "a.png"
    assert run("--plot", out, clip).exit_code == 0
    with Image.open(out) as picture:
        assert (picture.format, picture.width) == ("PNG", 1400)
    again = run("--plot", out, clip)
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert run("--plot", out, "--force", clip).exit_code == 0


def test_outputs_of_a_clip_that_cannot_be_written_are_a_misuse(run, clip, tmp_path):
    out, file = tmp_path / "out.mp4", tmp_path / "file"
    file.touch()

    for options, message in [
        (["--annotate", out, "--csv", out], "expected a file of its own for every output"),
        (["--plot", tmp_path / "a.png", "--jsonl", tmp_path / "a.png"], "a file of its own"),
        (["--plot", file / "a.png"], "expected a folder to write into, got the file"),
        (["--explain", file, "--explain-at", 1], "expected a folder to write into, got the file"),
    ]:
        result = run(*options, clip)
        assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
        assert "reading" not in result.stderr


def test_a_truncated_clip_is_read_as_far_as_it_goes_and_the_status_is_1(run, tmp_path):
    path = write_clip(tmp_path / "a.mp4", noise(80, 64, 64), options={"movflags": "+faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    result = run("--json", "--annotate", tmp_path / "out.mp4", path)
    assert result.exit_code == 1
    assert 10 < len(result.stdout.splitlines()) < 80
    assert f"Error: {path}: truncated: it ends after" in result.stderr
    assert (tmp_path / "out.mp4").exists()


def test_an_animated_gif_is_a_clip_and_a_still_one_a_photo(run, tmp_path):
    still, moving = tmp_path / "still.gif", tmp_path / "moving.gif"
    pictures = [Image.fromarray(image) for image in noise(3)]
    pictures[0].save(still)
    pictures[0].save(moving, save_all=True, append_images=pictures[1:], duration=100)
    assert "3 frames" in run(moving).stdout
    assert "frames" not in run(still).stdout
    assert run(moving, still).stdout.count("1 face") == 2, "among photos it is one"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.mp4", "b.jpg"], "a.mp4 is a clip, which is read alone"),
        (["a.mp4", "--annotate", "out.avi"], "expected the annotated clip to end in .mp4"),
        (["a.mp4", "--plot", "out.jpg"], "expected --plot to end in .png, got 'out.jpg'"),
        (["a.mp4", "--engine", "ray"], "--engine ray reads photos"),
        (["photo.jpg", "--plot", "out.png"], "--plot draws a clip over time"),
        (["a.mp4", "--json", "--csv", "a.csv"], "choose one of --json"),
    ],
)
def test_misuse_has_status_2_and_says_why(run, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_people_are_found_and_followed_by_the_bundled_detector(run, tmp_path):
    photo = np.asarray(Image.open(ROOT / "examples" / "four_portraits.jpg"))[:, :640]
    path = write_clip(tmp_path / "a.mp4", [np.roll(photo, 3 * i, axis=1) for i in range(6)])
    result = run("--json", path, detector="centerface")
    readings = [Reading.from_dict(json.loads(line)) for line in result.stdout.splitlines()]
    assert [sorted(f.person for f in reading.faces) for reading in readings] == [[1, 2]] * 6
    for number in (1, 2):
        x1 = [f.box_xyxy[0] for reading in readings for f in reading.faces if f.person == number]
        assert x1[-1] - x1[0] == pytest.approx(15, abs=6)


class Camera:
    """A live clip of a few frames, then Ctrl-C."""

    source, size_wh, live, duration_s, damage = "camera:0", (64, 64), True, None, None

    def __iter__(self):
        for i, image in enumerate(noise(5, 64, 64)):
            yield Frame(i / 25, image)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def test_ctrl_c_ends_a_live_source_cleanly_and_keeps_the_results(run, monkeypatch, tmp_path):
    def interrupted(clip, follower):
        for frame in clip:
            yield frame, follower.read(frame.image, frame.time_s)
        raise KeyboardInterrupt

    monkeypatch.setattr("facetell.clips.frames.open_clip", lambda source: Camera())
    monkeypatch.setattr("facetell.runtime.clip.follow_clip", interrupted)
    result = run("camera:0", "--csv", tmp_path / "a.csv", "--annotate", tmp_path / "a.mp4")
    assert result.exit_code == 0, result.output
    assert "until Ctrl-C" in result.stderr
    assert "person 1" in result.stdout
    assert result.stdout.splitlines()[-1].split()[0] == "1"
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 6
    with open_clip(tmp_path / "a.mp4") as written:
        assert len(list(written)) == 5


def test_ctrl_c_in_a_file_leaves_no_half_copy(run, monkeypatch, clip, tmp_path):
    def interrupted(clip, follower):
        frame = next(iter(clip))
        yield frame, follower.read(frame.image, frame.time_s)
        raise KeyboardInterrupt

    monkeypatch.setattr("facetell.runtime.clip.follow_clip", interrupted)
    result = run(clip, "--annotate", tmp_path / "out.mp4")
    assert result.exit_code == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_an_address_that_was_typed_is_opened(run, clip):
    handler = partial(SimpleHTTPRequestHandler, directory=clip.parent)
    handler.func.log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        result = run("--json", f"http://127.0.0.1:{server.server_port}/a.mp4")
        server.shutdown()
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 10


def test_an_address_keeps_both_slashes_on_its_way_through_a_path():
    assert clip_module._address(Path("rtsp://host:1/a/b")) == "rtsp://host:1/a/b"
    assert clip_module._address(Path("folder/a.mp4")) == str(Path("folder/a.mp4"))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_kill_in_the_middle_leaves_nothing_half_done_and_the_same_call_ends_well(
    run, tiny_model_path, tmp_path
):
    folder = tmp_path / "out"
    folder.mkdir()
    path = write_clip(tmp_path / "a.mp4", noise(8) * 50)
    out, table, table_part = (folder / name for name in ("b.mp4", "b.csv", "b.csv.part"))
    call = ["--annotate", out, "--csv", table, path]

    def kill_in_the_middle(*more):
        command = [sys.executable, "-m", "facetell", "read", "--detector", "none"]
        command += ["--model", tiny_model_path, "--threads", "1", *more, *call]
        left = {*folder.iterdir()} - {table_part}
        process = subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL)
        while not (any(map(is_begun, {*folder.glob(".b.mp4.*")} - left)) and is_begun(table_part)):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL

    def is_begun(part):
        return part.exists() and part.stat().st_size > 10_000

    kill_in_the_middle()
    assert not out.exists()
    assert not table.exists()
    kill_in_the_middle()
    assert len([*folder.glob(".b.mp4.*.part")]) == 1, "the next call removes what the last left"

    result = run(*call)
    assert result.exit_code == 0, result.output
    assert sorted(entry.name for entry in folder.iterdir()) == ["b.csv", "b.mp4"]
    with open_clip(out) as written:
        assert len([*written]) == 400
    with table.open() as file:
        times = [float(row["time_s"]) for row in csv.DictReader(file)]
    assert times == pytest.approx([i / 25 for i in range(400)], abs=1e-3)

    before = out.read_bytes(), table.read_bytes()
    kill_in_the_middle("--force")
    assert (out.read_bytes(), table.read_bytes()) == before
    assert run("--annotate", out, path).exit_code == 2, "it is there, so --force is needed again"


def test_a_clip_is_explained_at_the_times_asked_for(run, clip, tmp_path):
    result = run(clip, "--explain", tmp_path / "why", "--explain-at", "1.2,0.05,9")

    assert result.exit_code == 0, result.output
    written = sorted(path.name for path in (tmp_path / "why").glob("*.png"))
    assert written == ["a.mp4.0.08s.face1.png", "a.mp4.1.50s.face1.png"]
    assert "no explanation at 9 s: the clip ended before" in result.stderr


def test_an_explanation_that_is_there_already_is_an_error_and_the_clip_is_read(run, clip, tmp_path):
    arguments = (clip, "--explain", tmp_path, "--explain-at", "0")
    assert run(*arguments).exit_code == 0

    result = run(*arguments)

    assert result.exit_code == 1
    assert "was not explained" in result.stderr
    assert "1 person" in result.stdout


@pytest.mark.parametrize("option", [("--explain", "why"), ("--explain-at", "1")])
def test_a_clip_is_explained_only_with_folder_and_times(run, clip, option):
    result = run(clip, *option)

    assert result.exit_code == 2
    assert "expected --explain DIR and --explain-at S,S,... together" in " ".join(
        result.stderr.split()
    )
