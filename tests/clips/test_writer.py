import subprocess
import sys

import numpy as np
import pytest

from clipmaking import av, corners, quarters, write_clip
from facetell.clips.frames import open_clip
from facetell.clips.writer import ClipWriter
from facetell.errors import ClipError, InputError

TIMES = [0.0, 0.04, 0.5, 0.52, 1.7]


def written(path, images, times=None, **options):
    with ClipWriter(path, **options) as out:
        for image, time_s in zip(images, times or TIMES, strict=True):
            out.add(image, time_s)
    return path


def frames_of(path):
    with open_clip(path) as clip:
        return list(clip)


def tracks(path):
    """(codec, start and end of the sound in seconds) of each sound track."""
    found = []
    with av.open(str(path)) as container:
        for stream in container.streams.audio:
            packets = [p for p in container.demux(stream) if p.pts is not None]
            times = [float(p.pts * p.time_base) for p in packets]
            end = times[-1] + float(packets[-1].duration * packets[-1].time_base)
            found.append((stream.codec_context.name, times[0], end))
    return found


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "gif"])
def test_frames_come_back_with_their_times(tmp_path, suffix):
    path = written(tmp_path / f"out.{suffix}", [corners()] * 5)
    frames = frames_of(path)
    assert [frame.time_s for frame in frames] == pytest.approx(TIMES, abs=0.006)
    assert {frame.image.shape for frame in frames} == {(64, 96, 3)}
    assert {quarters(frame.image) for frame in frames} == {"RGBB"}
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_odd_sizes_gain_a_row_and_a_column(tmp_path):
    (frame,) = frames_of(written(tmp_path / "a.mp4", [corners(97, 65)], [0.0]))
    assert frame.image.shape == (66, 98, 3)


def test_times_that_do_not_advance_are_moved_by_a_tick(tmp_path):
    frames = frames_of(written(tmp_path / "a.mp4", [corners()] * 3, [0.5, 0.5, 0.5]))
    assert len(frames) == 3


@pytest.mark.parametrize(
    ("source", "target", "codec"),
    [
        ("a.mp4", "out.mp4", "aac"),
        ("a.mp4", "out.mkv", "aac"),
        ("a.mov", "out.mov", "aac"),
        ("a.webm", "out.webm", "opus"),
        ("a.webm", "out.mp4", "opus"),
        ("a.mp4", "out.webm", "opus"),
    ],
)
def test_sound_is_kept(tmp_path, source, target, codec):
    video = "libvpx-vp9" if "webm" in source else "libx264"
    clip = write_clip(tmp_path / source, [corners()] * 50, codec=video, tone_s=2.0)
    with ClipWriter(tmp_path / target, sound=clip) as out:
        for frame in frames_of(clip):
            out.add(frame.image, frame.time_s)
    ((found, start_s, end_s),) = tracks(tmp_path / target)
    assert found == codec
    assert end_s == pytest.approx(2.0, abs=0.06)
    assert start_s == pytest.approx(0, abs=0.03)
    assert len(frames_of(tmp_path / target)) == 50


def test_copied_sound_is_the_same_bytes(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [corners()] * 10, tone_s=0.5)
    written(tmp_path / "b.mp4", [corners()] * 5, sound=clip)

    def packets(path):
        with av.open(str(path)) as container:
            return [bytes(p) for p in container.demux(audio=0) if p.size]

    assert packets(clip) == packets(tmp_path / "b.mp4")


def test_a_clip_without_sound_and_a_gif_have_none(tmp_path):
    silent = write_clip(tmp_path / "a.mp4", [corners()] * 5)
    loud = write_clip(tmp_path / "b.mp4", [corners()] * 5, tone_s=0.2)
    assert tracks(written(tmp_path / "c.mp4", [corners()] * 5, sound=silent)) == []
    assert tracks(written(tmp_path / "d.gif", [corners()] * 5, sound=loud)) == []


def test_an_error_leaves_nothing_and_spares_the_old_file(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"mine")
    with pytest.raises(ValueError, match="shape"), ClipWriter(path, force=True) as out:
        out.add(corners()[..., :2], 0.0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]
    assert path.read_bytes() == b"mine"


def test_a_kill_in_the_middle_leaves_no_file_of_that_name(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; import numpy as np\n"
        "from facetell.clips.writer import ClipWriter\n"
        "out = ClipWriter(Path(sys.argv[1]))\n"
        "for i in range(40): out.add(np.full((64, 96, 3), i, np.uint8), i / 25)\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    path = tmp_path / "a.mp4"
    process = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert not path.exists()
    left = [entry.name for entry in tmp_path.iterdir()]
    assert all(name.startswith(".a.mp4.") for name in left)
    assert len(frames_of(written(path, [corners()] * 5))) == 5


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    pytest.importorskip("fcntl", reason="needs locks that tell a killed writer from a living one")
    path = tmp_path / "a.mp4"
    others = {".a.mp4.original", ".b.mp4.abcdefgh.part", "a.mp4.abcdefgh.part"}
    for name in (*others, ".a.mp4.abcdefgh.part"):
        (tmp_path / name).write_bytes(b"half")
    with ClipWriter(path) as out:
        out.add(corners(), 0.0)
        written(path, [corners()] * 5)
        assert path.exists()
        assert len([*tmp_path.glob(".a.mp4.*.part")]) == 1, "ours is still being written"
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.mp4", *others}
    assert len(frames_of(path)) == 1


def test_files_are_not_replaced_and_impossible_ones_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"a\.mp4 is there already\. Choose another name"):
        ClipWriter(tmp_path / "a.mp4")
    with pytest.raises(InputError, match=r"to end in \.mp4, \.mov, .*, got 'a\.avi'"):
        ClipWriter(tmp_path / "a.avi")
    with pytest.raises(InputError, match=r"expected the folder .*none.* for a\.mp4, found none"):
        ClipWriter(tmp_path / "none" / "a.mp4")
    with pytest.raises(ClipError, match="expected frames to write, got none"):
        ClipWriter(tmp_path / "b.mp4").finish()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_hours_need_no_more_memory_than_seconds(tmp_path):
    """The encoder holds a few frames back, not all: packets leave while frames come."""
    out = ClipWriter(tmp_path / "a.mp4")
    sizes = []
    for i in range(120):
        out.add(np.random.default_rng(i).integers(0, 256, (64, 96, 3), np.uint8), i / 25)
        sizes.append(out._part.stat().st_size)
    out.discard()
    assert sizes[-1] > sizes[60] > 0
