"""The page of a reproduction, from measurements of predictors with known skill."""

import json

import numpy as np
import pytest

from facetell.datasets.splits import split
from facetell.errors import InputError
from facetell.evaluate.compare import compare
from facetell.evaluate.judged import judge
from facetell.evaluate.measured import Measured, Reproduction
from facetell.labels import PAPER_ORDER
from facetell.report.reproduction import reproduction_page, write_reproduction
from judging import FakePredictor, small_dataset
from report.test_report import Page


@pytest.fixture(scope="module")
def found():
    dataset = small_dataset(700)
    parts = split(dataset, "official")
    hybrid = judge(FakePredictor("hybrid"), dataset, parts)

    def measured(system, kind, skill=2.0, name="fer2013", against=False, protocol="official"):
        answers = judge(FakePredictor(system, skill=skill), dataset, parts)
        other = compare(answers, hybrid).to_dict() if against else None
        return Measured.of(
            answers, dataset=name, system=system, kind=kind, protocol=protocol, seed=7,
            seconds=1.0, against=other,
        )  # fmt: skip

    def source(name, stand_in):
        shown = f"toon for {name}" if stand_in else name
        mark = {"labels_sha256": "ab" * 32}
        facts = {"faces": 700, "licence": "drawn", "fingerprint": mark}
        return {"name": shown, "path": "x", "stand_in": stand_in, **facts}

    return Reproduction(
        measured=(
            measured("hybrid", "hybrid"),
            measured("no LSTM", "ablation", 1.0, against=True),
            measured("HOG + <linear> SVM", "baseline", 0.5),
            measured("lookup table", "leak", 4.0),
            measured("hybrid", "leak", 4.0, protocol="leaky-80-10-10"),
            measured("hybrid", "hybrid", name="toon for ferg"),
        ),
        sources={n: source(n, n != "fer2013") for n in ("emotic", "fer2013", "ferg")},
        copies={"fer2013": {"with_a_copy": {"test in train": 17, "validation in train": 0}}},
        quick=True,
        seed=7,
        seconds=120,
    )


@pytest.fixture(scope="module")
def page(found):
    return Page(reproduction_page(found))


def test_printed_and_measured_stand_side_by_side(page, found):
    hybrid = found.measured[0]

    assert "94.08" in page.words
    assert f"{100 * hybrid.balanced_accuracy.value:.2f}" in page.words
    assert "Table 2, printed: FER2013" in page.words
    assert "Table 2, ours: FER2013" in page.words
    assert "Table 3, ours: toon for ferg" in page.words


def test_our_matrix_is_in_the_order_of_the_paper(page, found):
    hybrid = found.measured[0]
    row = hybrid.labels.index("surprise")
    counts = np.array(hybrid.confusion)[row]
    shares = [f"{100 * counts[hybrid.labels.index(n)] / counts.sum():.1f}" for n in PAPER_ORDER]

    assert " ".join(["surprise", *shares]) in page.words


def test_quick_runs_and_stand_ins_are_named(page):
    assert "A quick run" in page.words
    assert "No data were given for EMOTIC and FERG" in page.words


def test_a_comparison_says_by_how_much_and_how_sure(page, found):
    against = found.measured[1].against

    assert f"{100 * against['difference']['value']:+.2f} points" in page.words
    assert f"McNemar p = {against['p_value']:.2g}" in page.words


def test_the_leak_is_set_off_from_the_same_system_without_it(found):
    text = reproduction_page(found)
    figure = text[text.index("printed: 94.08") :]
    table_after = figure.index("<table")
    assert figure[:table_after].count('class="bar leak"') == 1
    assert figure[:table_after].count('class="bar"') == 2
    leaky, official = (figure.index(words) for words in ("copied and mirrored", "the official"))
    assert figure.index("The hybrid: FER2013") < leaky
    assert figure.index("A lookup table, which learns nothing") < official


def test_leaks_baselines_and_copies_are_shown(page):
    assert "What a leak is worth" in page.words
    assert "17 images of test have a near-copy in train" in page.words
    assert "HOG + <linear> SVM" in page.words


def test_the_page_needs_nothing_from_outside(found, page):
    source = reproduction_page(found)
    assert "http://" not in source
    assert "https://" not in source
    assert not page.of("script")
    assert not page.of("img")


def test_measurements_survive_json(found):
    read = json.loads(found.to_json())

    assert tuple(Measured.from_dict(values) for values in read["measured"]) == found.measured


def test_a_report_that_is_there_is_not_overwritten(found, tmp_path):
    path = write_reproduction(found, tmp_path / "r.html")
    with pytest.raises(InputError, match="--force"):
        write_reproduction(found, path)
    assert write_reproduction(found, path, overwrite=True) == path


def test_the_page_can_be_made_anew_from_the_numbers(found):
    again = Reproduction.from_json(found.to_json())
    assert again == found
    assert reproduction_page(again) == reproduction_page(found)
