"""Groups as a file."""

from __future__ import annotations

import numpy as np
import pytest

from copied import copied_dataset
from facetell.datasets.groups import read_groups, write_groups
from facetell.errors import DataError, InputError


@pytest.fixture(scope="module")
def dataset():
    return copied_dataset()


def test_groups_read_are_groups_written(dataset, tmp_path):
    groups = np.arange(len(dataset)) // 3 * 7

    path = write_groups(dataset, groups, tmp_path / "groups.csv")

    again = read_groups(dataset, path)
    assert np.array_equal(again[:, None] == again, groups[:, None] == groups)
    assert path.read_text().splitlines()[:2] == ["id,group,side,label", "face/0,0,train,angry"]


def test_anyones_file_with_ids_and_named_groups_will_do(dataset, tmp_path):
    rows = [f"face/{i},sub-{i % 5},{i % 2}" for i in reversed(range(len(dataset)))]
    path = tmp_path / "groups.csv"
    path.write_text("\ufeff" + "\n".join(["id,group,side", *rows, "elsewhere,other,1"]) + "\n")

    groups = read_groups(dataset, path)

    assert groups.tolist() == [i % 5 for i in range(len(dataset))]


def test_a_sample_without_a_row_is_an_error(dataset, tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("id,group\n" + "".join(f"face/{i},0\n" for i in range(30)))

    with pytest.raises(DataError, match=r"has none for 4 of 34 \(face/30, face/31, face/32\)"):
        read_groups(dataset, path)


def test_an_empty_group_is_no_group_that_others_share(dataset, tmp_path):
    rows = [f"face/{i},{'' if i in (4, 9) else i}" for i in range(len(dataset))]
    path = tmp_path / "groups.csv"
    path.write_text("\n".join(["id,group", *rows]) + "\n")

    with pytest.raises(DataError, match=r"none for 2 of 34 \(face/4, face/9\)\. Give each a name"):
        read_groups(dataset, path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected columns id and group in .*, found no row"),
        ("id,subject\nface/0,ann\n", "found id, subject. Write it anew: facetell audit"),
        (None, "expected a CSV file of groups at .*No such file"),
    ],
)
def test_other_files_are_errors(dataset, tmp_path, content, message):
    path = tmp_path / "groups.csv"
    if content is not None:
        path.write_text(content)

    with pytest.raises(DataError, match=message):
        read_groups(dataset, path)


def test_a_file_is_kept_unless_told_otherwise(dataset, tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("mine")
    groups = np.zeros(len(dataset), np.int64)

    with pytest.raises(InputError, match="is there already"):
        write_groups(dataset, groups, path)
    assert path.read_text() == "mine"
    assert write_groups(dataset, groups, path, overwrite=True) == path


def test_rows_that_say_different_things_of_a_sample_are_an_error(dataset, tmp_path):
    path = tmp_path / "groups.csv"
    rows = [f"face/{i},{i % 5}" for i in range(len(dataset))]
    path.write_text("\n".join(["id,group", *rows, *rows]) + "\n")
    assert read_groups(dataset, path).tolist() == [i % 5 for i in range(len(dataset))]

    path.write_text("\n".join(["id,group", *rows, "face/7,x", "face/7,y", "face/3,0"]) + "\n")
    with pytest.raises(DataError) as told:
        read_groups(dataset, path)
    assert str(told.value) == (
        f"expected one value of group for each id in {path}, found different ones for 2, the first "
        "for face/7: '2' and 'x'. Correct the file."
    )
