import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facetell.errors import InputError
from facetell.report.explained import (
    LIMITS,
    as_numbers,
    draw_explanation,
    explanation_paths,
    overlay,
    write_explanation,
)
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.explain import explain
from facetell.runtime.session import load

PHOTO = np.random.default_rng(2).integers(0, 256, (60, 60, 3)).astype(np.uint8)
SHOWN = (112, 412)  # rows of the panels


@pytest.fixture
def explained(make_model, tmp_path):
    def explained_(**values):
        model = load(make_model(tmp_path / "m.onnx", **values), threads=1)
        reading = Analyzer(model, detector="none").read(PHOTO)
        (found,) = explain(model, PHOTO, reading, whole=True)
        return found, model.contract

    return explained_


def panel(picture, number):
    left = 24 + number * 324
    return picture[SHOWN[0] : SHOWN[1], left : left + 300]


def test_an_overlay_is_vermilion_above_zero_blue_below_and_grey_at_zero():
    values = np.array([[1.0, 0.0], [-1.0, 0.0]])

    shown = overlay(np.full((48, 48), 128, np.uint8), values, 1.0)

    assert shown.shape == (300, 300, 3)
    assert shown[0, 0, 0] > shown[0, 0, 2] + 60
    assert shown[-1, 0, 2] > shown[-1, 0, 0] + 60
    assert len({*shown[0, -1].tolist()}) == 1


def test_an_overlay_of_nothing_is_the_face():
    face = np.full((48, 48), 77, np.uint8)

    assert (overlay(face, np.zeros((48, 48)), 0.0) == 77).all()


def test_panels_without_a_block_are_words_on_paper(explained):
    found, contract = explained(theta=False, sequence="mean")

    picture = draw_explanation(found, contract, title="a.jpg")

    paper = np.array([243, 243, 245])
    for number, blank in enumerate((False, True, True, False)):
        share = (panel(picture, number) == paper).all(axis=2).mean()
        assert (share > 0.8) == blank
        assert share < 1, "a blank panel says why it is"


@pytest.mark.parametrize(("sequence", "steps"), [("rows", 6), ("regions", 9)])
def test_every_panel_is_filled_where_the_model_has_every_block(explained, sequence, steps):
    found, contract = explained(steps=steps, sequence=sequence)

    picture = draw_explanation(found, contract)

    paper = np.array([243, 243, 245])
    assert not any((panel(picture, i) == paper).all(axis=2).mean() > 0.1 for i in range(4))


def test_the_lstm_panel_is_coloured_by_the_sign_of_each_row(explained):
    found, contract = explained(theta=False, steps=2, sequence="rows")
    steps = np.zeros((2, 7), np.float32)
    steps[:, contract.labels.index(found.face.label)] = 1.0, -1.0

    shown = panel(draw_explanation(replace(found, steps=steps), contract), 2).astype(int)

    assert (shown[10:60, 10:60, 0] > shown[10:60, 10:60, 2]).all()
    assert (shown[240:290, 10:60, 2] > shown[240:290, 10:60, 0]).all()


def test_the_straightened_panel_is_the_area_of_the_map(explained):
    found, contract = explained()
    half = np.array([[0.5, 0, -0.5], [0, 0.5, -0.5]], np.float32)  # the upper left quarter

    shown = panel(draw_explanation(replace(found, theta=half), contract), 1)

    quarter = Image.fromarray(found.crop[:24, :24]).resize((300, 300), Image.Resampling.BILINEAR)
    assert np.corrcoef(shown.ravel(), np.asarray(quarter).ravel())[0, 1] > 0.9


def test_the_numbers_hold_what_the_picture_shows_and_the_limits(explained):
    found, contract = explained(steps=6, sequence="rows")

    numbers = json.loads(json.dumps(as_numbers(found, contract, source="a.jpg")))

    assert numbers["limits"] == LIMITS
    assert numbers["occlusion"]["patch_px"] == [8, 12, 16]
    assert numbers["occlusion"]["patches"] == 299
    np.testing.assert_allclose(numbers["occlusion"]["drops"], found.occlusion.drops, atol=1e-5)
    np.testing.assert_allclose(numbers["straightened"]["theta"], found.theta)
    assert numbers["lstm"]["over"] == "rows"
    np.testing.assert_allclose(
        [numbers["lstm"]["steps"][label] for label in contract.labels], found.steps.T
    )


def test_what_a_model_lacks_is_null_in_the_numbers(explained):
    numbers = as_numbers(*explained(theta=False, sequence="mean"))

    assert (numbers["straightened"], numbers["lstm"]) == (None, None)


def test_files_are_kept_without_force(explained, tmp_path):
    found, contract = explained()
    paths = explanation_paths(tmp_path / "out" / "a.jpg", 1)

    write_explanation(found, contract, paths)

    assert [path.name for path in paths] == ["a.jpg.face1.png", "a.jpg.face1.json"]
    with Image.open(paths[0]) as picture:
        assert picture.format == "PNG"
    with pytest.raises(InputError, match="is there already"):
        write_explanation(found, contract, paths)
    write_explanation(found, contract, paths, force=True)


def test_a_model_of_several_networks_is_not_said_to_lack_their_blocks(explained):
    found, contract = explained(theta=False, sequence="mean")
    joined = replace(contract, architecture="mean of 2 networks: one | another")

    pictures = [draw_explanation(found, c, title="a.jpg") for c in (contract, joined)]

    for number in (1, 2):
        alone, several = (panel(picture, number) for picture in pictures)
        assert (alone != several).any()
