"""EMOTIC's files: what is read from them, and the traps they hold."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from dataset_forms import png, textures
from emotic_forms import (
    CALM,
    Annotated,
    cell,
    struct,
    write_columns,
    write_lists,
    write_mat,
    write_photos,
)
from PIL import Image

from facetell.datasets import open_dataset
from facetell.datasets.emotic import CATEGORIES, People, as_dataset, read_people
from facetell.datasets.emotic.categories import category_index
from facetell.datasets.emotic.pixels import stored_pixels
from facetell.datasets.emotic.tables import names_in, numbers_in
from facetell.datasets.splits import split
from facetell.errors import DataError, ImageError, InputError
from facetell.labels import EMOTIONS

NAN = (math.nan, math.nan, math.nan)
PHOTO = np.repeat(textures(1)[0][..., None], 3, axis=2)


def carried(people: People, index: int) -> set[str]:
    seen = people.persons[index].categories
    return {name for name, is_seen in zip(CATEGORIES, seen, strict=True) if is_seen}


def written(folder: Path, *people: Annotated, photo: np.ndarray = PHOTO) -> People:
    write_mat(folder / "Annotations.mat", people)
    write_photos(folder, {f"{p.folder}/{p.filename}": photo for p in people})
    return read_people(folder)


def test_there_are_26_categories_in_alphabetical_order() -> None:
    assert len(CATEGORIES) == 26
    assert list(CATEGORIES) == sorted(CATEGORIES)
    assert [category_index(name) for name in CATEGORIES] == list(range(26))
    assert category_index("Contempt") is None


def test_one_person_with_one_category_by_one_annotator_is_read_whole(tmp_path: Path) -> None:
    people = written(tmp_path, Annotated("a.jpg", (("Peace",),)))
    (person,) = people.persons
    assert carried(people, 0) == {"Peace"}
    assert (person.id, person.image) == ("mscoco/images/a.jpg#0", "mscoco/images/a.jpg")
    assert person.box_xyxy == (0, 0, 48, 48)
    assert (person.vad, person.gender, person.age, person.side) == (
        CALM,
        "Female",
        "Adult",
        "train",
    )
    assert people.notes == ()


def test_several_of_each_are_read_as_several(tmp_path: Path) -> None:
    two = Annotated("a.jpg", (("Fear", "Pain"), ("Fear",)), "test", vads=((2, 4, 6), (4, 6, 8)))
    other = Annotated("a.jpg", (("Doubt/Confusion",),), "test", box=(1, 2, 30, 40), gender="Male")
    people = written(tmp_path, two, other, Annotated("b.jpg", (("Yearning", "Anger"),)))
    assert [p.id for p in people.persons] == [
        "mscoco/images/b.jpg#0", "mscoco/images/a.jpg#0", "mscoco/images/a.jpg#1"
    ]  # fmt: skip
    assert carried(people, 0) == {"Yearning", "Anger"}
    assert carried(people, 1) == {"Fear", "Pain"}
    assert [sum(seen) for seen in people.persons[1].annotators] == [2, 1]
    assert people.persons[1].vad == (3, 5, 7)
    assert carried(people, 2) == {"Doubt/Confusion"}
    assert people.persons[2].box_xyxy == (1, 2, 30, 40)
    assert people.images.tolist() == [0, 1, 1]
    assert people.categories.shape == (3, 26)
    assert people.vad.shape == (3, 3)


@pytest.mark.parametrize("annotators", [1, 2, 5])
@pytest.mark.parametrize("categories", [1, 2])
def test_the_sides_with_several_annotators_squeeze_nothing(
    tmp_path: Path, annotators: int, categories: int
) -> None:
    names = ("Pain", "Esteem")[:categories]
    person = Annotated("a.jpg", (names,) * annotators, "validation", vads=(CALM,) * annotators)
    people = written(tmp_path, person)
    assert carried(people, 0) == set(names)
    assert len(people.persons[0].annotators) == annotators
    assert people.persons[0].side == "validation"


def test_unknown_dimensions_leave_the_categories(tmp_path: Path) -> None:
    one = Annotated("a.jpg", (("Fear",),), vads=(NAN,))
    some = Annotated("b.jpg", (("Fear",), ("Fear",)), "test", vads=(NAN, (2, 3, 4)))
    people = written(tmp_path, one, some)
    assert carried(people, 0) == {"Fear"}
    assert np.isnan(people.vad).all(axis=1).tolist() == [True, True]
    assert people.notes == (
        "2 people lack valence, arousal or dominance: mscoco/images/a.jpg#0, mscoco/images/b.jpg#0",
    )


def test_people_without_a_category_stay_and_are_counted(tmp_path: Path) -> None:
    people = written(tmp_path, Annotated("a.jpg", ((),)), Annotated("b.jpg", (("Ennui",),)))
    assert not people.categories.any()
    assert people.notes == (
        "1 category names are unknown and were passed over: Ennui",
        "2 people carry no category and are judged by none: mscoco/images/a.jpg#0, "
        "mscoco/images/b.jpg#0",
    )


def test_boxes_are_clipped_to_the_photo_and_empty_ones_are_left_out(tmp_path: Path) -> None:
    boxes = [(-5, 10.5, 60, 40), (48, 0, 60, 20), (30, 30, 20, 40), (math.nan, 0, 9, 9)]
    people = written(
        tmp_path, *(Annotated(f"{i}.jpg", (("Fear",),), box=box) for i, box in enumerate(boxes))
    )
    assert [person.box_xyxy for person in people.persons] == [(0, 10.5, 48, 40)]
    assert people.notes == (
        "3 people were left out, as nothing of their body box is in the photo: "
        "mscoco/images/1.jpg, mscoco/images/2.jpg, mscoco/images/3.jpg",
        "1 body boxes reached outside the photo and were clipped: mscoco/images/0.jpg",
    )


def test_the_photo_itself_says_how_large_it_is(tmp_path: Path) -> None:
    swapped = Annotated("a.jpg", (("Fear",),), box=(0, 0, 60, 48), size_wh=(48, 60))
    other = Annotated("b.jpg", (("Fear",),), box=(0, 0, 60, 48), size_wh=(640, 480))
    right = Annotated("c.jpg", (("Fear",),), box=(0, 0, 60, 48), size_wh=(60, 48))
    people = written(tmp_path, swapped, other, right, photo=np.zeros((48, 60, 3), np.uint8))
    assert {person.box_xyxy for person in people.persons} == {(0, 0, 60, 48)}
    assert people.notes == (
        "1 photos are recorded with width and height swapped: mscoco/images/a.jpg",
        "1 photos have another size than recorded: mscoco/images/b.jpg",
    )


def test_missing_and_broken_photos_are_counted(tmp_path: Path) -> None:
    names = ("here.jpg", "cut.jpg", "empty.jpg", "gone.jpg")
    write_mat(tmp_path / "Annotations.mat", [Annotated(n, (("Fear",),)) for n in names])
    folder = tmp_path / "mscoco/images"
    folder.mkdir(parents=True)
    jpeg = io.BytesIO()
    Image.fromarray(PHOTO).resize((400, 400)).save(jpeg, "JPEG", quality=95)
    (folder / "here.jpg").write_bytes(jpeg.getvalue())
    (folder / "cut.jpg").write_bytes(jpeg.getvalue()[:-2000])
    (folder / "empty.jpg").write_bytes(b"")
    people = read_people(tmp_path)
    assert [person.image for person in people.persons] == ["mscoco/images/here.jpg"]
    assert people.notes[:2] == (
        "1 people were left out, as their photo is missing: mscoco/images/gone.jpg",
        "2 people were left out, as their photo could not be read: mscoco/images/cut.jpg, "
        "mscoco/images/empty.jpg",
    )
    with pytest.raises(ImageError, match=r"expected a photo of EMOTIC.*Unpack the archive again"):
        stored_pixels(folder / "cut.jpg")


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_printers_photos_become_rgb(tmp_path: Path, mode: str) -> None:
    Image.fromarray(PHOTO).convert(mode).save(tmp_path / "a.jpg", quality=95)
    pixels = stored_pixels(tmp_path / "a.jpg")
    assert pixels.shape == (48, 48, 3)
    assert np.abs(pixels.astype(int) - PHOTO).mean() < 8


def test_the_orientation_tag_is_passed_over_as_boxes_belong_to_stored_pixels(
    tmp_path: Path,
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PHOTO[:30]).save(tmp_path / "a.jpg", exif=exif)
    assert stored_pixels(tmp_path / "a.jpg").shape == (30, 48, 3)


@pytest.mark.parametrize(
    ("annotations", "photos"),
    [
        ("Annotations.mat", "."),
        ("Annotations/Annotations/Annotations.mat", "emotic/emotic"),
        ("Annotations/CVPR17_Annotations.mat", "cvpr_emotic"),
    ],
)
def test_annotations_and_photos_are_found_wherever_the_archives_put_them(
    tmp_path: Path, annotations: str, photos: str
) -> None:
    person = Annotated("a.jpg", (("Fear",),), folder="framesdb/images")
    write_mat(tmp_path / annotations, [person])
    write_photos(tmp_path / photos, {"framesdb/images/a.jpg": PHOTO})
    for path in (tmp_path, tmp_path / annotations):
        (found,) = read_people(path).persons
        assert found.path == tmp_path / photos / "framesdb/images/a.jpg"


def test_each_release_finds_its_own_photos(tmp_path: Path) -> None:
    for name, root, seen in (
        ("Annotations.mat", "emotic", "Fear"), ("CVPR17_Annotations.mat", "cvpr_emotic", "Pain")
    ):  # fmt: skip
        write_mat(tmp_path / name, [Annotated("a.jpg", ((seen,),))])
        write_photos(tmp_path / root, {"mscoco/images/a.jpg": PHOTO})
    assert carried(read_people(tmp_path), 0) == {"Fear"}
    assert read_people(tmp_path).persons[0].path == tmp_path / "emotic/mscoco/images/a.jpg"
    old = read_people(tmp_path / "CVPR17_Annotations.mat")
    assert carried(old, 0) == {"Pain"}
    assert old.persons[0].path == tmp_path / "cvpr_emotic/mscoco/images/a.jpg"


def test_a_folder_without_annotations_says_what_was_expected(tmp_path: Path) -> None:
    deep = tmp_path / "a/b"  # photos are searched two folders up, where other tests have theirs
    deep.mkdir(parents=True)
    with pytest.raises(DataError, match=r"expected Annotations\.mat.*request form"):
        read_people(deep)
    write_mat(deep / "Annotations.mat", [Annotated("a.jpg", (("Fear",),))])
    with pytest.raises(DataError, match=r"1 annotations but not one usable photo.*mscoco"):
        read_people(deep)


def test_other_mat_files_are_an_error(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    (tmp_path / "Annotations.mat").write_bytes(b"no matlab")
    with pytest.raises(DataError, match=r"MATLAB 5 file.*Fetch it again"):
        read_people(tmp_path)
    scipy_io.savemat(tmp_path / "Annotations.mat", {"faces": 1})
    with pytest.raises(DataError, match=r"expected train, val and test in .*, found faces"):
        read_people(tmp_path)


def test_the_per_worker_form_is_read_by_its_field_names(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    worker = {"worker_id": "A1", "work_time": 511, "batch_id": 2}
    person = {
        "head_bbox": [[1, 1, 9, 9]],
        "body_bbox": [[0, 0, 40, 40]],
        "annotations_categories": struct(
            [{**worker, "categories": cell(["Fear"])}, {**worker, "categories": cell(["Pain"])}]
        ),
        "annotations_continuous": struct(
            [
                {**worker, "valence": 2, "arousal": 3, "dominance": 4},
                {**worker, "valence": 4, "arousal": 5, "dominance": math.nan},
            ]
        ),
        "annotations_gender": {"gender": "Male"},
        "annotations_age": {"age": "Kid"},
    }
    photo = {"filename": "a.jpg", "folder": "mscoco/images", "hasAnnotations_discrete": "YES",
             "image_size": {"n_col": 48, "n_row": 48}, "person": person}  # fmt: skip
    scipy_io.savemat(tmp_path / "CVPR17_Annotations.mat", {"train": photo})
    write_photos(tmp_path, {"mscoco/images/a.jpg": PHOTO})
    people = read_people(tmp_path)
    (found,) = people.persons
    assert carried(people, 0) == {"Fear", "Pain"}
    assert (found.vad, found.gender, found.age) == ((3, 4, 4), "Male", "Kid")


SEVERAL = (
    Annotated("a.jpg", (("Fear", "Doubt/Confusion"),), vads=((1.5, 10, 3),), box=(4, 5, 30, 47)),
    Annotated("b.jpg", (("Peace",),), "validation", gender="Male", age="Kid"),
    Annotated("b.jpg", (("Yearning",), ("Sadness",)), "test", vads=(CALM, CALM)),
)


def _facts(people: People) -> list[tuple[object, ...]]:
    return [
        (p.image, p.side, p.box_xyxy, p.categories, p.vad, p.gender, p.age) for p in people.persons
    ]


def test_tables_beside_photos_say_what_the_mat_file_says(tmp_path: Path) -> None:
    wanted = written(tmp_path / "mat", *SEVERAL)
    write_photos(tmp_path / "tables", {f"{p.folder}/{p.filename}": PHOTO for p in SEVERAL})
    write_lists(tmp_path / "tables/emotic_pre", SEVERAL)
    found = read_people(tmp_path / "tables")
    assert _facts(found) == _facts(wanted)
    assert [p.path is not None for p in found.persons] == [True] * 3


def test_tables_with_columns_say_what_the_mat_file_says(tmp_path: Path) -> None:
    wanted = written(tmp_path / "mat", *SEVERAL)
    bodies = {f"{p.folder}/{p.filename}": PHOTO[..., 0] for p in SEVERAL}
    write_columns(tmp_path / "apart/tables", SEVERAL, bodies)
    found = read_people(tmp_path / "apart/tables")
    # The folder is not told, so the photo is named without it.
    strip = [(f"mscoco/images/{image}", *rest) for image, *rest in _facts(found)]
    assert strip == _facts(wanted)
    assert np.array_equal(found.persons[0].pixels(), PHOTO)
    assert found.persons[0].box_in((48, 48)) == (0, 0, 48, 48)


def test_extra_training_tables_are_training(tmp_path: Path) -> None:
    bodies = {f"{p.folder}/{p.filename}": PHOTO[..., 0] for p in SEVERAL}
    write_columns(tmp_path, SEVERAL, bodies)
    folder = tmp_path / "annots_arrs"
    (folder / "annot_arrs_train.csv").rename(folder / "annot_arrs_extra_train.csv")
    people = read_people(tmp_path)
    assert people.persons[0].side == "train"
    assert "1 people of annot_arrs_extra_train.csv were read as train" in people.notes


def test_arrays_that_contradict_their_table_are_reported(tmp_path: Path) -> None:
    bodies = {f"{p.folder}/{p.filename}": PHOTO[..., 0] for p in SEVERAL}
    write_lists(tmp_path, SEVERAL, bodies)
    np.save(tmp_path / "train_cat_arr.npy", np.zeros((1, 26)))
    np.save(tmp_path / "val_cat_arr.npy", np.zeros((2, 26)))
    assert read_people(tmp_path).notes[:2] == (
        "1 rows of train_cat_arr.npy differ from train.csv: the table was used",
        "val_cat_arr.npy has 2 rows, val.csv 1: the table was used",
    )


def test_pickled_and_float_arrays_are_refused(tmp_path: Path) -> None:
    deep = tmp_path / "a/b"  # photos are searched two folders up, where other tests have theirs
    bodies = {f"{p.folder}/{p.filename}": PHOTO[..., 0] for p in SEVERAL}
    write_lists(deep, SEVERAL, bodies)
    people = read_people(deep)
    np.save(deep / "train_body_arr.npy", np.zeros((1, 8, 8, 3)))
    with pytest.raises(ImageError, match=r"expected RGB uint8.*got float64 of shape \(8, 8, 3\)"):
        next(p for p in people.persons if p.side == "train").pixels()
    np.save(deep / "train_body_arr.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ImageError, match="cannot be read"):
        next(p for p in people.persons if p.side == "train").pixels()


def test_broken_tables_are_an_error(tmp_path: Path) -> None:
    write_lists(tmp_path, SEVERAL)
    (tmp_path / "train.csv").rename(tmp_path / "table.csv")
    with pytest.raises(DataError, match=r"named after its side \(train, val, test\)"):
        read_people(tmp_path)
    (tmp_path / "table.csv").unlink()
    bodies = {f"{p.folder}/{p.filename}": PHOTO[..., 0] for p in SEVERAL}
    write_columns(tmp_path / "columns", SEVERAL, bodies)
    table = tmp_path / "columns/annots_arrs/annot_arrs_train.csv"
    table.write_text(table.read_text().replace(",4,5,", ",4,wide,"))
    with pytest.raises(DataError, match="expected numbers in the columns"):
        read_people(tmp_path / "columns")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", ()),
        ("[]", ()),
        ("[1, 2.5, -3]", (1, 2.5, -3)),
        ("[np.float64(5.0), np.int64(64), float32(1e1)]", (5, 64, 10)),
        ("[ 7.  8.]", (7, 8)),
    ],
)
def test_numbers_are_found_in_lists_as_text(text: str, values: tuple[float, ...]) -> None:
    assert numbers_in(text) == values


def test_names_are_found_in_lists_as_text() -> None:
    assert names_in("['Doubt/Confusion', \"Fear\", np.str_('Pain')]") == (
        "Doubt/Confusion", "Fear", "Pain"
    )  # fmt: skip
    assert names_in("[]") == ()


def test_the_dataset_holds_people_with_one_emotion_and_says_how_many(tmp_path: Path) -> None:
    people = written(
        tmp_path,
        Annotated("a.jpg", (("Happiness", "Excitement"),)),
        Annotated("a.jpg", (("Pleasure",),), "test"),
        Annotated("b.jpg", (("Fear",),)),
        Annotated("b.jpg", (("Fear", "Surprise"),)),
        Annotated("c.jpg", (("Yearning",),)),
    )
    dataset = as_dataset(people)
    assert [EMOTIONS[label] for label in dataset.targets] == ["happy", "fear", "happy"]
    assert [s.id for s in dataset.samples] == [
        f"mscoco/images/{n}" for n in ("a.jpg#0", "b.jpg#0", "a.jpg#1")
    ]
    assert dataset.notes[-3:] == (
        "mapping strict 1: 3 of 5 people show one of the seven emotions alone and are used (60%); "
        "1 show none, 1 show several",
        "always answering 'happy' would be right for 66.7% of them: no accuracy means anything "
        "without that",
        "faces are searched as they are read; of 0 people searched so far, "
        "0 have no visible face and are read from the body box",
    )


def test_the_mapping_is_chosen_by_the_name_before_the_path(tmp_path: Path) -> None:
    written(tmp_path, Annotated("a.jpg", (("Affection",),)), Annotated("b.jpg", (("Fear",),)))
    for text in (f"{tmp_path}", f"emotic:{tmp_path}", f"emotic:strict:{tmp_path}"):
        assert (open_dataset(text).name, len(open_dataset(text))) == ("emotic-strict", 1)
    broad = open_dataset(f"emotic:broad:{tmp_path}")
    assert (broad.name, len(broad)) == ("emotic-broad", 2)
    assert open_dataset(broad.source).name == "emotic-broad"
    with pytest.raises(InputError, match="mapping must be one of strict, broad, got 'loose'"):
        open_dataset(f"emotic:loose:{tmp_path}")
    with pytest.raises(DataError, match="found none"):
        open_dataset(f"emotic:strict:{tmp_path}/gone")


def test_people_without_one_emotion_make_no_dataset(tmp_path: Path) -> None:
    people = written(tmp_path, Annotated("a.jpg", (("Yearning",),)))
    with pytest.raises(DataError, match=r"found none among 1 under the mapping 'strict'"):
        as_dataset(people)


def test_people_of_one_photo_share_a_side(tmp_path: Path) -> None:
    people = [
        Annotated(f"{photo}.jpg", ((name,),), box=(n, 0, 24 + n, 48))
        for photo in range(20)
        for n, name in enumerate(("Fear", "Anger", "Sadness"))
    ]
    dataset = as_dataset(written(tmp_path, *people))
    parts = split(dataset, "random-80-10-10", seed=1)
    sides = [
        {dataset.samples[i].subject for i in side}
        for side in (parts.train.indices, parts.validation, parts.test)
    ]
    assert all(sides)
    assert sum(map(len, sides)) == len(set.union(*sides)) == 20


def test_nobody_is_people_too() -> None:
    nobody = People(persons=())
    assert nobody.categories.shape == (0, 26)
    assert nobody.vad.shape == (0, 3)
    assert len(nobody.on("train")) == 0


def test_photos_on_two_sides_are_reported(tmp_path: Path) -> None:
    people = written(
        tmp_path, Annotated("a.jpg", (("Fear",),)), Annotated("a.jpg", (("Fear",),), "test")
    )
    assert people.notes == ("1 photos are on two sides: mscoco/images/a.jpg",)


def test_other_folders_are_not_taken_for_emotic(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy/a.png").write_bytes(png(PHOTO))
    (tmp_path / "train.csv").write_text("emotion,pixels\n0,1 2 3 4\n")
    assert open_dataset(tmp_path).name == tmp_path.name
