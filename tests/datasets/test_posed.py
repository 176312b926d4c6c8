"""What file names and folders say in FERG-DB, CK+, CK+48, JAFFE and KDEF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from posed_forms import FERG_CHARACTERS, POSED_FORMS, ferg_picture, pictures, save

from facetell.datasets import Dataset, open_dataset
from facetell.datasets.splits import split, subjects
from facetell.errors import DataError
from facetell.labels import EMOTIONS


def told(dataset: Dataset) -> dict[str, tuple[str, str | None]]:
    """File name -> (emotion, subject)."""
    return {
        sample.id.rpartition("/")[2]: (EMOTIONS[sample.label], sample.subject)
        for sample in dataset.samples
    }


def test_ferg_has_six_folds_and_joy_is_happy(tmp_path: Path) -> None:
    dataset = open_dataset(POSED_FORMS["ferg"](tmp_path))
    assert dataset.name == "ferg"
    assert subjects(dataset) == FERG_CHARACTERS
    assert told(dataset)["mery_joy_3.png"] == ("happy", "mery")
    assert len(dataset) == 6 * 8
    judged = [split(dataset, "leave-one-subject-out", fold=n).test for n in range(6)]
    assert sorted(np.concatenate(judged).tolist()) == list(range(len(dataset)))


def test_ferg_is_on_white(tmp_path: Path) -> None:
    image = open_dataset(POSED_FORMS["ferg"](tmp_path)).read(0)
    assert image.shape == (256, 256, 3)
    assert (image[0, 0] == 255).all()
    assert image[128].min() < 255


def test_ferg_goes_by_file_names_whatever_the_folders(tmp_path: Path) -> None:
    picture = ferg_picture(pictures(1, 32, 32)[0])
    for name in ("aia_joy_1.png", "ray_anger_2.png", "Jules_Sadness_3.png"):
        save(picture, tmp_path / "neutral" / name)
    assert told(open_dataset(tmp_path)) == {
        "aia_joy_1.png": ("happy", "aia"),
        "ray_anger_2.png": ("angry", "ray"),
        "Jules_Sadness_3.png": ("sad", "jules"),
    }


def test_ferg_counts_the_files_that_cannot_be_used(tmp_path: Path) -> None:
    folder = Path(POSED_FORMS["ferg"](tmp_path)) / "FERG_DB_256"
    whole = len(open_dataset(tmp_path))
    (folder / "aia/aia_anger/aia_anger_1.png").write_bytes(b"")
    (folder / "aia/aia_anger/contact sheet.png").write_bytes(b"x")
    (folder / "README.txt").write_text("55767 images")
    dataset = open_dataset(tmp_path)
    assert len(dataset) == whole - 1
    assert dataset.notes == (
        "1 files are not images and were skipped: FERG_DB_256/README.txt",
        "1 images have names of another form and were skipped: "
        "FERG_DB_256/aia/aia_anger/contact sheet.png",
        "1 files are empty and were skipped: FERG_DB_256/aia/aia_anger/aia_anger_1.png",
    )


def test_folders_where_nothing_can_be_read_are_an_error(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"aia_joy_{number}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"images of ferg in .*none that can be read\. 3 images"):
        open_dataset(tmp_path)


def test_ckplus_begins_neutral_and_ends_at_the_peak(tmp_path: Path) -> None:
    dataset = open_dataset(POSED_FORMS["ck+"](tmp_path))
    assert dataset.name == "ck+"
    found = {name: emotion for name, (emotion, _) in told(dataset).items()}
    assert [found.get(f"S010_001_{n:08}.png") for n in range(1, 6)] == [
        "neutral", None, "angry", "angry", "angry"
    ]  # fmt: skip
    # Of contempt only the neutral beginning is left, of no label nothing.
    assert [found.get(f"S010_002_{n:08}.png") for n in range(1, 6)] == ["neutral"] + [None] * 4
    assert not any(name.startswith("S013_002") for name in found)
    assert subjects(dataset) == ("S010", "S011", "S012", "S013")
    assert dataset.notes[:-1] == (
        "3 images with other labels were left out: 3 'contempt'",
        "1 sequences have no label and were skipped: S013/002",
    )
    # Grey and coloured sequences are read alike.
    assert {dataset.read(i).shape for i in range(len(dataset))} == {(490, 640, 3)}


def test_ckplus_is_found_as_its_archives_unpack(tmp_path: Path) -> None:
    plain = open_dataset(POSED_FORMS["ck+"](tmp_path))
    for inner, outer in (("cohn-kanade-images", "images"), ("Emotion", "Emotion_labels")):
        (tmp_path / outer).mkdir()
        (tmp_path / inner).rename(tmp_path / outer / inner)
    (tmp_path / "__MACOSX" / "cohn-kanade-images").mkdir(parents=True)
    nested = open_dataset(tmp_path)
    assert told(nested) == told(plain)


def test_ckplus_without_its_labels_says_what_to_unpack(tmp_path: Path) -> None:
    POSED_FORMS["ck+"](tmp_path)
    (tmp_path / "Emotion").rename(tmp_path / "Emotions of mine")
    with pytest.raises(DataError, match=r"found no Emotion/\. Unpack both archives .*jeffcohn"):
        open_dataset(tmp_path)


def test_an_emotion_file_that_cannot_be_read_is_no_label(tmp_path: Path) -> None:
    POSED_FORMS["ck+"](tmp_path)
    for take, text in (("001", "angry"), ("002", "   9.0000000e+00")):
        next((tmp_path / "Emotion/S010" / take).iterdir()).write_text(text)
    notes = open_dataset(tmp_path).notes
    skipped = "3 sequences have no label and were skipped: S010/001, S010/002, S013/002"
    assert notes[:-1] == (skipped,)


def test_ck48_knows_its_subjects_though_it_has_class_folders(tmp_path: Path) -> None:
    outer = open_dataset(POSED_FORMS["ck+48"](tmp_path))
    inner = open_dataset(tmp_path / "CK+48")
    assert outer.name == inner.name == "ck+48"
    assert told(outer) == told(inner)
    assert subjects(outer) == tuple(f"S{n:03}" for n in range(10, 17))
    assert outer.samples[0].id == "CK+48/anger/S010_001_00000015.png"
    assert outer.notes == ("21 images with other labels were left out: 21 'contempt'",)
    assert outer.stack is not None


def test_ck48_below_train_and_test_keeps_both(tmp_path: Path) -> None:
    POSED_FORMS["ck+48"](tmp_path)
    (tmp_path / "CK+48").rename(tmp_path / "train")
    for emotion in ("anger", "happy"):
        (tmp_path / "test" / emotion).mkdir(parents=True)
        name = f"S010_00{1 if emotion == 'anger' else 5}_00000015.png"
        (tmp_path / "train" / emotion / name).rename(tmp_path / "test" / emotion / name)
    dataset = open_dataset(tmp_path)
    assert dataset.name == "ck+48"
    assert [sample.side for sample in dataset.samples].count("test") == 2


def test_jaffe_reads_palettes_and_spoilt_names(tmp_path: Path) -> None:
    dataset = open_dataset(POSED_FORMS["jaffe"](tmp_path))
    assert dataset.name == "jaffe"
    found = told(dataset)
    assert found["KR.DI3.  .tiff"] == ("disgust", "KR")
    assert found["KA.HA4...tiff"] == ("happy", "KA")
    assert subjects(dataset) == ("KA", "KR", "YM")
    written = [np.asarray(picture) for picture in pictures(len(dataset), 256, 256)]
    read = [dataset.read(i) for i in range(len(dataset))]
    assert {image.tobytes() for image in written} == {
        np.ascontiguousarray(image[..., 0]).tobytes() for image in read
    }
    assert dataset.notes[:-1] == ("1 files are not images and were skipped: README_FIRST.txt",)


def test_jaffe_renamed_to_jpeg_is_still_jaffe(tmp_path: Path) -> None:
    for name in ("KM-NE1.jpeg", "NA-SU2.jpeg", "TM_AN3.jpg", "holiday.jpg"):
        save(pictures(1, 64, 64)[0], tmp_path / name)
    dataset = open_dataset(tmp_path)
    assert told(dataset) == {
        "KM-NE1.jpeg": ("neutral", "KM"),
        "NA-SU2.jpeg": ("surprise", "NA"),
        "TM_AN3.jpg": ("angry", "TM"),
    }
    skipped = "1 images have names of another form and were skipped: holiday.jpg"
    assert dataset.notes[:-1] == (skipped,)


def test_kdef_sees_one_person_in_both_sessions(tmp_path: Path) -> None:
    dataset = open_dataset(POSED_FORMS["kdef"](tmp_path))
    assert dataset.name == "kdef"
    assert subjects(dataset) == ("F01", "M01", "M35")
    found = told(dataset)
    assert found["AF01AFS.JPG"] == found["BF01AFS.JPG"] == ("fear", "F01")
    assert found["AM35SUHL.JPG"] == ("surprise", "M35")
    assert dataset.read(0).shape == (762, 562, 3)


def test_kdef_takes_every_angle_and_counts_broken_names(tmp_path: Path) -> None:
    names = ["AF01ANS", "AF01ANHL", "AF01ANHR", "AF01ANFL", "AF01ANFR"]
    for name in (*names, "AM02SAF", "AF36", "ANS"):
        save(pictures(1, 64, 64)[0], tmp_path / f"{name}.JPG")
    dataset = open_dataset(tmp_path)
    assert told(dataset) == {f"{name}.JPG": ("angry", "F01") for name in sorted(names)}
    assert dataset.notes[:-1] == (
        "3 images have names of another form and were skipped: AF36.JPG, AM02SAF.JPG, ANS.JPG",
    )
