"""Tables of readings: what a row holds, and what is left of a table after a kill at any byte."""

import csv
import io
import json
import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facetell.errors import InputError, MissingExtra
from facetell.results import Face, Reading
from facetell.rows import FORMS, about_sources, columns, open_rows, rows_of

LABELS = ("happy", "sad")
RUN = {"sources": about_sources(["a", "b"]), "model": "0123"}

SHARE = st.floats(0, 1)
NAME = st.text(st.characters(codec=None, exclude_characters="\0"), max_size=12)


def face(score=0.75, box=(1.0, 2.0, 30.5, 40.0)):
    scores = {"happy": score, "sad": 1 - score}
    return Face(
        box_xyxy=box,
        label=max(scores, key=scores.get),
        scores=scores,
        margins={"happy": 1.5, "sad": -0.5},
        margin=abs(2 * score - 1),
        detector_score=0.9,
    )


def reading(source="a.png", faces=1, error=None):
    found = tuple(face(0.5 + 0.1 * i) for i in range(faces))
    size = (0, 0) if error else (64, 48)
    return Reading(source=source, size_wh=size, faces=found, model="tiny", error=error)


READINGS = st.builds(
    lambda source, count, error: reading(source, 0 if error else count, error),
    NAME,
    st.integers(0, 3),
    st.none() | NAME.filter(bool),
)


def open_(path, form="csv", run=RUN, **options):
    return open_rows(path, form, labels=LABELS, run=run, **options)


def write_all(path, readings, form="csv", **options):
    with open_(path, form, **options) as out:
        for one in readings[out.done :]:
            out.add(one)
        return out.finish()


def stop_after(path, readings, form="csv"):
    """What a kill leaves behind when so many readings were written."""
    with open_(path, form) as out:
        for one in readings:
            out.add(one)
        left = {file: file.read_bytes() for file in path.parent.glob(f"{path.name}.*")}
    for file, data in left.items():
        file.write_bytes(data)


def csv_rows(path):
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_columns_are_in_this_order():
    assert columns(LABELS) == (
        "source", "time_s", "face", "person", "x1", "y1", "x2", "y2", "label", "score", "margin",
        "score_happy", "score_sad", "set", "sure", "warnings", "detector_score", "model", "error",
    )  # fmt: skip


def test_every_face_is_a_row():
    first, second = rows_of(reading(faces=2), LABELS)
    assert tuple(first) == columns(LABELS)
    assert first == {
        "source": "a.png", "time_s": None, "face": 1, "person": None,
        "x1": 1.0, "y1": 2.0, "x2": 30.5, "y2": 40.0, "label": "happy", "score": 0.5,
        "margin": 0.0, "score_happy": 0.5, "score_sad": 0.5, "set": None, "sure": None,
        "warnings": "", "detector_score": 0.9, "model": "tiny", "error": None,
    }  # fmt: skip
    assert (second["face"], second["score"]) == (2, 0.6)


@pytest.mark.parametrize("error", [None, "broken"])
def test_no_face_and_a_broken_file_are_one_row_with_empty_face_fields(error):
    (row,) = rows_of(reading(faces=0, error=error), LABELS)
    filled = {key for key, value in row.items() if value is not None}
    assert filled == {"source", "model"} | ({"error"} if error else set())


@pytest.mark.parametrize(("form", "sure"), [("csv", "false"), ("parquet", False)])
def test_sets_doubt_and_warnings_are_columns(tmp_path, form, sure):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    doubted = replace(face(), set=("happy", "sad"), sure=False, warnings=("dark", "small"))
    path = write_all(tmp_path / f"a.{form}", [replace(reading(), faces=(doubted,))], form)
    (row,) = csv_rows(path) if form == "csv" else parquet_rows(path)
    assert (row["set"], row["sure"], row["warnings"]) == ("happy|sad", sure, "dark|small")


def parquet_rows(path):
    from pyarrow import parquet

    return parquet.read_table(path).to_pylist()


def test_the_names_of_sources_are_known_again_and_their_order_too():
    assert about_sources(["a", "b"]) == about_sources(iter(["a", "b"]))
    assert about_sources([])["count"] == 0
    others = [["b", "a"], ["ab"], ["a", "b", "c"], ["a", "\udcff"]]
    assert all(about_sources(other) != about_sources(["a", "b"]) for other in others)


def test_csv_holds_the_rows_with_all_digits(tmp_path):
    third = reading("c", faces=0)
    path = write_all(tmp_path / "out.csv", [reading("a", 2), reading("b", 0, "bad"), third])
    rows = csv_rows(path)
    assert [(row["source"], row["face"], row["error"]) for row in rows] == [
        ("a", "1", ""), ("a", "2", ""), ("b", "", "bad"), ("c", "", ""),
    ]  # fmt: skip
    assert float(rows[1]["score_sad"]) == 1 - 0.6
    assert leftovers(tmp_path) == ["out.csv"]


def test_json_lines_hold_whole_readings(tmp_path):
    readings = [reading("a", 2), reading("b", 0, "bad")]
    path = write_all(tmp_path / "out.jsonl", readings, "jsonl")
    lines = path.read_text().splitlines()
    assert [Reading.from_dict(json.loads(line)) for line in lines] == readings


def test_parquet_holds_the_rows_with_their_types(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("facetell.rows._ROW_GROUP", 2)
    readings = [reading("a", 3), reading("b", 0, "bad"), reading("c", 0)]
    path = write_all(tmp_path / "out.parquet", readings, "parquet")
    table = parquet.read_table(path)
    assert table.to_pylist() == [row for one in readings for row in rows_of(one, LABELS)]
    types = {field.name: str(field.type) for field in table.schema}
    assert tuple(types) == columns(LABELS)
    assert (types["source"], types["face"], types["score"]) == ("string", "int32", "double")
    assert parquet.ParquetFile(path).num_row_groups == 3
    assert leftovers(tmp_path) == ["out.parquet"]


@pytest.mark.parametrize("form", FORMS)
def test_no_sources_make_an_empty_table(form, tmp_path):
    if form == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
    path = write_all(tmp_path / "out", [], form)
    if form == "parquet":
        assert parquet.read_table(path).num_rows == 0
    else:
        assert path.read_text() == ("" if form == "jsonl" else ",".join(columns(LABELS)) + "\n")


@settings(max_examples=60, deadline=None)
@given(readings=st.lists(READINGS, max_size=5))
def test_any_name_and_any_error_come_back_from_csv(readings, tmp_path_factory):
    path = write_all(tmp_path_factory.mktemp("any") / "out.csv", readings)
    rows = csv_rows(path)
    wanted = [row for one in readings for row in rows_of(one, LABELS)]
    for key in ("source", "error"):
        got = [row[key] for row in rows]
        texts = [row[key] or "" for row in wanted]
        assert got == [text.encode("utf-8", "backslashreplace").decode() for text in texts]
    assert [row["face"] for row in rows] == [str(row["face"] or "") for row in wanted]


@settings(max_examples=20, deadline=None)
@given(readings=st.lists(READINGS, max_size=4))
def test_any_name_and_any_error_come_back_from_parquet_as_from_csv(readings, tmp_path_factory):
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path_factory.mktemp("any")
    rows = csv_rows(write_all(folder / "out.csv", readings))
    table = parquet.read_table(write_all(folder / "out.parquet", readings, "parquet")).to_pylist()
    for key in ("source", "error", "label"):
        assert [row[key] or "" for row in table] == [row[key] for row in rows]


@settings(max_examples=60, deadline=None)
@given(readings=st.lists(READINGS, max_size=5))
def test_any_reading_comes_back_from_json_lines(readings, tmp_path_factory):
    path = write_all(tmp_path_factory.mktemp("any") / "out.jsonl", readings, "jsonl")
    lines = path.read_bytes().split(b"\n")[:-1]
    assert [Reading.from_dict(json.loads(line)) for line in lines] == readings


@settings(max_examples=150, deadline=None)
@given(
    form=st.sampled_from(["csv", "jsonl"]),
    readings=st.lists(READINGS, min_size=1, max_size=6),
    stop=SHARE,
    part=SHARE,
    journal=SHARE,
)
def test_a_table_torn_at_any_byte_goes_on_without_losing_or_doubling_a_row(
    form, readings, stop, part, journal, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("torn")
    whole = write_all(folder / "whole", readings, form).read_bytes()
    out = folder / "out"
    stop_after(out, readings[: round(stop * len(readings))], form)
    rows, log = folder / "out.part", folder / "out.journal"
    first = log.read_bytes().index(b"\n") + 1  # written at once, before everything else
    os.truncate(rows, round(part * rows.stat().st_size))
    os.truncate(log, first + round(journal * (log.stat().st_size - first)))

    assert write_all(out, readings, form).read_bytes() == whole
    assert leftovers(folder) == ["out", "whole"]


def test_what_a_kill_left_whole_is_kept_and_a_torn_line_is_not(tmp_path):
    readings = [reading("b", 0, "bad"), reading("a"), reading("c", 3)]
    stop_after(tmp_path / "out", readings[:2])
    with (tmp_path / "out.part").open("ab") as file:
        file.write(b"c,,1,,1.")  # a kill while a row is written
    with (tmp_path / "out.journal").open("ab") as file:
        file.write(b"3 99")

    with open_(tmp_path / "out") as out:
        assert (out.done, out.failed) == (2, 1)
        out.add(readings[2])
        assert (out.done, out.failed) == (3, 1)
        rows = csv_rows(out.finish())
    assert [row["source"] for row in rows] == ["b", "a", "c", "c", "c"]


def test_a_torn_entry_of_the_journal_does_not_count(tmp_path):
    stop_after(tmp_path / "out", [reading(str(i), 0, "bad") for i in range(10)])
    log = tmp_path / "out.journal"
    assert log.read_bytes().endswith(b" 10.\n")
    os.truncate(log, log.stat().st_size - 3)  # "10 1234 1" is not 1 failed of 10
    with open_(tmp_path / "out") as out:
        assert (out.done, out.failed) == (9, 9)


def test_entries_that_a_power_cut_made_untrue_do_not_become_true_again(tmp_path):
    before, after = [reading("a"), reading("b")], [reading("x" * 90), reading("y" * 90)]
    stop_after(tmp_path / "out", before)
    os.truncate(tmp_path / "out.part", len(",".join(columns(LABELS))) + 20)  # a piece of a row
    with open_(tmp_path / "out") as out:
        assert out.done == 0
        out.add(after[0])
    os.truncate(tmp_path / "out.journal", (tmp_path / "out.journal").stat().st_size - 2)
    rows = csv_rows(write_all(tmp_path / "out", after))
    assert [row["source"] for row in rows] == ["x" * 90, "y" * 90]


def test_a_table_that_is_closed_empty_leaves_nothing_behind(tmp_path):
    with open_(tmp_path / "out") as out:
        out.add(reading("a.mp4"), last=False)
    assert leftovers(tmp_path) == []


def test_frames_of_an_unfinished_clip_are_dropped(tmp_path):
    with open_(tmp_path / "out") as out:
        for _ in range(2):
            out.add(reading("a.mp4"), last=False)
        out.finish_source()
        out.add(reading("b.mp4", 0, "bad frame"), last=False)
        out.add(reading("b.mp4"), last=False)
    with open_(tmp_path / "out") as out:
        assert (out.done, out.failed) == (1, 0)
        rows = csv_rows(out.finish())
    assert [row["source"] for row in rows] == ["a.mp4", "a.mp4"]


def test_a_finished_table_is_not_overwritten_without_force(tmp_path):
    path = write_all(tmp_path / "out.csv", [reading("a")])
    with pytest.raises(InputError, match=r"out.csv is there already\. Choose .* --force"):
        open_(path)
    assert [row["source"] for row in csv_rows(path)] == ["a"]
    assert len(csv_rows(write_all(path, [reading("b")] * 2, force=True))) == 2


def test_a_table_that_another_run_began_is_refused_and_dropped_by_force(tmp_path):
    stop_after(tmp_path / "out", [reading("a")])
    other = {"sources": about_sources(["a"]), "model": "4567"}
    message = (
        r"expected .*out\.part to be of the same run, got one begun by a run with sources 2 "
        r"\(\w{8}\) instead of 1 \(\w{8}\), model 0123 instead of 4567\. Repeat .* --force"
    )
    with pytest.raises(InputError, match=message):
        open_(tmp_path / "out", run=other)
    with pytest.raises(InputError, match="form csv instead of jsonl"):
        open_(tmp_path / "out", "jsonl")
    with open_(tmp_path / "out") as out:
        assert out.done == 1
    with open_(tmp_path / "out", run=other, force=True) as out:
        assert out.done == 0


def test_force_goes_on_with_what_the_same_run_began(tmp_path):
    stop_after(tmp_path / "out", [reading("a")])
    with open_(tmp_path / "out", force=True) as out:
        assert out.done == 1


@pytest.mark.parametrize("journal", [None, b"", b'{"version": 1'])
def test_a_part_without_a_readable_journal_is_nobodys(journal, tmp_path):
    (tmp_path / "out.part").write_bytes(b"mine")
    if journal is not None:
        (tmp_path / "out.journal").write_bytes(journal)
    with pytest.raises(InputError, match="got one without a readable journal"):
        open_(tmp_path / "out")
    assert (tmp_path / "out.part").read_bytes() == b"mine"


def test_a_journal_without_a_part_is_begun_anew(tmp_path):
    (tmp_path / "out.journal").write_bytes(b'{"version": 1}\n5 5 5.\n')
    with open_(tmp_path / "out") as out:
        assert out.done == 0


def test_two_processes_do_not_write_one_table(tmp_path):
    pytest.importorskip("fcntl")
    with open_(tmp_path / "out") as out:
        out.add(reading("a"))
        with pytest.raises(InputError, match="is being written by another process"):
            open_(tmp_path / "out")
        assert [row["source"] for row in csv_rows(out.finish())] == ["a"]


def test_a_failed_conversion_keeps_what_was_read(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    monkeypatch.setattr("facetell.rows.write_atomically", lambda path, data: path.write_bytes(data))
    with open_(tmp_path / "out", "parquet") as out:
        out.add(reading("a"))
        with pytest.raises(OSError, match="disk full"):
            out.finish()
    monkeypatch.undo()
    with open_(tmp_path / "out", "parquet") as out:
        assert out.done == 1
        out.finish()
    assert leftovers(tmp_path) == ["out"]


def test_misuse_is_told_before_the_work(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"expected the folder .*none for out, found none\. Crea"):
        open_(tmp_path / "none" / "out")
    with pytest.raises(InputError, match="expected a file to write, got the folder"):
        open_(tmp_path, force=True)
    with pytest.raises(InputError, match=r"as csv, jsonl, parquet, got 'xls'\. Choose one"):
        open_(tmp_path / "out", "xls")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r"writing Parquet .* 'facetell\[tables\]'"):
        open_(tmp_path / "out", "parquet")
    assert leftovers(tmp_path) == []


def test_numbers_of_numpy_are_written_as_numbers(tmp_path):
    numpy = pytest.importorskip("numpy")
    scored = replace(reading(), faces=(face(numpy.float32(0.75), numpy.arange(4)),))
    (row,) = csv_rows(write_all(tmp_path / "out", [scored]))
    assert (row["x2"], row["score"]) == ("2.0", "0.75")
