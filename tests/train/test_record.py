"""What a run wrote down when it was started, also after it was damaged."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from facetell.errors import TrainingError  # noqa: E402
from facetell.recipe import Recipe  # noqa: E402
from facetell.train.finish import reopen  # noqa: E402
from facetell.train.loop import resumed_recipe  # noqa: E402
from facetell.train.record import read_record  # noqa: E402

WHOLE = json.dumps({"recipe": Recipe().to_dict(), "data": {}, "data_source": "toon"}, indent=2)


def test_a_whole_record_is_read(tmp_path):
    (tmp_path / "run.json").write_text(WHOLE)

    assert read_record(tmp_path)["data_source"] == "toon"
    assert resumed_recipe(tmp_path) == (Recipe(), "toon", None)


@pytest.mark.parametrize("read", [read_record, resumed_recipe, lambda run: reopen(run, Recipe())])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", r"no JSON \(Expecting value"),
        (WHOLE[:300], r"no JSON \("),
        (b"\xff\xfe", r"no JSON \("),
        ("[1]", r"JSON without recipe, data, data_source\."),
        ("{}", r"JSON without recipe, data, data_source\."),
        (json.dumps({"recipe": [], "data": {}}), r"JSON without recipe, data_source\."),
    ],
)
def test_a_damaged_record_is_told(tmp_path, read, text, found):
    (tmp_path / "run.json").write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(
        TrainingError, match=r"record of a training run at .*run\.json, got "
    ) as told:
        read(tmp_path)

    assert told.match(found)
    assert told.match("Restore the file from a copy, or train again into another folder")


def test_a_folder_without_a_record_is_told(tmp_path):
    with pytest.raises(
        TrainingError, match=r"with run\.json\) at .*, found none\. Name the folder"
    ):
        read_record(tmp_path)
