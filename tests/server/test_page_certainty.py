"""Sets and silence in the page: Python's, to the label, on every contract and level."""

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
from browsing import assert_doubted, contrast, find_chromium, give, save
from PIL import Image, ImageFilter

from facetell.contract import Certainty, Contract
from facetell.predictor import calibrated
from facetell.results import Face, Reading
from facetell.runtime.certainty import Doubt
from facetell.runtime.session import bundled_models, load

pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="needs chromium on the path"),
]

# Scores are those `given`, or come of the margins; labels those `shown`, or of the highest score.
DOUBTED = """async ({ margins, given, shown, contract, asked }) => {
  const load = (name) => import(new URL(name, location));
  const [{ makeDoubt }, { calibrated, toFace }] = await Promise.all(
    ["certainty.js", "score.js"].map(load));
  const faces = margins.map((row, n) => {
    const scores = given?.[n] ?? calibrated(row, contract);
    const face = toFace({}, { margins: row, scores }, contract.labels, []);
    return { ...face, label: shown[n] ?? face.label };
  });
  return asked.map((one) =>
    faces.map(makeDoubt(contract, one)).map(({ set, sure }) => [set, sure]));
}"""


def in_javascript(page, contract, margins, asked, *, scores=None, shown=None):
    """(set, sure) of each face for each pair of level and share, from margins or from scores."""
    return page.evaluate(
        DOUBTED,
        {
            "margins": margins.tolist(),
            "given": None if scores is None else scores.tolist(),
            "shown": shown or [None] * len(margins),
            "contract": asdict(contract),
            "asked": [{"sets": sets, "abstain": abstain} for sets, abstain in asked],
        },
    )


def in_python(contract, scores, asked, *, shown=None):
    labels, found = contract.labels, []
    for sets, abstain in asked:
        doubt, answers = Doubt(contract, sets=sets, abstain=abstain), []
        for n, row in enumerate(np.asarray(scores, np.float64)):
            label = shown[n] if shown else labels[row.argmax()]
            named = dict(zip(labels, row.tolist(), strict=True))
            face = Face(box_xyxy=(0, 0, 9, 9), label=label, scores=named, margins=named, margin=0)
            face = doubt.about(face)
            answers.append([None if face.set is None else list(face.set), face.sure])
        found.append(answers)
    return found


def every_question(certainty):
    """Every level and share of a contract, and numbers between them, each with a partner."""
    levels = [*certainty.levels, *(np.array(certainty.levels[:-1]) + 0.004)]
    shares = [*certainty.shares, *np.linspace(certainty.shares[0], certainty.shares[-1], 23)]
    longest = max(len(levels), len(shares))
    asked = zip(np.resize(levels, longest), np.resize(shares, longest), strict=True)
    return [(None, None), (0.9, None), (None, 0.7), *((float(a), float(b)) for a, b in asked)]


@pytest.mark.parametrize("model", bundled_models())
def test_sets_and_silence_of_margins_are_pythons_at_every_level(open_page, model):
    random = np.random.default_rng(0)
    contract = load(model, threads=1).contract
    shape = (300, len(contract.labels))
    margins = random.normal(-1, random.uniform(0.1, 2, (300, 1)), shape).astype(np.float32)
    asked = every_question(contract.certainty)
    expected = in_python(contract, calibrated(margins, contract), asked)
    assert in_javascript(open_page(), contract, margins, asked) == expected
    lengths = {len(names) for names, _ in expected[asked.index((0.9, None))]}
    assert lengths >= {1, 2, 3, 4}
    assert {sure for _, sure in expected[asked.index((None, 0.7))]} == {True, False}


def drawn_contract(random, labels):
    """A calibrated contract with tables of a few values, which scores then often equal."""
    levels = np.unique(random.integers(50, 99, 6) / 100)
    shares = np.unique(random.integers(1, 101, 5) / 100)
    certainty = Certainty(
        data="drawn",
        faces=9,
        levels=tuple(levels.tolist()),
        least_scores=tuple(map(tuple, (random.integers(0, 9, (len(levels), labels)) / 8).tolist())),
        shares=tuple(shares.tolist()),
        sure_scores=tuple((random.integers(0, 9, len(shares)) / 8).tolist()),
        accuracies=(0.5,) * len(shares),
    )
    return Contract(name="x", labels=tuple("gfedcba"[:labels]), certainty=certainty)


def test_sets_and_silence_of_drawn_tables_hold_the_shown_label_and_break_ties_as_python(open_page):
    random, page, steady = np.random.default_rng(1), open_page(), 0
    for labels in (2, 3, 7) * 6:
        contract = drawn_contract(random, labels)
        scores = random.multinomial(8, np.full(labels, 1 / labels), 40) / 8  # ties, and thresholds
        shown = random.choice(contract.labels, 40).tolist()  # as a steady label may be
        levels, shares = contract.certainty.levels, contract.certainty.shares
        asked = [(level, None) for level in levels] + [(None, share) for share in shares]
        asked += [(levels[-1], share) for share in np.linspace(shares[0], shares[-1], 9).tolist()]
        expected = in_python(contract, scores, asked, shown=shown)
        assert in_javascript(page, contract, scores, asked, scores=scores, shown=shown) == expected
        for answers in expected:
            for label, row, (names, _) in zip(shown, scores, answers, strict=True):
                assert names is None or label in names
                steady += row[contract.labels.index(label)] < row.max()
    assert steady > 1000


@pytest.mark.parametrize("warnings", [(), ("blurred",), ("dark", "flat")])
def test_a_face_with_a_warning_is_never_sure_and_the_card_says_why(open_page, warnings):
    contract = load("compact", threads=1).contract
    named = dict.fromkeys(contract.labels, 0.0) | {"happy": 1.0}
    face = Face(
        box_xyxy=(0, 0, 9, 9), label="happy", scores=named, margins=named, margin=1,
        warnings=warnings,
    )  # fmt: skip
    expected = Doubt(contract, sets=0.9, abstain=0.7).about(face)
    sure, sentence = open_page().evaluate(
        """async ({ face, contract }) => {
          const load = (name) => import(new URL(name, location));
          const [{ makeDoubt }, { sureness }] = await Promise.all(
            ["certainty.js", "sureness.js"].map(load));
          const one = makeDoubt(contract, { sets: 0.9, abstain: 0.7 })(face);
          return [one.sure, sureness(one).sentence];
        }""",
        {"face": face.to_dict(), "contract": asdict(contract)},
    )
    assert sure == expected.sure == (not warnings)
    why = f"not sure enough to answer ({', '.join(warnings)})"
    assert sentence == (why if warnings else "100 points ahead of angry")


def test_the_page_answers_no_blurred_face(open_page, tmp_path, portraits_png):
    page, blurred = open_page(), tmp_path / "blurred.png"
    Image.open(portraits_png).filter(ImageFilter.GaussianBlur(12)).save(blurred)
    give(page, blurred)
    reading = Reading.from_dict(json.loads(save(page, "#save-json")[1]))
    assert {(face.warnings, face.sure) for face in reading.faces} == {(("blurred",), False)}
    assert_cards_say(page, reading, level=90)
    assert "not sure enough to answer (blurred)" in card_of(page, 1)


def test_what_a_contract_cannot_say_is_null(open_page):
    page, contract = open_page(), load("compact", threads=1).contract
    margins = np.eye(7, dtype=np.float32)[:2]
    impossible = [(0.3, 0.05), (0.995, 1.5), (None, None)]
    assert in_javascript(page, contract, margins, impossible) == [[[None, None]] * 2] * 3
    plain = replace(contract, certainty=None)
    assert in_javascript(page, plain, margins, [(0.9, 0.7)]) == [[[None, None]] * 2]


def card_of(page, number):
    return " ".join(page.inner_text(f"#cards > li:nth-child({number})").split())


def assert_cards_say(page, reading, level):
    """Each card names the other labels of its face's set, and whether the model is sure."""
    for number, face in enumerate(reading.faces, start=1):
        card, others = card_of(page, number), [n for n in face.set or () if n != face.label]
        assert re.search(r"close call|leaning|clear lead", card)
        assert ("not sure enough to answer" in card) == (face.sure is False)
        assert (f": {face.label}? " in card) == (face.sure is False)
        assert ("Such lists are right for" in card) == (face.set is not None)
        if face.set is not None:
            what = f"May also be: {', '.join(others)}." if others else "No other word is listed."
            assert f"{what} Such lists are right for {level} % of faces." in card
        held = page.locator(f"#cards > li:nth-child({number}) .held .bar-name").all_inner_texts()
        assert sorted(held) == sorted(face.set or ())


def test_cards_and_files_follow_the_controls_without_reading_anew(open_page, portraits_png):
    page, lengths = open_page(), []
    page.select_option("#model", "paper")  # it is not sure of one of the four
    give(page, portraits_png)
    assert page.input_value("#level") == "0.9"
    assert page.is_checked("#abstain")
    assert "Answer only the surest 70\u00a0% of faces" in page.inner_text("#certainty")
    assert page.locator("#level option").all_inner_texts() == [
        "off", "80\u00a0%", "90\u00a0%", "95\u00a0%",
    ]  # fmt: skip
    status = page.inner_text("#status")
    assert status.count("(not sure)") == 1
    for level in ("0.8", "0.9", "0.95", ""):
        page.select_option("#level", level)
        reading = Reading.from_dict(json.loads(save(page, "#save-json")[1]))
        assert_doubted(reading, sets=float(level) if level else None, abstain=0.7)
        assert_cards_say(page, reading, level=round(100 * float(level or 0)))
        lengths.append(sum(len(face.set or ()) for face in reading.faces))
    assert lengths == [*sorted(lengths[:3]), 0]
    assert lengths[0] < lengths[2]
    assert [face.sure for face in reading.faces].count(False) == 1
    page.uncheck("#abstain")
    reading = Reading.from_dict(json.loads(save(page, "#save-json")[1]))
    assert_doubted(reading, sets=None, abstain=None)
    assert_cards_say(page, reading, level=None)
    assert page.inner_text("#status") == status.replace(" (not sure)", "")


def with_manifest(page, site, change):
    """The page anew, with its list of models changed."""

    def answer(route):
        manifest = route.fetch().json()
        change(manifest)
        route.fulfill(json=manifest)

    page.route("**/models.json", answer)
    page.goto(f"{site.origin}/")
    page.wait_for_selector("html[data-ready]")


def test_the_page_starts_with_what_its_manifest_says(open_page, site, portraits_png):
    page = open_page()
    with_manifest(page, site, lambda manifest: manifest.update(sets=0.825, abstain=0.5))
    assert page.input_value("#level") == "0.825"
    assert page.locator("#level option").all_inner_texts() == [
        "off", "80\u00a0%", "82.5\u00a0%", "90\u00a0%", "95\u00a0%",
    ]  # fmt: skip
    give(page, portraits_png)
    reading = Reading.from_dict(json.loads(save(page, "#save-json")[1]))
    assert_doubted(reading, sets=0.825, abstain=0.5)
    assert "right for 82.5 % of faces" in card_of(page, 1)
    assert "not sure enough to answer" in card_of(page, 1)


def test_a_model_without_calibration_says_so_and_offers_no_choice(open_page, site, portraits_png):
    page = open_page()
    with_manifest(page, site, lambda all_: all_["models"][0]["contract"].update(certainty=None))
    assert not page.is_visible("#level")
    assert "It was not calibrated to say what else a face may be" in page.inner_text("#about-model")
    give(page, portraits_png)
    reading = Reading.from_dict(json.loads(save(page, "#save-json")[1]))
    assert {(face.set, face.sure) for face in reading.faces} == {(None, None)}
    assert "Such lists" not in card_of(page, 1)
    page.select_option("#model", "paper")
    page.locator("#cards > li:first-child", has_text="Such lists").wait_for()
    assert page.is_visible("#level")


def test_a_cameras_cards_hold_the_shown_label_and_change_with_the_level(open_page):
    page = open_page()
    page.click("#camera")
    page.locator("#results-text", has_text=re.compile(r"^[3-9] frames")).wait_for()
    page.click("#camera")
    for level, longest in (("0.95", 7), ("0.8", 3)):
        page.select_option("#level", level)
        for number in range(1, 5):
            label = page.inner_text(f"#cards > li:nth-child({number}) [data-part=label]")
            card = f"#cards > li:nth-child({number})"
            held = page.locator(f"{card} .held .bar-name").all_inner_texts()
            assert label.rstrip("?") in held
            assert len(held) <= longest
        readings = [json.loads(line) for line in save(page, "#save-json")[1].splitlines()]
        for reading in map(Reading.from_dict, readings):
            assert_doubted(reading, sets=float(level), abstain=0.7)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_long_list_fits_a_small_screen_and_stands_out_from_its_ground(open_page, scheme):
    phone = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
    page = open_page(**phone, color_scheme=scheme)
    page.evaluate(
        """async () => {
          const { showCards } = await import(new URL("faces.js", location));
          const { models: [{ contract: { labels } }] } = await (await fetch("models.json")).json();
          const crop = { data: new Uint8ClampedArray(48 * 48 * 4), width: 48, height: 48 };
          const scores = Object.fromEntries(labels.map((label, k) => [label, (k + 4) / 49]));
          const one = {
            person: 1, label: "neutral", score: 10 / 49, scores, set: labels, sure: false,
            warnings: [] };
          showCards(document.querySelector("#cards"), {
            people: [one], looks: [{ crop }], noun: "Face", isGrey: true, level: 0.95 });
        }"""
    )
    assert "close call not sure enough to answer" in card_of(page, 1)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for selector in (
        "#cards .silence",
        "#cards .set",
        "#cards .held .bar-name",
        "#certainty label",
    ):
        assert contrast(page, selector) >= 4.5, selector
