"""Clips -> the face of one person, frame by frame, kept on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av")

from clipfolder_forms import FindsSquares, frame, label_of, level_of, make_empty, shown
from clipmaking import write_clip
from facetell.contract import Contract
from facetell.datasets.clipfaces import ClipFaces, CutClips, Cutting, cut_clip
from facetell.datasets.clipfolders import open_clips
from facetell.errors import ClipError, InputError
from facetell.faces import detect
from facetell.faces.detect import WholeImage
from facetell.files import cache_folder

EXAMPLE = Path(__file__).parents[2] / "examples" / "four_portraits.jpg"


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch) -> FindsSquares:
    """A quick stand-in for the packaged detector, whose faces are kept."""
    detector = FindsSquares()
    monkeypatch.setattr(detect, "CenterFace", lambda **_: detector)
    return detector


def same(one: ClipFaces, other: ClipFaces) -> bool:
    return np.array_equal(one.faces, other.faces) and np.array_equal(one.times_s, other.times_s)


@pytest.mark.parametrize(("channels", "shape"), [(1, (24, 24)), (3, (24, 24, 3))])
def test_faces_come_with_the_times_of_their_frames(
    tmp_path: Path, channels: int, shape: tuple[int, ...]
) -> None:
    times = [0.0, 0.04, 0.1, 0.3, 0.34, 0.5]
    path = write_clip(tmp_path / "a.mp4", shown([0, 1, 2, 3, 4, 5]), times=times)
    cut = cut_clip(path, face_px=24, channels=channels, detector=FindsSquares())
    assert (cut.faces.shape, cut.faces.dtype, len(cut)) == ((6, *shape), np.uint8, 6)
    assert np.allclose(cut.times_s, times, atol=1e-3)
    assert [label_of(face) for face in cut.faces] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("at_most", "step"), [(75, 1), (74, 2), (38, 2), (37, 4), (16, 8), (2, 64)]
)
def test_long_clips_are_thinned_evenly(
    tmp_path: Path, at_most: int, step: int, suffix: str
) -> None:
    times = np.arange(75) / 30  # which MKV rounds to milliseconds
    path = write_clip(tmp_path / f"a.{suffix}", shown([0] * 75), times=times)
    cut = cut_clip(path, at_most=at_most, detector=FindsSquares())
    assert np.allclose(cut.times_s, times[::step], atol=2e-3)


def test_one_frame_can_be_enough(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", shown([0] * 9))
    assert cut_clip(path, at_most=1, detector=FindsSquares()).times_s.tolist() == [0.0]


def test_the_person_who_covers_the_most_is_cut_wherever_the_face_moves(tmp_path: Path) -> None:
    small, large = level_of(0), level_of(5)
    frames = [
        frame((2 + i, 10, 20, small), (140 - i, 30, 34, large), size_wh=(192, 96))
        for i in range(20)
    ]
    path = write_clip(tmp_path / "a.mp4", frames)
    cut = cut_clip(path, detector=FindsSquares())
    assert len(cut) == 20
    assert [label_of(face) for face in cut.faces] == [5] * 20


def test_frames_without_the_person_are_left_out(tmp_path: Path) -> None:
    frames = shown([3] * 4) + [frame()] * 5 + shown([3] * 16)
    cut = cut_clip(write_clip(tmp_path / "a.mp4", frames), detector=FindsSquares())
    assert {label_of(face) for face in cut.faces} == {3}
    assert not ((cut.times_s > 3.5 / 25) & (cut.times_s < 8.5 / 25)).any()


def test_frames_that_show_only_somebody_else_are_left_out(tmp_path: Path) -> None:
    other = (2, 10, 20, level_of(0))
    both = [frame(other, (140, 30, 34, level_of(5)), size_wh=(192, 96))]
    frames = both * 12 + [frame(other, size_wh=(192, 96))] * 12
    cut = cut_clip(write_clip(tmp_path / "a.mp4", frames), detector=FindsSquares())
    assert [label_of(face) for face in cut.faces] == [5] * 12


def test_a_clip_without_a_face_gives_none(tmp_path: Path) -> None:
    cut = cut_clip(write_clip(tmp_path / "a.mp4", [frame()] * 5), detector=FindsSquares())
    assert (cut.faces.shape, cut.times_s.shape) == ((0, 48, 48), (0,))


def test_clips_that_are_faces_are_taken_whole(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", [np.full((48, 48, 3), 200, np.uint8)] * 3)
    assert cut_clip(path, face_px=48, detector=WholeImage()).faces.mean() > 190


def test_faces_are_cut_once_and_kept_by_the_bytes_of_the_clip(
    tmp_path: Path, packaged: FindsSquares
) -> None:
    path = write_clip(tmp_path / "a.mp4", shown([3] * 10))
    first = cut_clip(path)
    asked = packaged.asked
    assert asked > 0
    path.rename(tmp_path / "elsewhere.mp4")
    assert same(cut_clip(tmp_path / "elsewhere.mp4"), first)
    assert packaged.asked == asked
    assert len(cut_clip(tmp_path / "elsewhere.mp4", at_most=5)) == 5 < len(first)
    assert packaged.asked > asked
    other = write_clip(tmp_path / "b.mp4", shown([4] * 10))
    assert not same(cut_clip(other), first)


def test_that_there_is_no_face_is_kept_too(tmp_path: Path, packaged: FindsSquares) -> None:
    path = write_clip(tmp_path / "a.mp4", [frame()] * 5)
    cut_clip(path)
    asked = packaged.asked
    assert (len(cut_clip(path)), packaged.asked) == (0, asked)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off"])
def test_a_cache_that_was_cut_off_is_made_anew(
    tmp_path: Path, packaged: FindsSquares, content: bytes
) -> None:
    path = write_clip(tmp_path / "a.mp4", shown([3] * 5))
    first = cut_clip(path)
    (kept,) = (cache_folder() / "clips").iterdir()
    kept.write_bytes(content)
    assert same(cut_clip(path), first)
    assert same(cut_clip(path), first)


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(
    tmp_path: Path, packaged: FindsSquares, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(cut_clip(write_clip(tmp_path / "a.mp4", shown([3] * 5)))) == 5


def test_another_detectors_faces_are_not_kept(tmp_path: Path) -> None:
    cut_clip(write_clip(tmp_path / "a.mp4", shown([3] * 5)), detector=FindsSquares())
    assert not (cache_folder() / "clips").exists()


def test_broken_and_faceless_clips_are_named_and_the_others_done(
    tmp_path: Path, packaged: FindsSquares
) -> None:
    make_empty(tmp_path, "joy/a.mp4", "joy/b.mp4", "sad/c.mp4")
    write_clip(tmp_path / "joy/b.mp4", [frame()] * 3)
    write_clip(tmp_path / "sad/c.mp4", shown([4] * 3))
    calls: list[tuple[int, int]] = []
    cut = CutClips(open_clips(tmp_path).clips, progress=lambda *call: calls.append(call))
    assert [(clip.path.stem, len(faces)) for clip, faces in cut] == [("c", 3)]
    assert [name for name in cut.broken if "a.mp4: expected a clip" in name] == cut.broken
    assert cut.faceless == [str(tmp_path / "joy/b.mp4")]
    assert [note[:32] for note in cut.notes] == [
        "1 clips could not be read: " + str(tmp_path)[:5],
        "1 clips show no face that is fou",
    ]
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert (len(cut), len(list(cut)), len(cut.broken)) == (3, 1, 1)


def test_a_truncated_clip_is_broken(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", shown([3] * 100))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(ClipError, match=r"a\.mkv: expected a"):
        cut_clip(path, detector=FindsSquares())


def test_a_missing_clip_is_an_error(tmp_path: Path, packaged: FindsSquares) -> None:
    with pytest.raises(ClipError, match="got no such file"):
        cut_clip(tmp_path / "a.mp4")


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(InputError, match=r"at_most must be 1 frame or more, got 0\. Try 128"):
        Cutting(at_most=0)


def test_a_models_contract_says_how_to_cut() -> None:
    contract = Contract(name="x", face_px=64, crop_margin=0.1, align=False)
    assert Cutting.of(contract, at_most=9) == Cutting(
        face_px=64, channels=1, at_most=9, crop_margin=0.1, align=False
    )


def test_the_packaged_detector_follows_a_face_of_a_photo(tmp_path: Path) -> None:
    if not EXAMPLE.is_file():
        pytest.skip("examples/four_portraits.jpg is not in this checkout")
    photo = np.asarray(Image.open(EXAMPLE).convert("RGB"))[:, :320]
    height = photo.shape[0] // 2 * 2
    frames = [photo[:height, i : i + 256] for i in range(0, 40, 8)]
    cut = cut_clip(write_clip(tmp_path / "a.mp4", frames), threads=1)
    assert len(cut) == 5
    assert cut.faces.std() > 20
