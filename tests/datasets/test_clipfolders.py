"""Folders of labelled clips: what their names say, and what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("av")

from clipfolder_forms import RAVDESS_EMOTIONS, make_empty
from facetell.datasets.clipfolders import LabelledClips, divide, open_clips
from facetell.errors import DataError
from facetell.labels import EMOTIONS


def labels_of(clips: LabelledClips) -> dict[str, str]:
    return {clip.path.stem: clips.labels[clip.target] for clip in clips.clips}


def test_ravdess_is_read_by_its_names_in_any_folders(tmp_path: Path) -> None:
    names = [f"02-01-0{code}-01-01-01-12.mp4" for code in range(1, 9)]
    make_empty(tmp_path, *(f"Video_Speech_Actor_12/Actor_12/{name}" for name in names))
    clips = open_clips(tmp_path)
    assert (clips.name, clips.labels, len(clips)) == ("ravdess", EMOTIONS, 7)
    expected = dict(zip((name[:-4] for name in names), RAVDESS_EMOTIONS, strict=True))
    del expected["02-01-02-01-01-01-12"]
    assert labels_of(clips) == expected
    assert {(clip.subject, clip.side) for clip in clips.clips} == {("12", "")}
    assert "CC BY-NC-SA" in clips.licence
    assert clips.notes == (
        "1 clips are calm, which is none of the seven emotions: "
        "Video_Speech_Actor_12/Actor_12/02-01-02-01-01-01-12.mp4",
    )


def test_of_a_ravdess_performance_one_clip_is_taken_and_sound_alone_is_left(
    tmp_path: Path,
) -> None:
    make_empty(
        tmp_path,
        "01-01-03-01-01-01-01.mp4", "02-01-03-01-01-01-01.mp4",  # one performance
        "copy/02-01-03-01-01-01-01.mp4",  # unpacked twice
        "01-02-03-01-01-01-01.mp4",  # the same words, sung
        "01-01-02-01-01-01-01.mp4", "02-01-02-01-01-01-01.mp4",  # calm, with and without sound
        "03-01-03-01-01-01-01.wav", "03-01-04-01-01-01-01.mp4",
    )  # fmt: skip
    clips = open_clips(tmp_path)
    assert list(labels_of(clips)) == ["01-02-03-01-01-01-01", "02-01-03-01-01-01-01"]
    counts = {why: len(names) for why, names in clips.left_out.items()}
    assert counts == {
        "files are sound alone": 2,
        "clips are there twice, with and without sound or in two places": 3,
        "clips are calm, which is none of the seven emotions": 1,
    }


@pytest.mark.parametrize(
    "name",
    ["02-01-09-01-01-01-01", "04-01-03-01-01-01-01", "02-01-03-01-01-01-25", "02-01-03-01-01-01"],
)
def test_names_that_ravdess_does_not_have_are_left_out(tmp_path: Path, name: str) -> None:
    make_empty(tmp_path, "02-01-03-01-01-01-01.mp4", "02-01-04-01-01-01-01.mp4", f"{name}.mp4")
    clips = open_clips(tmp_path)
    assert clips.left_out == {"clips have names of another form": (f"{name}.mp4",)}


def test_crema_d_is_read_by_its_names(tmp_path: Path) -> None:
    six = ("angry", "disgust", "fear", "happy", "neutral", "sad")
    names = {f"1001_DFA_{emotion[:3].upper()}_XX": emotion for emotion in six}
    names |= {"1040_ITH_SAD_X": "sad", "1091_IEO_ANG_LO": "angry"}
    make_empty(tmp_path, *(f"VideoFlash/{name}.flv" for name in names))
    make_empty(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav", "mp4/1001_DFA_ANG_XX.mp4", "README.md")
    make_empty(tmp_path, "VideoFlash/1001_DFA_SUR_XX.flv")
    clips = open_clips(tmp_path)
    assert (clips.name, labels_of(clips)) == ("crema-d", names)
    assert {clip.subject for clip in clips.clips} == {"1001", "1040", "1091"}
    assert "ODbL" in clips.licence
    assert {why: len(left) for why, left in clips.left_out.items()} == {
        "files are sound alone": 1,
        "files are no clips": 1,
        "clips have names of another form": 1,
        "clips are there twice, with and without sound or in two places": 1,
    }


@pytest.mark.parametrize(("train", "val"), [("Train", "Val"), ("Train_AFEW", "Val_AFEW")])
def test_afew_is_read_by_its_folders_and_its_val_judges(
    tmp_path: Path, train: str, val: str
) -> None:
    classes = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
    make_empty(tmp_path, *(f"{train}/{name}/00004628{i}.avi" for i, name in enumerate(classes)))
    make_empty(tmp_path, f"{val}/Happy/010924040.avi", "Test/000112233.avi")
    clips = open_clips(tmp_path)
    assert (clips.name, len(clips)) == ("afew", 8)
    assert {clips.labels[clip.target] for clip in clips.clips} == set(EMOTIONS)
    assert [clip.path.stem for clip in clips.on("test").clips] == ["010924040"]
    assert len(clips.on("train")) == 7
    assert clips.left_out == {
        "clips are in no folder named after one of the seven emotions": ("Test/000112233.avi",)
    }
    assert len({clip.subject for clip in clips.clips}) == 8
    assert "each clip counts as a person of its own" in clips.notes[-1]


def test_afew_with_a_labelled_test_keeps_its_val(tmp_path: Path) -> None:
    make_empty(tmp_path, *(f"{side}/Sad/000000001.avi" for side in ("Train", "Val", "Test")))
    assert [clip.side for clip in open_clips(tmp_path).clips] == ["test", "train", "validation"]


def test_any_folders_named_after_emotions_will_do(tmp_path: Path) -> None:
    make_empty(tmp_path, "joy/a.mp4", "anger/deep/b.MKV", "val/fearful/c.webm")
    make_empty(tmp_path, "contempt/d.mp4", ".trash/joy/e.mp4", "joy/notes.txt")
    (tmp_path / "joy" / "f.mp4").touch()
    clips = open_clips(tmp_path)
    assert clips.name == tmp_path.name
    assert labels_of(clips) == {"b": "angry", "a": "happy", "c": "fear"}
    assert {clip.subject: clip.side for clip in clips.clips} == {
        "anger/deep/b.MKV": "",
        "joy/a.mp4": "",
        "val/fearful/c.webm": "validation",
    }
    assert clips.left_out == {
        "files are no clips": ("joy/notes.txt",),
        "files are empty": ("joy/f.mp4",),
        "clips are in no folder named after one of the seven emotions": ("contempt/d.mp4",),
    }


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"expected clips of RAVDESS \(.*\), CREMA-D .* in .*, got an empty folder\. Sort"),
        (["a.mp4", "b/c.mp4"], r"got a\.mp4, b/c\.mp4\. Sort the clips into folders named angry,"),
        (["a.txt"], r"got 1 files are no clips: a\.txt\. Sort"),
        (
            ["03-01-03-01-01-01-01.wav"],
            r"found none: 1 files are sound alone: .*\.wav\. Unpack the clips with a picture",
        ),
        (["02-01-02-01-01-01-01.mp4"], "found none: 1 clips are calm"),
    ],
)
def test_folders_without_labelled_clips_are_errors(
    tmp_path: Path, names: list[str], message: str
) -> None:
    make_empty(tmp_path, *names)
    with pytest.raises(DataError, match=message):
        open_clips(tmp_path)


def test_a_file_and_a_missing_folder_are_errors(tmp_path: Path) -> None:
    make_empty(tmp_path, "a.mp4")
    with pytest.raises(DataError, match=r"expected a folder of clips at .*a\.mp4, found a file"):
        open_clips(tmp_path / "a.mp4")
    with pytest.raises(DataError, match=r"found nothing there\. Name the folder of RAVDESS"):
        open_clips(tmp_path / "b")


def test_dividing_keeps_each_subject_on_one_side(tmp_path: Path) -> None:
    make_empty(
        tmp_path,
        *(f"02-01-0{e}-01-01-01-{actor:02}.mp4" for e in (3, 4) for actor in range(1, 25)),
    )
    clips = open_clips(tmp_path)
    divided = divide(clips, seed=1)
    sides = {clip.subject: clip.side for clip in divided.clips}
    assert all(sides[clip.subject] == clip.side for clip in divided.clips)
    counts = [list(sides.values()).count(side) for side in ("train", "validation", "test")]
    assert counts == [20, 2, 2]
    assert divide(clips, seed=1) == divided != divide(clips, seed=2)
    assert divide(divided, seed=2) is divided
    with pytest.raises(DataError, match=r"on the test side of ravdess, found none\. Divide"):
        clips.on("test")


def test_two_subjects_cannot_be_divided(tmp_path: Path) -> None:
    make_empty(tmp_path, "1001_DFA_ANG_XX.flv", "1002_DFA_ANG_XX.flv")
    with pytest.raises(DataError, match="three or more subjects to divide crema-d, got 2"):
        divide(open_clips(tmp_path))
