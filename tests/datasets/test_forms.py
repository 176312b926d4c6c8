"""One contract over every form of data, and the particulars of each."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from dataset_forms import FORMS, TALKATIVE, made_faces, png, textures
from posed_forms import POSED_FORMS
from wild_forms import WILD_FORMS, written_side

from facetell.datasets import Dataset, open_dataset
from facetell.datasets.fer2013 import parse_pixels
from facetell.datasets.form import Form
from facetell.datasets.forms import FORMS as DATA_FORMS
from facetell.datasets.splits import Protocol, Split, split, subjects
from facetell.errors import DataError, InputError
from facetell.faces.crop import whole_face
from facetell.labels import EMOTIONS

FORMS = {**FORMS, **WILD_FORMS}
TOON = "toon:characters=6,per_emotion=2,seed=3"
#: FORMS hold the faces of made_faces; the others hold their own.
EVERY_FORM = {**FORMS, **POSED_FORMS}


@pytest.fixture(scope="module", params=[*EVERY_FORM, "toon"])
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    if request.param == "toon":
        return open_dataset(TOON)
    return open_dataset(EVERY_FORM[request.param](tmp_path_factory.mktemp("data")))


def test_labels_are_known(dataset: Dataset) -> None:
    assert dataset.labels == EMOTIONS
    # CK+48 has no neutral faces.
    assert set(range(6)) <= set(dataset.targets.tolist()) <= set(range(7))


def test_ids_are_unique(dataset: Dataset) -> None:
    assert len({sample.id for sample in dataset.samples}) == len(dataset)


def test_images_are_rgb_uint8(dataset: Dataset) -> None:
    for index in (0, len(dataset) - 1):
        image = dataset.read(index)
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3


def test_only_small_images_are_held_in_memory(dataset: Dataset) -> None:
    is_small = max(dataset.read(0).shape) <= 48
    assert (dataset.stack is None) or is_small
    assert dataset.stack is None or len(dataset.stack) == len(dataset)


def test_faces_agree_with_read(dataset: Dataset) -> None:
    chosen = [3, 0, 3]
    colour = dataset.faces(chosen, channels=3)
    read = [whole_face(dataset.read(i), 48) for i in chosen]
    assert np.array_equal(colour, np.stack(read))
    assert dataset.faces(chosen).shape == (3, 48, 48)


def test_taken_samples_keep_their_images(dataset: Dataset) -> None:
    part = dataset.take([5, 0])
    assert [sample.id for sample in part.samples] == [dataset.samples[i].id for i in (5, 0)]
    assert np.array_equal(part.faces(), dataset.faces([5, 0]))
    assert np.array_equal(part.read(0), dataset.read(5))


def test_each_sample_is_on_one_side_or_removed(dataset: Dataset) -> None:
    for protocol in _protocols(dataset):
        parts = split(dataset, protocol)
        placed = np.concatenate([parts.train.indices, parts.validation, parts.test])
        assert len(np.unique(placed)) == len(placed) == len(dataset) - parts.removed
        assert min(map(len, _sides(parts))) > 0


def test_no_group_is_on_two_sides(dataset: Dataset) -> None:
    for protocol in _protocols(dataset):
        if protocol == "official":
            continue
        parts = split(dataset, protocol)
        assert parts.groups is not None
        _assert_apart([set(parts.groups[side].tolist()) for side in _sides(parts)])


def test_no_subject_is_on_two_sides(dataset: Dataset) -> None:
    """Subjects that the data know are told for every sample, and hold a split together."""
    names = [sample.subject for sample in dataset.samples]
    if set(names) == {None}:
        return
    for fold in range(len(subjects(dataset))):
        one_out = split(dataset, "leave-one-subject-out", fold=fold)
        _assert_apart([{names[i] for i in side} for side in _sides(one_out)])
        drawn = split(dataset, "random-80-10-10", seed=fold)
        _assert_apart([{names[i] for i in side} for side in _sides(drawn)])


def test_the_same_seed_gives_the_same_split(dataset: Dataset) -> None:
    first, again = (split(dataset, "random-80-10-10", seed=5) for _ in range(2))
    for one, other in zip(_sides(first), _sides(again), strict=True):
        assert np.array_equal(one, other)


#: "emotic lists" holds all pixels in one array, so that no single face can break.
@pytest.mark.parametrize("form", [form for form in EVERY_FORM if form != "emotic lists"])
def test_a_broken_face_is_counted_and_the_others_are_read(form: str, tmp_path: Path) -> None:
    place = EVERY_FORM[form](tmp_path)
    whole = open_dataset(place)
    broken = break_a_face(whole, tmp_path)
    dataset = open_dataset(place)
    lost = {sample.id for sample in whole.samples} - {sample.id for sample in dataset.samples}
    assert lost == {broken}
    assert len(dataset) == len(whole) - 1
    assert any(note.startswith("1 ") and "could not be read" in note for note in dataset.notes)


@pytest.mark.parametrize("form", DATA_FORMS, ids=lambda form: form.name)
def test_absent_data_say_where_to_get_them_and_their_terms(form: Form, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found nothing there") as caught:
        open_dataset(tmp_path / f"my {form.name.upper()} data")
    assert form.where in str(caught.value)
    assert re.search("terms|licence|research|yours", form.where)


def break_a_face(dataset: Dataset, folder: Path) -> str:
    """Spoil the file or the cell of the first face and return its id, whatever the form."""
    first = dataset.samples[0].id
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    photo = first.partition("#")[0]
    arrays = f"crop_arr_{Path(photo).stem}.npy"
    images = [path for path in files if path.as_posix().endswith((f"/{photo}", f"/{arrays}"))]
    tables = [path for path in files if path.suffix == ".parquet"]
    if images:
        content = images[0].read_bytes()
        images[0].write_bytes(content[: len(content) // 2])
    elif tables:
        _break_cell(tables[0])
    elif photos := [path for path in files if path.name == first.partition(":")[0]]:
        photos[0].write_bytes(b"no image")
    else:
        pixels = next(path for path in files if b"ixels" in path.read_bytes()[:60])
        head, row, rest = pixels.read_bytes().split(b"\n", 2)
        pixels.write_bytes(b"\n".join([head, row.replace(b" ", b" x ", 1), rest]))
    return first


def _break_cell(path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    table = pq.read_table(path)
    cells = table.column("image").to_pylist()
    cells[0] = {**cells[0], "bytes": b"no image"} if isinstance(cells[0], dict) else b"no image"
    column = type(table).from_pydict({"image": cells}).column(0)
    pq.write_table(table.set_column(table.column_names.index("image"), "image", column), path)


def _protocols(dataset: Dataset) -> list[Protocol]:
    has_sides = any(sample.side == "train" for sample in dataset.samples)
    return ["official", "clean", "random-80-10-10"] if has_sides else ["random-80-10-10"]


def _sides(parts: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return parts.train.indices, parts.validation, parts.test


def _assert_apart(sides: list[set[object]]) -> None:
    assert sum(map(len, sides)) == len(set.union(*sides))


@pytest.mark.parametrize("form", FORMS)
def test_pixels_labels_and_sides_are_those_written(form: str, tmp_path: Path) -> None:
    dataset = open_dataset(FORMS[form](tmp_path))
    written = sorted(
        (written_side(form, f.side), f.label, f.pixels.tobytes()) for f in made_faces()
    )
    faces = dataset.faces()
    read = sorted(
        (str(sample.side), sample.label, face.tobytes())
        for sample, face in zip(dataset.samples, faces, strict=True)
    )
    assert read == written
    assert form in TALKATIVE or dataset.notes == ()


#: Forms whose labels are numbers: a label order says what they mean.
NUMBERED = {
    "fer2013.csv", "icml_face_data.csv", "hub parquet", "usage parquet", "raf-db", "raf-db kaggle",
    "affectnet 2017", "affectnet 2021", "expw", "fer+ beside fer2013", "fer+ majority",
}  # fmt: skip


@pytest.mark.parametrize("form", [*EVERY_FORM, "toon", "emotic text"])
def test_a_label_order_is_for_numbers_and_refused_for_names(form: str, tmp_path: Path) -> None:
    writers = {
        **EVERY_FORM,
        "toon": lambda _: TOON,
        "emotic text": lambda folder: f"emotic:{EVERY_FORM['emotic mat'](folder)}",
    }
    place = writers[form](tmp_path)
    if form in NUMBERED:
        assert len(open_dataset(place, label_order=[*EMOTIONS, "contempt"]))
        return
    with pytest.raises(DataError, match=r"\(--label-order\) only for data .*have names. Leave"):
        open_dataset(place, label_order=EMOTIONS)


def test_votes_are_read_where_they_are(tmp_path: Path) -> None:
    dataset = open_dataset(FORMS["usage parquet"](tmp_path))
    assert dataset.name == "fer2013"
    assert dataset.samples[0].votes == (10, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    assert dataset.samples[0].id == "Training_0"


@pytest.mark.parametrize(
    ("text", "values"),
    [(b"0", [0]), (b"255 0 7", [255, 0, 7]), (b" 12  3 ", [12, 3]), (b"007 40", [7, 40])],
)
def test_pixel_text_is_parsed(text: bytes, values: list[int]) -> None:
    assert parse_pixels(text).tolist() == values


@pytest.mark.parametrize("text", [b"", b"256", b"1 -2", b"1,2", b"1.5", b"1000 2", b"a"])
def test_other_text_is_no_pixels(text: bytes) -> None:
    with pytest.raises(ValueError, match="expected numbers"):
        parse_pixels(text)


def test_pixel_text_is_parsed_like_the_slow_way() -> None:
    values = np.random.default_rng(0).integers(0, 256, 5000)
    assert np.array_equal(parse_pixels(" ".join(map(str, values)).encode()), values)


def test_broken_rows_are_counted_and_the_others_read(tmp_path: Path) -> None:
    path = Path(FORMS["fer2013.csv"](tmp_path))
    path.write_text(path.read_text() + "0,1 2 3,Training\n0,12 x,Training\n3\n")
    dataset = open_dataset(path)
    assert len(dataset) == 56
    assert dataset.notes == ("3 rows could not be read: row 56, row 57, row 58",)


def test_numbers_without_names_are_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "faces.csv"
    path.write_text("label,pixels\n0,1 2 3 4\n1,5 6 7 8\n")
    with pytest.raises(DataError, match=r"numbers without names.*label-order"):
        open_dataset(path)
    dataset = open_dataset(path, label_order=["happy", "sad"])
    assert dataset.targets.tolist() == [EMOTIONS.index("happy"), EMOTIONS.index("sad")]


def test_a_number_outside_the_order_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "ckextended.csv"
    path.write_text("emotion,pixels,Usage\n7,1 2 3 4,Training\n")
    with pytest.raises(DataError, match="label number 7"):
        open_dataset(path)
    with pytest.raises(DataError, match="must name at least two of angry"):
        open_dataset(path, label_order=["x"] * 8)


def test_other_labels_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "faces.csv"
    path.write_text("label,pixels\nhappy,1 2 3 4\ncontempt,5 6 7 8\n")
    dataset = open_dataset(path)
    assert len(dataset) == 1
    assert dataset.notes == ("1 images with other labels were left out: 1 'contempt'",)


def test_the_competition_test_file_has_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text("pixels\n1 2 3 4\n")
    with pytest.raises(DataError, match="no 'emotion' column"):
        open_dataset(path)


def test_an_absent_path_says_where_to_get_the_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found nothing.*Kaggle competition.*research only"):
        open_dataset(tmp_path / "fer2013.csv")


def test_an_unknown_form_says_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "faces.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"\.csv or \.parquet file or a folder"):
        open_dataset(tmp_path / "faces.zip")


def test_an_empty_folder_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected class folders such as angry"):
        open_dataset(tmp_path)


def test_folders_skip_and_count_what_is_no_image(tmp_path: Path) -> None:
    for name in ("happy", "sad", "__MACOSX/happy"):
        (tmp_path / name).mkdir(parents=True)
    image = png(textures(1)[0])
    (tmp_path / "happy/a.png").write_bytes(image)
    (tmp_path / "sad/b.png").write_bytes(image)
    (tmp_path / "__MACOSX/happy/a.png").write_bytes(image)
    (tmp_path / "happy/.DS_Store").write_bytes(b"x")
    (tmp_path / "happy/Thumbs.db").write_bytes(b"x")
    (tmp_path / "happy/list.txt").write_bytes(b"x")
    (tmp_path / "happy/empty.png").write_bytes(b"")
    (tmp_path / "sad/cut.png").write_bytes(image[: len(image) // 2])
    dataset = open_dataset(tmp_path)
    assert [sample.id for sample in dataset.samples] == ["happy/a.png", "sad/b.png"]
    assert dataset.notes == (
        "2 hidden files were skipped: happy/.DS_Store, happy/Thumbs.db",
        "1 files are not images and were skipped: happy/list.txt",
        "1 files are empty and were skipped: happy/empty.png",
        "1 images could not be read: sad/cut.png",
    )


@pytest.mark.parametrize("first", [0, 1])
def test_numbered_folders_need_an_order(tmp_path: Path, first: int) -> None:
    raf = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
    for number, pixels in enumerate(textures(7), first):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "a.png").write_bytes(png(pixels))
    with pytest.raises(DataError, match=r"are numbers.*RAF-DB from 1"):
        open_dataset(tmp_path)
    dataset = open_dataset(tmp_path, label_order=raf)
    assert [EMOTIONS[k] for k in dataset.targets] == [
        "surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"
    ]  # fmt: skip


def test_parquet_numbers_without_names_are_not_guessed(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    faces = [png(pixels) for pixels in textures(2)]
    pq.write_table(pa.table({"img_bytes": faces, "labels": [0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="numbers without names"):
        open_dataset(tmp_path / "a.parquet")
    dataset = open_dataset(tmp_path / "a.parquet", label_order=["sad", "happy"])
    assert [EMOTIONS[k] for k in dataset.targets] == ["sad", "happy"]


def test_broken_parquet_images_are_counted(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    faces = [png(textures(1)[0]), b"no image", None]
    table = pa.table({"jpg": faces, "cls": ["joy", "sad", "sad"]})
    pq.write_table(table, tmp_path / "test.parquet")
    dataset = open_dataset(tmp_path / "test.parquet")
    assert dataset.notes == ("2 images could not be read: test:1, test:2",)
    assert dataset.samples[0].side == "test"


def test_a_file_that_is_no_parquet_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "a.parquet").write_bytes(b"no")
    with pytest.raises(DataError, match="expected a Parquet file"):
        open_dataset(tmp_path / "a.parquet")


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "happy").mkdir()
    Image.new("RGBA", (48, 48), (0, 0, 0, 0)).save(tmp_path / "happy/a.png")
    assert (open_dataset(tmp_path).read(0) == 255).all()


@pytest.mark.parametrize("text", ["toon:character=3", "toon:seed=x"])
def test_unknown_toon_options_are_an_error(text: str) -> None:
    with pytest.raises(InputError, match="expected toon:characters=80"):
        open_dataset(text)
