import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from facetell.datasets.splits import split
from facetell.errors import InputError
from facetell.evaluate import robustness
from facetell.evaluate.corruptions.catalogue import CORRUPTIONS, corrupt
from facetell.evaluate.judged import judge
from facetell.evaluate.robustness import (
    Robustness,
    bundled_reference,
    measure_robustness,
    read_reference,
    sample_rows,
)
from facetell.evaluate.robustness_table import as_csv, as_text, summary, write_robustness
from judging import Corner, small_dataset


@pytest.fixture(scope="module")
def judged():
    dataset = small_dataset(280)
    return judge(Corner(), dataset, split(dataset, "official"))


@pytest.fixture(scope="module")
def found(judged):
    return measure_robustness(Corner(), judged)


def test_every_corruption_has_five_cells_with_the_accuracy_on_its_faces(found, judged):
    keys = [(cell.corruption, cell.severity) for cell in found.cells]
    faces = judged.dataset.faces(judged.indices)
    worse = corrupt(faces, "gaussian_noise", 4, indices=judged.indices)
    slow = Corner().predict(worse).scores.argmax(axis=1) == judged.labels

    assert keys == [(name, s) for name in CORRUPTIONS for s in range(1, 6)]
    assert found.clean == 1
    assert 0 < slow.mean() < 1
    assert found.of_corruption("gaussian_noise")[3].accuracy == slow.mean()


def test_what_leaves_the_first_pixel_alone_leaves_the_answers_alone(found):
    assert [cell.accuracy for cell in found.of_corruption("mouth_mask")] == [1] * 5
    assert found.of_corruption("darkness")[4].accuracy < 0.5


def test_a_model_that_always_answers_the_same_keeps_all_and_is_its_own_reference(judged):
    constant = Corner(answer=3)
    same = judge(constant, judged.dataset, judged.split)
    first = measure_robustness(constant, same)

    again = measure_robustness(constant, same, reference=first.as_reference())

    assert [kept.share.value for kept in again.kept] == pytest.approx([1, 1, 1])
    assert list(again.corruption_errors.values()) == pytest.approx([100] * 28)
    assert again.mce_standard.value == again.mce_all.value == pytest.approx(100)
    assert again.mce_standard.low < 100 < again.mce_standard.high
    assert [cell.balanced_accuracy for cell in again.cells] == pytest.approx([1 / 7] * 140)


def test_where_the_reference_makes_no_error_nothing_is_relative_to_it(found, judged):
    assert sum(found.as_reference().errors["mouth_mask"]) == 0

    again = measure_robustness(Corner(), judged, reference=found.as_reference())
    perfect = dict.fromkeys(CORRUPTIONS, (0.0,) * 5)
    none = measure_robustness(
        Corner(), judged, faces=9, reference=replace(found.as_reference(), errors=perfect)
    )

    assert "mouth_mask" not in again.corruption_errors
    assert again.mce_all.value == pytest.approx(100)
    assert (none.corruption_errors, none.mce_standard, none.mce_all) == ({}, None, None)


def test_half_the_errors_of_the_reference_are_a_corruption_error_of_50(found, judged):
    own = found.as_reference()
    twice = {name: tuple(2 * e + (e == 0) for e in errors) for name, errors in own.errors.items()}

    again = measure_robustness(Corner(), judged, reference=replace(own, errors=twice))

    assert again.corruption_errors["contrast"] == pytest.approx(50)
    assert again.corruption_errors["mouth_mask"] == 0
    mean = np.mean([again.corruption_errors[n] for n, c in CORRUPTIONS.items() if c.standard])
    assert again.mce_standard.value == pytest.approx(mean)


def test_the_promised_shares_are_those_of_their_cells(found):
    lighting, roll, shift = (kept.share.value for kept in found.kept)
    names = ("brightness", "darkness", "contrast", "high_contrast", "gamma", "side_light")
    cells = [cell.accuracy for n in names for cell in found.of_corruption(n)[:3]]

    assert lighting == pytest.approx(np.mean(cells))
    assert roll == pytest.approx(found.of_corruption("roll")[1].accuracy)
    assert shift == pytest.approx(found.of_corruption("shift")[2].accuracy)


def test_the_size_of_a_batch_changes_nothing(found, judged, monkeypatch):
    monkeypatch.setattr(robustness, "BATCH", 9)

    assert measure_robustness(Corner(), judged) == found


def test_nothing_right_is_kept_as_nothing(judged):
    wrong = Corner()
    labels = (judged.labels + 1) % 7
    hopeless = replace(judged, labels=labels)

    found = measure_robustness(wrong, hopeless, faces=20)

    assert found.clean == 0
    assert found.share(0.5) == 0


def test_progress_ends_at_all_faces_of_all_cells(judged):
    seen = []
    measure_robustness(Corner(), judged, faces=10, progress=lambda *at: seen.append(at))

    assert seen[-1] == (1400, 1400)
    assert len(seen) == 140


def test_colour_reaches_the_corruptions_of_a_grey_model(judged):
    dataset = replace(judged.dataset, stack=None)
    model = Corner()
    coloured = judge(model, dataset, split(dataset, "official"))
    model.shapes.clear()

    measure_robustness(model, coloured, faces=3)

    assert set(model.shapes) == {(3, 48, 48, 3)}


@pytest.mark.parametrize("count", [None, 70, 500])
def test_all_faces_are_taken_where_no_fewer_are_asked_for(judged, count):
    np.testing.assert_array_equal(sample_rows(judged, count, 0), np.arange(70))


def test_a_sample_keeps_the_emotions_shares_and_follows_the_seed(judged):
    rows = sample_rows(judged, 35, 0)
    counts, all_counts = (np.bincount(x, minlength=7) for x in (judged.labels[rows], judged.labels))

    assert len(set(rows.tolist())) == 35
    assert np.abs(counts - all_counts / 2).max() <= 1
    np.testing.assert_array_equal(rows, sample_rows(judged, 35, 0))
    assert rows.tolist() != sample_rows(judged, 35, 1).tolist()


def test_results_survive_json(found, judged):
    full = measure_robustness(Corner(), judged, faces=20, reference=found.as_reference())
    for result in (found, full):
        assert Robustness.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_a_written_result_is_a_reference_and_so_is_a_record_that_holds_one(found, tmp_path):
    path = write_robustness(found, tmp_path / "errors.json")
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"model": "x", "robustness": found.to_dict()}))

    assert read_reference(path) == read_reference(record) == found.as_reference()
    assert read_reference(path).errors["darkness"][4] == pytest.approx(
        1 - found.of_corruption("darkness")[4].accuracy
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"robustness": {"cells": 3}}'])
def test_what_is_no_reference_is_named_with_a_way_out(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)

    with pytest.raises(InputError, match=r"expected a robustness result .*x.json.*Write one with"):
        read_reference(path)
    with pytest.raises(InputError, match=r"no\.json, found none"):
        read_reference(tmp_path / "no.json")


def test_a_reference_with_other_levels_is_refused(found, tmp_path):
    path = write_robustness(replace(found, levels="00000000"), tmp_path / "old.json")

    with pytest.raises(InputError, match=r"other levels \(00000000\).*cannot be compared"):
        read_reference(path)


def test_the_bundled_reference_is_of_fer2013_if_there_is_one():
    reference = bundled_reference()

    assert reference is None or (reference.model, reference.side) == ("vgg8", "validation")


def test_notes_say_what_a_comparison_lacks(found, judged):
    reference = found.as_reference()
    other = replace(reference, dataset="fer2013", model="vgg8")

    assert "Train the recipe `vgg8`" in found.notes[0]
    assert measure_robustness(Corner(), judged, reference=reference).notes == ()
    notes = measure_robustness(Corner(), judged, faces=10, reference=other).notes
    assert "'vgg8' was judged on fer2013, test side" in notes[0]
    assert "on 70 faces, the model on 10" in notes[1]


def test_the_text_has_the_summary_and_a_line_for_every_corruption(found, judged):
    shown = as_text(measure_robustness(Corner(), judged, reference=found.as_reference()))
    lines = shown.splitlines()

    assert lines[0].startswith("robustness  70 of 70 faces, seed 0; accuracy on them as they are 1")
    assert re.search(r"15 of ImageNet-C \(corner = 100\) +100\.0 \(", shown)
    assert [line[:16].strip() for line in lines[-28:]] == [
        name.replace("_", " ") for name in CORRUPTIONS
    ]
    assert as_text(found).splitlines()[-1].endswith("-")
    assert [value for _, value, _ in summary(found)][:2] == ["no reference"] * 2


def test_the_csv_has_a_row_for_every_cell(found):
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))

    assert len(rows) == 141
    assert (rows[0]["corruption"], rows[0]["accuracy"]) == ("none", "1.000000")
    last = rows[-1]
    assert (last["corruption"], last["severity"], last["level"]) == ("resolution", "5", "8")
    assert json.loads(rows[21]["level"]) == [0.1, 1, 1]


def test_only_two_endings_are_written_and_nothing_is_lost(found, tmp_path):
    with pytest.raises(InputError, match=r"ends in \.json or \.csv, got x\.txt"):
        write_robustness(found, tmp_path / "x.txt")
    path = write_robustness(found, tmp_path / "x.CSV")
    with pytest.raises(InputError, match="is there already"):
        write_robustness(found, path)
    assert path.read_text().startswith("corruption,family")
