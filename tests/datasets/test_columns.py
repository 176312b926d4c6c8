from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facetell.datasets import open_dataset
from facetell.datasets.columns import read_column
from facetell.errors import DataError
from judging import small_dataset


@pytest.fixture
def manifest(tmp_path):
    rows = ["File,Label,Camera,Box"]
    for i in range(6):
        Image.fromarray(np.full((48, 48), 20 * i, np.uint8)).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{'happy' if i % 2 else 'sad'}, {'ab'[i // 3]} ,")
    path = tmp_path / "faces.csv"
    path.write_text("\n".join(row.rpartition(",")[0] for row in rows))
    return path


def test_a_column_of_the_datasets_own_table_is_read_by_name(manifest):
    dataset = open_dataset(manifest)

    assert read_column(dataset, "camera", source=manifest) == ("a",) * 3 + ("b",) * 3
    assert read_column(dataset, " Camera", source=manifest)[0] == "a"


def test_an_unknown_column_is_told_with_those_there_are(manifest):
    with pytest.raises(DataError, match=r"expected a column 'age' in .*, found file, label, camer"):
        read_column(open_dataset(manifest), "age", source=manifest)


@pytest.mark.parametrize(
    "table",
    ["id,light\nface/0,dim\nface/2,bright\n", "light;File\ndim;face/0\n bright ;face/2\n"],
)
def test_a_table_of_ones_own_names_samples_by_id_or_file(tmp_path, table):
    path = tmp_path / "mine.csv"
    path.write_text(table)

    values = read_column(small_dataset(4), f"{path}:light")

    assert values == ("dim", "", "bright", "")


def test_the_subjects_of_any_dataset_are_a_column():
    dataset = small_dataset(4)
    named = tuple(replace(s, subject=f"p{i % 2}") for i, s in enumerate(dataset.samples))

    assert read_column(replace(dataset, samples=named), "subject") == ("p0", "p1", "p0", "p1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"expected a CSV file with the columns id and light at .*mine.csv, got"),
        ("id,dark\nface/0,x\n", r"expected columns id and light in .*, found id, dark"),
        ("", r"expected columns id and light in .*, found no row"),
        ("id,light\nother,x\n", r"such as face/0, face/1, found 1 rows, such as other"),
    ],
)
def test_a_table_that_says_nothing_is_an_error(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_column(small_dataset(4), f"{path}:light")


def test_data_without_a_table_ask_for_one(tmp_path):
    with pytest.raises(
        DataError, match=r"is no manifest of files and labels\. Give a table of you"
    ):
        read_column(small_dataset(4), "light", source=tmp_path)


def test_faces_of_one_photo_with_different_values_are_refused(manifest):
    text = manifest.read_text() + "\n0.png,sad,b"
    manifest.write_text(text)
    with pytest.raises(DataError, match=r"expected one value for all faces of 0\.png"):
        read_column(open_dataset(manifest), "camera", source=manifest)

    manifest.write_text(text.replace("sad,b", "sad,a"))
    assert read_column(open_dataset(manifest), "camera", source=manifest)[-1] == "a"


def test_rows_of_ones_own_table_that_differ_are_refused(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("id,light\nface/0,dim\nface/0, dim\nface/1,dim\n")
    assert read_column(small_dataset(4), f"{path}:light") == ("dim", "dim", "", "")

    path.write_text("file,light\nface/0,dim\nface/0,\nface/1,dim\n")
    with pytest.raises(
        DataError, match=r"of light for each file in .*, found .* for 1, .* face/0: 'dim' and ''\."
    ):
        read_column(small_dataset(4), f"{path}:light")
