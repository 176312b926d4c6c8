import struct
import weakref
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from clipmaking import corners, noise, quarters, write_clip
from facetell.clips.frames import is_address, is_clip, open_clip
from facetell.errors import ClipError, FacetellError


def read(path, **options):
    with open_clip(path, **options) as clip:
        frames = list(clip)
    return clip, frames


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mov", "libx264"),
        ("a.mkv", "libx264"),
        ("a.webm", "libvpx-vp9"),
        ("a.avi", "mpeg4"),
    ],
)
def test_common_containers_give_upright_rgb_frames_with_their_times(tmp_path, name, codec):
    clip, frames = read(write_clip(tmp_path / name, [corners()] * 6, codec=codec))
    assert [frame.time_s for frame in frames] == pytest.approx([i / 25 for i in range(6)], abs=2e-3)
    assert {(frame.image.shape, frame.image.dtype.name) for frame in frames} == {
        ((64, 96, 3), "uint8")
    }
    assert {quarters(frame.image) for frame in frames} == {"RGBB"}
    assert clip.damage is None
    assert not clip.live


def test_an_animated_gif_is_a_clip_with_its_own_times(tmp_path):
    frames = [Image.fromarray(corners()), Image.fromarray(corners()[::-1])]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[120, 500])
    clip, found = read(path)
    assert [frame.time_s for frame in found] == pytest.approx([0.0, 0.12])
    assert [quarters(frame.image) for frame in found] == ["RGBB", "BBRG"]
    assert clip.damage is None


@pytest.mark.parametrize(
    ("degrees", "mirrored", "seen"),
    [
        (0, False, "RGBB"),
        (90, False, "GBRB"),
        (180, False, "BBGR"),
        (-90, False, "BRBG"),
        (0, True, "GRBB"),
        (90, True, "BGBR"),
    ],
)
def test_a_turned_camera_is_turned_back(tmp_path, degrees, mirrored, seen):
    path = write_clip(tmp_path / "a.mp4", [corners()] * 3, rotation=degrees, mirrored=mirrored)
    _, frames = read(path)
    assert {quarters(frame.image) for frame in frames} == {seen}
    assert frames[0].image.flags["C_CONTIGUOUS"]


def test_the_matrix_that_phones_write_turns_clockwise(tmp_path):
    """The track header of a clip held upright: x is shown down, y to the left."""
    path = write_clip(tmp_path / "a.mp4", [corners()] * 3)
    data = path.read_bytes()
    one = 0x10000
    identity = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 0x40000000)
    upright = struct.pack(">9i", 0, one, 0, -one, 0, 0, 64 * one, 0, 0x40000000)
    start = data.index(b"tkhd")
    path.write_bytes(data[:start] + data[start:].replace(identity, upright, 1))
    _, frames = read(path)
    assert frames[0].image.shape == (96, 64, 3)
    assert quarters(frames[0].image) == "BRBG"


def test_frames_at_uneven_times_keep_them(tmp_path):
    times = [0.0, 0.04, 0.5, 0.51, 2.0, 2.75]
    for name in ("a.mp4", "a.mkv"):
        _, frames = read(write_clip(tmp_path / name, [corners()] * 6, times=times))
        assert [frame.time_s for frame in frames] == pytest.approx(times, abs=2e-3)


def test_pixels_that_are_not_square_are_made_so(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [corners()] * 2, pixel_shape=Fraction(4, 3))
    _, frames = read(path)
    assert frames[0].image.shape == (64, 128, 3)


def test_sound_that_starts_before_the_picture_moves_nothing(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [corners()] * 5, times=[1, 2, 3, 4, 5], tone_s=6)
    _, frames = read(path)
    assert [frame.time_s for frame in frames] == pytest.approx([1, 2, 3, 4, 5], abs=0.05)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_a_truncated_clip_gives_what_it_holds_and_says_so(tmp_path, name):
    path = write_clip(
        tmp_path / name, noise(100), options={"movflags": "+faststart"} if "mp4" in name else {}
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    clip, frames = read(path)
    assert 20 < len(frames) < 80
    assert "truncated: it ends after" in clip.damage or "could not be decoded" in clip.damage


def test_flipped_bits_inside_do_not_lose_the_rest(tmp_path):
    path = write_clip(tmp_path / "a.mkv", noise(60))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)
    _, frames = read(path)
    assert len(frames) > 20
    times = [frame.time_s for frame in frames]
    assert times == sorted(times)


def broken(tmp_path, kind):
    path = tmp_path / "a.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not a clip\n" * 100)
    elif kind == "cut index":
        write_clip(path, noise(20))
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == "photo":
        Image.fromarray(corners()).save(path, "PNG")
    elif kind == "folder":
        path.mkdir()
    elif kind == "playlist":
        other = write_clip(tmp_path / "other.mp4", [corners()])
        path.write_text(f"ffconcat version 1.0\nfile {other}\n")
    elif kind == "stream list":
        path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n")
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "got no such file. Check the path"),
        ("empty", "got 0 bytes. Copy the file again"),
        ("text", "got a file that is none, or is broken or truncated"),
        ("cut index", "got a file that is none, or is broken or truncated"),
        ("photo", "got a file that is none, or is broken or truncated"),
        ("folder", "got a folder. Name a clip in it"),
        ("playlist", "got a file that is none, or is broken or truncated"),
        ("stream list", "got a file that is none, or is broken or truncated"),
    ],
)
def test_what_is_no_clip_is_refused_in_words(tmp_path, kind, message):
    path = broken(tmp_path, kind)
    with pytest.raises(ClipError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).count("expected a clip (MP4, MOV, MKV, WebM, AVI, GIF)") == 1


def test_sound_alone_is_no_clip(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), "fltp", "mono")
        frame.sample_rate = 48_000
        stream.layout = "mono"
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ClipError, match="got a file without a video stream"):
        read(path)


def test_frames_too_large_are_refused_before_decoding(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [corners()] * 2)
    with pytest.raises(ClipError, match=r"expected at most 1,000 pixels a frame, got 96 x 64"):
        open_clip(path, max_pixels=1000)


def test_a_gif_of_absurd_size_is_refused(tmp_path):
    path = tmp_path / "a.gif"
    Image.fromarray(corners()).save(path, save_all=True, append_images=[Image.new("RGB", (96, 64))])
    data = bytearray(path.read_bytes())
    data[6:10] = struct.pack("<HH", 65535, 65535)
    path.write_bytes(data)
    with pytest.raises(ClipError, match=r"expected at most 40,000,000 pixels|expected a clip"):
        read(path)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(["cut", "flip", "insert"]))
def test_broken_bytes_end_in_frames_or_one_clear_error(tmp_path, seed, kind):
    path = tmp_path / "whole.mp4"
    if not path.exists():
        write_clip(path, noise(8), options={"movflags": "+faststart"})
    rng = np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    if kind == "cut":
        data = data[: int(rng.integers(0, len(data)))]
    elif kind == "flip":
        for at in rng.integers(0, len(data), 20):
            data[at] ^= 1 << int(rng.integers(8))
    else:
        at = int(rng.integers(len(data)))
        data[at:at] = rng.bytes(64)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    try:
        _, frames = read(broken)
    except FacetellError:
        return
    assert all(frame.image.size for frame in frames)


def test_one_frame_is_held_at_a_time(tmp_path):
    """Frames that were let go are gone: none is kept by the reader."""
    path = write_clip(tmp_path / "a.mp4", [corners()] * 60)
    refs, most = [], 0
    with open_clip(path) as clip:
        for frame in clip:
            refs.append(weakref.ref(frame.image))
            del frame
            most = max(most, sum(ref() is not None for ref in refs))
    assert len(refs) == 60
    assert most <= 2


def test_cameras_addresses_and_suffixes_are_told_from_photos(tmp_path):
    assert is_clip("camera:0")
    assert is_clip("rtsp://host/stream")
    assert is_clip("clip.MP4")
    assert not is_clip("photo.jpg")
    assert not is_clip("camera:x")
    assert is_address("HTTPS://host/a.m3u8")
    assert not is_address("file:///etc/passwd")
    still, moving = tmp_path / "still.gif", tmp_path / "moving.gif"
    Image.fromarray(corners()).save(still)
    other = Image.fromarray(corners()[::-1])
    Image.fromarray(corners()).save(moving, save_all=True, append_images=[other])
    assert (is_clip(still), is_clip(moving)) == (False, True)


def test_a_camera_that_is_not_there_is_named():
    with pytest.raises(ClipError, match=r"camera:97: .* the camera cannot be opened"):
        open_clip("camera:97")
