"""RAF-DB, AffectNet, ExpW, SFEW and manifests: what is particular to each, and their traps."""

from __future__ import annotations

import io
import os
import weakref
from pathlib import Path

import numpy as np
import pytest
from dataset_forms import made_faces, png, textures
from PIL import Image
from wild_forms import (
    AFFECTNET_HEADER,
    BOX,
    WILD_FORMS,
    WILD_VARIANTS,
    affectnet_row,
    photo,
    write,
    written_side,
)

from facetell.datasets import Dataset, decode, open_dataset
from facetell.datasets.crops import Crop, usable_crops
from facetell.datasets.forms import FORMS
from facetell.datasets.splits import split
from facetell.errors import DataError
from facetell.labels import EMOTIONS


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **options)
    return out.getvalue()


def emotions(dataset: Dataset) -> list[str]:
    return [EMOTIONS[label] for label in dataset.targets]


def of_crops(*crops: Crop) -> tuple[list[Crop], list[str]]:
    return usable_crops(crops)


# ------------------------------------------------------------------------------ every form


@pytest.mark.parametrize("form", WILD_VARIANTS)
def test_variants_hold_the_same_faces(form: str, tmp_path: Path) -> None:
    dataset = open_dataset(WILD_VARIANTS[form](tmp_path))
    written = sorted(
        (written_side(form, f.side), f.label, f.pixels.tobytes()) for f in made_faces()
    )
    read = sorted(
        (str(sample.side), sample.label, face.tobytes())
        for sample, face in zip(dataset.samples, dataset.faces(), strict=True)
    )
    assert read == written
    assert dataset.notes == ()


@pytest.mark.parametrize("form", {**WILD_FORMS, **WILD_VARIANTS})
def test_each_form_is_recognised_by_its_own_reader(form: str, tmp_path: Path) -> None:
    place = Path({**WILD_FORMS, **WILD_VARIANTS}[form](tmp_path))
    first = next(known.name for known in FORMS if known.recognise(place))
    assert first == form.partition(" ")[0].replace("parquet", "manifest")


@pytest.mark.parametrize(
    ("form", "name"), [("raf-db", "raf-db"), ("affectnet 2021", "affectnet"), ("sfew", "sfew")]
)
def test_terms_come_with_the_data(form: str, name: str, tmp_path: Path) -> None:
    dataset = open_dataset(WILD_FORMS[form](tmp_path))
    assert dataset.name == name
    assert "non-commercial research only; do not redistribute" in dataset.licence


@pytest.mark.parametrize("name", ["RAF-DB", "raf_db", "AffectNet", "ExpW", "SFEW_2"])
def test_an_absent_folder_says_where_to_get_the_data(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found nothing.*non-commercial research"):
        open_dataset(tmp_path / name)


@pytest.mark.parametrize("form", ["raf-db", "affectnet 2017", "affectnet 2021", "sfew"])
def test_a_validation_side_is_held_out_of_train(form: str, tmp_path: Path) -> None:
    parts = split(open_dataset(WILD_FORMS[form](tmp_path)), "official")
    assert parts.held_out
    assert {parts.dataset.samples[i].side for i in parts.validation} == {"train"}
    assert len(parts.test) == sum(face.side == "test" for face in made_faces())


# ------------------------------------------------------------------------------ crops


def test_images_are_whole_missing_or_broken(tmp_path: Path) -> None:
    data = jpeg(textures(1, px=100)[0])
    files = {
        "whole.jpg": data,
        "padded.jpg": data + b"\0\0\0",
        "cut.jpg": data[:-200],
        "cut.png": png(textures(1)[0])[:-40],
        "empty.jpg": b"",
        "text.jpg": b"<html>moved</html>",
    }
    for name, content in files.items():
        write(tmp_path / name, content)
    crops = [Crop(id=name, file=tmp_path / name, label=0) for name in (*files, "gone.jpg")]
    usable, notes = of_crops(*crops)
    assert [crop.id for crop in usable] == ["whole.jpg", "padded.jpg"]
    assert notes == [
        "1 listed images are not there: gone.jpg",
        "4 images could not be read: cut.jpg, cut.png, empty.jpg, text.jpg",
    ]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((1, 2, 30, 20), (1, 2, 30, 20)),
        ((-5, -5, 200, 200), (0, 0, 60, 40)),
        ((1.6, 2.2, 3.1, 4.9), (1, 2, 4, 5)),
        ((59.5, 39.5, 70, 70), (59, 39, 60, 40)),
        ((5, 5, 5, 9), None),
        ((5.5, 5, 5.2, 9), None),
        ((9, 5, 5, 9), None),
        ((60, 5, 90, 9), None),
        ((-9, 5, 0, 9), None),
        ((5, 5, float("nan"), 9), None),
        ((5, 5, float("inf"), 9), None),
    ],
)
def test_boxes_are_clipped_and_empty_ones_left_out(
    box: tuple[float, ...], expected: tuple[int, ...] | None, tmp_path: Path
) -> None:
    file = write(tmp_path / "a.png", png(np.zeros((40, 60), np.uint8)))
    usable, notes = of_crops(Crop(id="a", file=file, label=0, box_xyxy=box))
    assert [crop.box_xyxy for crop in usable] == ([] if expected is None else [expected])
    left_out = ["1 faces have a box without pixels and were left out: a"]
    assert notes == (left_out if expected is None else [])


def test_a_box_lies_on_the_upright_image(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter
    data = {"a.jpg": turned, "b.jpg": b"Exif\0\0garbage"}
    crops = [
        Crop(
            id=name,
            file=write(tmp_path / name, jpeg(np.zeros((40, 60), np.uint8), exif=exif)),
            label=0,
            box_xyxy=(0, 0, 99, 99),
        )
        for name, exif in data.items()
    ]
    usable, _ = of_crops(*crops)
    assert [crop.box_xyxy for crop in usable] == [(0, 0, 40, 60), (0, 0, 60, 40)]


def test_photos_are_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = decode.decode
    refs: list[weakref.ref[np.ndarray]] = []
    alive: list[int] = []

    def spy(source: Path) -> np.ndarray:
        pixels = plain(source).copy()
        refs.append(weakref.ref(pixels))
        alive.append(sum(ref() is not None for ref in refs))
        return pixels

    data = png(textures(1, px=decode.STACK_PX + 1)[0])
    files = [write(tmp_path / f"{n}.png", data) for n in range(40)]
    with monkeypatch.context() as patch:
        patch.setattr(decode, "decode", spy)
        assert len(decode.decode_all(files).kept) == len(alive) == 40
    assert max(alive) <= 2 * 8  # threads, each with one photo and the one it lets go


def test_a_large_jpeg_is_not_decoded_to_see_that_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = jpeg(textures(1, px=decode.STACK_PX + 1)[0])
    small = jpeg(textures(1)[0])
    for number, content in enumerate((data, data[:-300], small)):
        write(tmp_path / f"happy/{number}.jpg", content)
    decoded: list[str] = []
    plain = decode.decode
    monkeypatch.setattr(decode, "decode", lambda file: decoded.append(file.name) or plain(file))
    dataset = open_dataset(tmp_path)
    assert sorted(decoded) == ["1.jpg", "2.jpg"]
    assert [sample.id for sample in dataset.samples] == ["happy/0.jpg", "happy/2.jpg"]
    assert dataset.notes == ("1 images could not be read: happy/1.jpg",)


def test_a_face_does_not_hold_its_photo(tmp_path: Path) -> None:
    dataset = open_dataset(WILD_FORMS["expw"](tmp_path))
    assert dataset.stack is None
    face = dataset.read(0)
    assert face.base is None
    assert np.array_equal(face[..., 0], made_faces()[0].pixels)


# ------------------------------------------------------------------------------ RAF-DB


def _raf(root: Path, image: str, label: int, data: bytes | None = None) -> None:
    place = write(root / image, data or jpeg(textures(1, px=100)[0]))
    name = place.name.replace("_aligned", "")
    listed = root / "EmoLabel/list_patition_label.txt"
    before = listed.read_bytes() if listed.exists() else b""
    write(listed, before + f"{name} {label}\n".encode())


def test_rafdb_counts_from_one_in_its_own_order(tmp_path: Path) -> None:
    for number in range(1, 8):
        _raf(tmp_path, f"Image/aligned/train_{number:05d}_aligned.jpg", number)
    dataset = open_dataset(tmp_path)
    assert emotions(dataset) == ["surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"]
    assert dataset.read(0).shape == (100, 100, 3)
    other = open_dataset(tmp_path, label_order=EMOTIONS)
    assert emotions(other) == list(EMOTIONS)


def test_rafdb_takes_aligned_faces_before_photos(tmp_path: Path) -> None:
    for side in ("original/train_00001", "aligned/train_00001_aligned", "original/test_0001"):
        px = 100 if "aligned" in side else 150
        write(tmp_path / f"Image/{side}.jpg", jpeg(textures(1, px=px)[0]))
    write(tmp_path / "EmoLabel/list_patition_label.txt", b"train_00001.jpg 4\ntest_0001.jpg 5\n")
    dataset = open_dataset(tmp_path)
    assert [dataset.read(i).shape[0] for i in range(2)] == [100, 150]
    assert [sample.side for sample in dataset.samples] == ["train", "test"]
    assert dataset.notes == ("1 images are whole photos and not aligned faces: test_0001",)


def test_rafdb_counts_what_does_not_fit(tmp_path: Path) -> None:
    _raf(tmp_path, "train/4/train_00001_aligned.jpg", 4)
    _raf(tmp_path, "train/5/train_00002_aligned.jpg", 4)
    write(tmp_path / "test/test_0001_aligned.jpg", jpeg(textures(1, px=100)[0]))
    listed = tmp_path / "EmoLabel/list_patition_label.txt"
    listed.write_text(listed.read_text() + "train_00009.jpg 1\ntrain_00010.jpg 8\nnonsense\n")
    dataset = open_dataset(tmp_path)
    assert [sample.id for sample in dataset.samples] == ["train/4/train_00001_aligned.jpg"]
    assert dataset.notes == (
        "2 lines of the lists could not be read: list_patition_label.txt line 4, "
        "list_patition_label.txt line 5",
        "1 images have another label in the list than by their folder: train_00002_aligned.jpg",
        "1 images have no label and were left out: test_0001_aligned.jpg",
        "1 listed images are not there: train_00009.jpg",
    )


def test_rafdb_without_images_says_what_was_expected(tmp_path: Path) -> None:
    write(tmp_path / "EmoLabel/list_patition_label.txt", b"train_00001.jpg 5\n")
    with pytest.raises(
        DataError, match=r"none that can be read \(1 listed images are not there.*by e-mail"
    ):
        open_dataset(tmp_path)


# ------------------------------------------------------------------------------ AffectNet


def _affectnet(root: Path, rows: list[str], photo_px: int = 100) -> Path:
    data = jpeg(textures(1, px=photo_px)[0])
    for row in rows:
        write(root / "Manually_Annotated_Images" / row.partition(",")[0], data)
    text = "\n".join([AFFECTNET_HEADER, *rows])
    write(root / "Manually_Annotated_file_lists/training.csv", text.encode())
    return root


def test_affectnet_leaves_out_other_kinds_and_counts_them(tmp_path: Path) -> None:
    rows = [affectnet_row(f"1/{n}.jpg", n) for n in (*range(8), 8, 9, 9)]
    rows += [affectnet_row("1/10.jpg", 10, (-1, -1, -1, -1))]
    rows += [affectnet_row("1/11.jpg", 1, (10, 10, -20, -20)), "1/12.jpg,3,3"]
    dataset = open_dataset(_affectnet(tmp_path, rows))
    assert emotions(dataset) == ["neutral", "happy", "sad", "surprise", "fear", "disgust", "angry"]
    assert dataset.notes == (
        "5 images with other labels were left out: 2 'uncertain', 1 'contempt', 1 'none', "
        "1 'non-face'",
        "1 labels could not be read: train row 15",
        "1 faces have a box without pixels and were left out: 1/11.jpg",
    )


def test_affectnet_boxes_are_corner_and_size(tmp_path: Path) -> None:
    rows = [
        affectnet_row("1/a.jpg", 1, (10, 20, 30, 40)),
        affectnet_row("1/b.jpg", 2, (90, 0, 50, 9)),
    ]
    dataset = open_dataset(_affectnet(tmp_path, rows))
    whole = np.asarray(Image.open(tmp_path / "Manually_Annotated_Images/1/a.jpg"))
    assert np.array_equal(dataset.read(0)[..., 0], whole[20:60, 10:40])
    assert dataset.read(1).shape == (9, 10, 3)


def test_affectnet_lists_beside_the_images_need_their_header(tmp_path: Path) -> None:
    write(tmp_path / "1/a.jpg", jpeg(textures(1, px=100)[0]))
    write(tmp_path / "training.csv", f"{AFFECTNET_HEADER}\n{affectnet_row('1/a.jpg', 3)}".encode())
    assert emotions(open_dataset(tmp_path)) == ["surprise"]
    write(tmp_path / "training.csv", affectnet_row("1/a.jpg", 3).encode())
    with pytest.raises(DataError, match="class folders 1 of"):
        open_dataset(tmp_path)


def test_affectnet_without_a_column_is_an_error(tmp_path: Path) -> None:
    text = AFFECTNET_HEADER.replace("face_width,", "")
    write(tmp_path / "Manually_Annotated_file_lists/validation.csv", text.encode())
    with pytest.raises(DataError, match="found no face_width"):
        open_dataset(tmp_path)


class _Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.place),)


def test_affectnet_labels_are_never_unpickled(tmp_path: Path) -> None:
    side = tmp_path / "val_set"
    for name in "012345":
        write(side / f"images/{name}.jpg", jpeg(textures(1, px=224)[0]))
    (side / "annotations").mkdir()
    np.save(side / "annotations/0_exp.npy", np.array("1"))
    np.save(side / "annotations/1_exp.npy", np.array(3))
    np.save(side / "annotations/2_exp.npy", np.array(_Bomb(tmp_path / "gone off"), object))
    write(side / "annotations/3_exp.npy", np.array(_Bomb(tmp_path / "gone off"), object).dumps())
    pickled = (side / "annotations/2_exp.npy").read_bytes()
    hidden = pickled.replace(b"'|O', ", b"'O',  ")
    write(side / "annotations/5_exp.npy", hidden)
    dataset = open_dataset(tmp_path)
    assert [(sample.id, sample.side) for sample in dataset.samples] == [
        ("val_set/images/0.jpg", "test"),
        ("val_set/images/1.jpg", "test"),
    ]
    assert emotions(dataset) == ["happy", "surprise"]
    assert dataset.notes == (
        "1 labels could not be read: val_set/annotations/5_exp.npy",
        "2 label files need pickle, which can run code, and were not loaded: "
        "val_set/annotations/2_exp.npy, val_set/annotations/3_exp.npy",
        "1 images have no label and were left out: val_set/images/4.jpg",
    )
    assert not (tmp_path / "gone off").exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(np.array(["1", "2"]), id="two labels"),
        pytest.param(np.array("joy"), id="a word"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\x93NUMPY\x01\x00\x06\x00{'shap", id="cut"),
    ],
)
def test_affectnet_counts_labels_that_are_none(content: object, tmp_path: Path) -> None:
    for name in ("0", "1"):
        write(tmp_path / f"train_set/images/{name}.jpg", jpeg(textures(1, px=224)[0]))
    (tmp_path / "train_set/annotations").mkdir()
    place = tmp_path / "train_set/annotations/0_exp.npy"
    if isinstance(content, bytes):
        place.write_bytes(content)
    else:
        np.save(place, content)
    np.save(tmp_path / "train_set/annotations/1_exp.npy", np.array("6"))
    dataset = open_dataset(tmp_path)
    assert emotions(dataset) == ["angry"]
    assert dataset.notes == ("1 labels could not be read: train_set/annotations/0_exp.npy",)


# ------------------------------------------------------------------------------ ExpW


def test_expw_boxes_are_top_left_right_bottom(tmp_path: Path) -> None:
    write(tmp_path / "image/origin/a b.jpg", jpeg(textures(1, px=100)[0]))
    write(
        tmp_path / "label/label.lst",
        b"a b.jpg 0 2 10 40 22 30.5 3\na b.jpg 1 80 70 300 300 3.1 4\na b.jpg 2 9 9 9 9 1 5\nx 1\n",
    )
    dataset = open_dataset(tmp_path)
    whole = np.asarray(Image.open(tmp_path / "image/origin/a b.jpg"))
    assert np.array_equal(dataset.read(0)[..., 0], whole[2:22, 10:40])
    assert dataset.read(1).shape == (20, 30, 3)
    assert [(s.id, s.subject) for s in dataset.samples] == [
        ("a b.jpg:0", "a b.jpg"),
        ("a b.jpg:1", "a b.jpg"),
    ]
    assert dataset.notes == (
        "1 lines could not be read: line 4",
        "1 faces have a box without pixels and were left out: a b.jpg:2",
    )


def test_expw_keeps_the_faces_of_a_photo_together(tmp_path: Path) -> None:
    dataset = open_dataset(WILD_FORMS["expw"](tmp_path))
    parts = split(dataset, "random-80-10-10", seed=3)
    photos = [
        {dataset.samples[i].subject for i in side}
        for side in (parts.train.indices, parts.validation, parts.test)
    ]
    assert sum(map(len, photos)) == len(set.union(*photos)) == len(made_faces()) // 2 + 1


def test_expw_has_no_sides_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="random-80-10-10"):
        split(open_dataset(WILD_FORMS["expw"](tmp_path)), "official")


# ------------------------------------------------------------------------------ SFEW


def _frame(root: Path, name: str, px: int = 100) -> None:
    write(root / name, png(textures(1, px=px)[0]))


def test_sfew_groups_by_film(tmp_path: Path) -> None:
    _frame(tmp_path, "Train/Angry/21_000104920_00000030.png")
    _frame(tmp_path, "Train/Happy/Harry_Potter_2_000519240_00000005.png")
    _frame(tmp_path, "Val/Happy/AboutABoy_001234560_00000012.png")
    _frame(tmp_path, "Val/Sad/other.png")
    dataset = open_dataset(tmp_path)
    assert [(s.subject, s.side) for s in dataset.samples] == [
        ("21", "train"),
        ("Harry_Potter_2", "train"),
        ("AboutABoy", "test"),
        ("other", "test"),
    ]


def test_sfew_prefers_aligned_faces_and_ignores_test(tmp_path: Path) -> None:
    for side in ("Train", "Val"):
        _frame(tmp_path, f"{side}/Fear/Hangover_000104920_00000030.png", 300)
        _frame(tmp_path, f"{side}_Aligned_Faces_new/Fear/Hangover_000104920_00000030.png", 143)
    _frame(tmp_path, "Test/Hangover_000104920_00000031.png")
    dataset = open_dataset(tmp_path)
    assert [dataset.read(i).shape[0] for i in range(len(dataset))] == [143, 143]
    assert dataset.notes == (
        "1 images of Test have no label: Test/Hangover_000104920_00000031.png",
    )


def test_sfew_says_when_only_one_side_is_aligned(tmp_path: Path) -> None:
    _frame(tmp_path, "Train/Train_Aligned_Faces/Fear/Hangover_000104920_00000030.png")
    _frame(tmp_path, "Val/Fear/Hangover_000104920_00000030.png")
    assert open_dataset(tmp_path).notes[:-1] == (
        "one side holds aligned faces and the other whole frames: unpack both alike",
    )


def test_other_folders_with_capitals_are_not_sfew(tmp_path: Path) -> None:
    _frame(tmp_path, "train/Angry/Training_10131352.png")
    _frame(tmp_path, "val/Happy/PublicTest_10131353.png")
    assert open_dataset(tmp_path).name == "fer2013"


# ------------------------------------------------------------------------------ manifests


def _manifest(root: Path, text: str, photos: int = 1) -> Path:
    for number in range(photos):
        write(root / f"{number}.jpg", jpeg(textures(1, number, px=100)[0]))
    return write(root / "list.csv", text.encode())


def test_a_manifest_with_all_its_columns(tmp_path: Path) -> None:
    path = _manifest(
        tmp_path,
        "Filename; Expression ;Usage;Person;x1;y1;x2;y2\n"
        "0.jpg;joy;Training;ann;10;20;40;60\n1.jpg;sadness;test;ben;0;0;1e3;30.5\n\n",
        photos=2,
    )
    dataset = open_dataset(path)
    assert [(s.id, s.side, s.subject) for s in dataset.samples] == [
        ("0.jpg", "train", "ann"),
        ("1.jpg", "test", "ben"),
    ]
    assert [dataset.read(i).shape for i in range(2)] == [(40, 30, 3), (31, 100, 3)]
    assert dataset.name == "list"


def test_manifest_boxes_may_be_corner_and_size(tmp_path: Path) -> None:
    path = _manifest(tmp_path, "path,label,x,y,w,h\n0.jpg,joy,10,20,30,40\n0.jpg,sad,1,1,9,9\n")
    dataset = open_dataset(path)
    whole = np.asarray(Image.open(tmp_path / "0.jpg"))
    assert np.array_equal(dataset.read(0)[..., 0], whole[20:60, 10:40])
    assert [(s.id, s.subject) for s in dataset.samples] == [
        ("0.jpg", "0.jpg"),
        ("0.jpg#2", "0.jpg"),
    ]


@pytest.mark.parametrize(
    "columns", ["bbox", "x,y,x2,y2", "x1,y1,w,h", "x,y,w", "x1,y1,x2,y2,x,y,w,h"]
)
def test_manifest_boxes_are_never_guessed(columns: str, tmp_path: Path) -> None:
    cells = ",".join("1" for _ in columns.split(","))
    path = _manifest(tmp_path, f"path,label,{columns}\n0.jpg,joy,{cells}\n")
    with pytest.raises(DataError, match="a size cannot be told from a corner"):
        open_dataset(path)


def test_manifest_numbers_need_an_order(tmp_path: Path) -> None:
    path = _manifest(tmp_path, "image,emotion\n0.jpg,0\n0.jpg,1\n")
    with pytest.raises(DataError, match=r"numbers without names.*--label-order"):
        open_dataset(path)
    assert emotions(open_dataset(path, label_order=["sad", "fear"])) == ["sad", "fear"]


def test_manifest_files_may_lie_elsewhere_if_they_exist(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    data = jpeg(textures(1, px=100)[0])
    absolute = write(tmp_path / "far/a.jpg", data)
    write(tmp_path / "b.jpg", data)
    write(folder / "in/c.jpg", data)
    rows = [f"{absolute},joy", "../b.jpg,sad", "in\\c.jpg,fear", "../../no.jpg,sad", "no.jpg,sad"]
    path = _manifest(folder, "\n".join(["file,class", *rows, "../far,sad", "in/c.jpg,", ",sad"]))
    dataset = open_dataset(path)
    assert emotions(dataset) == ["happy", "sad", "fear"]
    assert dataset.notes == (
        "1 rows could not be read: row 8",
        "1 rows have no label and were left out: row 7",
        "3 listed images are not there: ../../no.jpg, no.jpg, ../far",
    )


def test_manifest_side_names_that_are_unknown_are_told(tmp_path: Path) -> None:
    path = _manifest(tmp_path, "image,label,split\n0.jpg,joy,later\n0.jpg,sad,train\n")
    assert open_dataset(path).notes == ("unknown side names were ignored: later",)


def test_a_manifest_without_labels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"one of labels.*found path, mood.*Rename"):
        open_dataset(_manifest(tmp_path, "path,mood\n0.jpg,joy\n"))


def test_a_table_without_files_or_pixels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found: img_path, label.*needs a column path, image"):
        open_dataset(_manifest(tmp_path, "img_path,label\n0.jpg,joy\n"))


def test_a_csv_with_pixels_and_files_is_read_as_pixels(tmp_path: Path) -> None:
    path = _manifest(tmp_path, "file,label,pixels\n0.jpg,happy,1 2 3 4\n")
    assert open_dataset(path).read(0).shape == (2, 2, 3)


def test_parquet_tables_go_by_the_kind_of_their_columns(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    face = png(textures(1)[0])
    write(tmp_path / "0.png", face)
    both = ["happy", "sad"]
    tables = {
        "bytes.parquet": {"image": [face, face], "filename": ["0.png", "0.png"], "label": both},
        "pixels.parquet": {"image": ["1 2 3 4", "5 6 7 8"], "label": both},
        "files.parquet": {"image": ["0.png", "gone.png"], "votes": [[1], [2]], "label": both},
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), tmp_path / name)
    read = {name: open_dataset(tmp_path / name) for name in tables}
    assert [dataset.faces().shape[0] for dataset in read.values()] == [2, 2, 1]
    assert read["pixels.parquet"].read(0).shape == (2, 2, 3)
    assert read["bytes.parquet"].samples[0].id == "bytes:0"
    assert read["files.parquet"].notes == ("1 listed images are not there: gone.png",)


def test_photos_of_the_fixtures_hold_the_face_at_the_box() -> None:
    face = made_faces()[0].pixels
    left, top = BOX
    assert np.array_equal(photo(face)[top : top + 48, left : left + 48], face)
