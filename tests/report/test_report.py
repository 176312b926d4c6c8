import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from facetell.datasets.splits import split
from facetell.errors import InputError
from facetell.evaluate.compare import compare
from facetell.evaluate.corruptions.catalogue import CORRUPTIONS
from facetell.evaluate.evaluation import Evaluation
from facetell.evaluate.judged import judge
from facetell.evaluate.robustness import measure_robustness
from facetell.labels import PAPER_ORDER
from facetell.report.figures import data_uri
from facetell.report.html import MISTAKES, report_page, write_report
from judging import Corner, FakePredictor, small_dataset

VOID = {"br", "img", "meta"}
HOSTILE = "<script>alert('x')</script>\"&"


class Page(HTMLParser):
    """Elements, text and nesting of a page; fails on tags that do not close."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.text, self.titles = [], [], [], []
        self.feed(page)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, name, attributes):
        self.tags.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.tags.append((name, dict(attributes)))

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    def of(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def judged():
    dataset = small_dataset(1400)
    return judge(FakePredictor(), dataset, split(dataset, "official"))


@pytest.fixture(scope="module")
def evaluation(judged):
    return Evaluation.of(judged)


@pytest.fixture(scope="module")
def comparison(judged):
    other = FakePredictor("other", skill=1, seed=5)
    return compare(judged, judge(other, judged.dataset, judged.split))


@pytest.fixture(scope="module")
def source(evaluation, judged, comparison):
    return report_page(evaluation, judged=judged, comparison=comparison)


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def test_the_page_needs_nothing_from_outside(source, page):
    assert "http://" not in source
    assert "https://" not in source
    assert not page.of("script")
    assert not page.of("link")
    for _, attributes in page.tags:
        for name in ("src", "href"):
            assert attributes.get(name, "data:image/png").startswith("data:image/png")
    assert "url(" not in source
    assert "@import" not in source


def test_the_page_forbids_itself_outside_requests(page):
    policies = [m["content"] for m in page.of("meta") if "http-equiv" in m]

    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'")


def test_every_number_stands_beside_its_interval_and_protocol(evaluation, page):
    accuracy = evaluation.metrics["accuracy"]

    assert f"{100 * accuracy.value:.2f} %" in page.words
    assert f"{100 * accuracy.low:.2f} to {100 * accuracy.high:.2f}" in page.words
    assert "protocol official, test side: 350 faces" in page.words


def test_the_confusion_matrix_shows_the_counts_in_the_papers_order(evaluation, source):
    table = re.search(r'<table class="confusion">.*?</table>', source, re.S).group()
    counts = [int(n.replace(",", "")) for n in re.findall(r"<small>([\d,]+)</small>", table)]
    heads = re.findall(r'<th scope="row">(\w+)</th>', table)
    order = [evaluation.labels.index(name) for name in PAPER_ORDER]

    assert heads == list(PAPER_ORDER)
    expected = np.array(evaluation.confusion)[np.ix_(order, order)]
    assert counts == expected.ravel().tolist()


def test_the_largest_confusion_is_named(evaluation, page):
    counts = np.array(evaluation.confusion, float)
    shares = counts / counts.sum(axis=1, keepdims=True)
    np.fill_diagonal(shares, 0)
    row, column = np.unravel_index(shares.argmax(), shares.shape)
    words = re.search(r"Largest confusions: (\w+) taken for (\w+) \(([\d.]+) %\)", page.words)

    assert float(words[3]) == pytest.approx(100 * shares.max(), abs=0.051)
    a, b = (evaluation.labels.index(words[i]) for i in (1, 2))
    assert shares[a, b] == shares[row, column]


def test_tables_have_captions_and_images_have_words(page):
    assert len(page.of("caption")) == len(page.of("table")) >= 8
    assert all(image["alt"] for image in page.of("img"))
    for drawing in page.of("svg"):
        assert drawing.get("aria-label") or drawing.get("aria-hidden") == "true"


def test_what_labels_mean_and_the_law_are_told(page):
    assert "does not say what the person felt" in page.words
    assert "Art. 5(1)(f)" in page.words
    assert "Art. 50" in page.words


def test_faces_come_with_a_notice_and_without_faces_there_is_none(evaluation, page):
    bare = Page(report_page(evaluation))

    assert "contains faces from the dataset" in page.words
    assert "Terms: drawn by the tests" in page.words
    assert "contains faces" not in bare.words
    assert bare.of("h1")
    assert not bare.of("img")
    assert not bare.of("image")


def test_the_surest_mistakes_come_first(judged, source):
    shown = re.findall(
        r"Face (\S+): labelled (\w+), read as (\w+) with a score of ([\d.]+)", source
    )
    scores = [float(score) for *_, score in shown]
    wrong = judged.confidence[~judged.correct]

    assert len(shown) == MISTAKES
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(100 * wrong.max(), abs=0.06)
    assert all(label != answer for _, label, answer, _ in shown)


def test_a_faultless_model_has_no_mistakes_to_show():
    dataset = small_dataset(140)
    judged = judge(FakePredictor(skill=50), dataset, split(dataset, "official"))
    words = Page(report_page(Evaluation.of(judged), judged=judged)).words

    assert "There are none." in words
    assert "No face was confused." in words


def test_the_spatial_transformer_is_shown_for_one_face_per_emotion(judged, evaluation, page):
    assert len(page.of("image")) == 7
    assert "zoom 1.11 (1.11 to 1.11)" in page.words

    without = replace(judged, theta=None)
    assert "spatial transformer looked" not in report_page(evaluation, judged=without)


def test_a_comparison_shows_who_is_right_where(comparison, page, evaluation):
    assert comparison.sentence() in page.words
    assert f"{comparison.only_a} " in page.words
    assert "Compared with" not in report_page(evaluation)


def test_hostile_names_are_only_text(judged, comparison):
    dataset = replace(judged.dataset, name=HOSTILE, licence=HOSTILE, notes=(HOSTILE,))
    samples = tuple(replace(s, id=HOSTILE + s.id) for s in dataset.samples)
    dataset = replace(dataset, samples=samples)
    contract = replace(judged.contract, name=HOSTILE, recipe=HOSTILE, licence=HOSTILE)
    hostile = replace(judged, dataset=dataset, contract=contract)
    source = report_page(
        Evaluation.of(hostile), judged=hostile, comparison=replace(comparison, model_b=HOSTILE)
    )

    assert "<script" not in source
    assert not Page(source).of("script")
    assert HOSTILE in Page(source).words


def test_the_same_answers_give_the_same_page(evaluation, judged, comparison, source):
    assert report_page(evaluation, judged=judged, comparison=comparison) == source


def test_an_evaluation_read_from_json_gives_the_same_page(evaluation):
    again = Evaluation.from_dict(evaluation.to_dict())

    assert report_page(again) == report_page(evaluation)


def test_a_class_without_faces_has_a_dash(judged):
    keep = judged.labels != 1
    arrays = ("indices", "labels", "predicted", "scores", "theta")
    part = replace(judged, **{name: getattr(judged, name)[keep] for name in arrays})
    words = Page(report_page(Evaluation.of(part), judged=part)).words

    assert "no faces" in words
    assert "disgust – –" in words


def test_a_report_is_not_overwritten_unasked(evaluation, tmp_path):
    path = write_report(evaluation, tmp_path / "report.html")

    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(InputError, match="is there already"):
        write_report(evaluation, path)
    write_report(evaluation, path, overwrite=True)


@pytest.mark.parametrize("shape", [(5, 5), (5, 5, 3)])
def test_embedded_faces_keep_their_pixels(shape):
    face = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    kind, _, data = data_uri(face).partition(",")

    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        np.testing.assert_array_equal(np.asarray(image), face)


def test_grey_faces_are_embedded_with_one_channel():
    face = np.full((4, 4, 3), 7, np.uint8)

    assert data_uri(face) == data_uri(face[..., 0])


def test_robustness_is_a_heat_map_and_a_strip_for_every_corruption(evaluation):
    dataset = small_dataset(140)
    answers = judge(Corner(HOSTILE), dataset, split(dataset, "official"))
    first = measure_robustness(Corner(HOSTILE), answers, faces=7)
    found = measure_robustness(Corner(), answers, faces=7, reference=first.as_reference())

    page = Page(report_page(evaluation, judged=answers, robustness=found))
    without = Page(report_page(evaluation, robustness=found))

    shades = [cell for cell in page.of("td") if "--shade" in cell.get("style", "")]
    strips = [image for image in page.of("img") if image["alt"].startswith("One face under")]
    assert len(shades) == 7 * 28 + 49  # and the confusion table's
    assert len(strips) == 28
    assert "at most 70" in page.words
    assert all(kind.title in page.words for kind in CORRUPTIONS.values())
    assert not any(image["alt"].startswith("One face under") for image in without.of("img"))


def test_sets_and_silence_are_drawn_and_in_numbers(judged):
    evaluation = Evaluation.of(judged)
    (found,) = evaluation.sureness
    page = Page(report_page(evaluation))
    assert "Sets of labels, and silence (cross-fitted)" in page.words
    for row in found.sets:
        assert f"{100 * row.coverage:.1f}" in page.words
        assert f"{row.size:.2f}" in page.words
    titles = [tag.get("aria-label", "") for tag in page.of("svg")]
    assert sum("whose set holds it, asked for 90%" in title for title in titles) == 1
    assert sum("number of labels in their set" in title for title in titles) == 1
    assert sum("share of faces that are answered" in title for title in titles) == 1


def test_an_evaluation_without_sureness_has_no_such_section(judged):
    page = report_page(replace(Evaluation.of(judged), sureness=()))
    assert "Sets of labels" not in page


def test_a_label_without_faces_has_no_bar_of_coverage(judged):
    evaluation = Evaluation.of(judged)
    (found,) = evaluation.sureness
    sets = tuple(row._replace(covered=(None, *row.covered[1:])) for row in found.sets)
    page = Page(report_page(replace(evaluation, sureness=(replace(found, sets=sets),))))
    assert "no faces" in page.words
