"""Every warning on the picture that it is about, and none on a sharp, well lit face."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from facetell import draw
from facetell.cli.read import _remarks
from facetell.results import Detection, Reading
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.follower import Follower
from facetell.runtime.quality import WARNINGS, measure, warn


def whole(score=1.0, side=48):
    return Detection(box_xyxy=(0, 0, side, side), score=score)


def face(side=48):
    """A drawn face with a face's spread of light: bright skin, dark eyes, brows and mouth."""
    y, x = np.mgrid[0:side, 0:side] / side
    light = 90 + 90 * np.exp(-(((x - 0.5) / 0.35) ** 2) - ((y - 0.5) / 0.42) ** 2)
    light += 12 * np.sin(40 * x) * np.sin(33 * y)
    for centre, high in (((0.32, 0.4), 0.045), ((0.68, 0.4), 0.045), ((0.5, 0.75), 0.04)):
        light[(np.abs(x - centre[0]) < 0.11) & (np.abs(y - centre[1]) < high)] = 30
    return np.repeat(light.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def one(image, **options):
    (found,) = warn(image[None], [whole(**options)])
    return found


def blurred(image, px):
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(px)))


@pytest.mark.parametrize("side", [48, 64, 112])
def test_a_sharp_well_lit_face_has_no_warning(side):
    assert one(face(side)) == ()
    assert warn(face(side)[..., 0][None], [whole()]) == ((),)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.zeros((48, 48, 3), np.uint8), ("dark", "flat")),
        (np.full((48, 48, 3), 255, np.uint8), ("bright", "flat")),
        (np.full((48, 48, 3), 128, np.uint8), ("flat",)),
        ((face() * 0.15).astype(np.uint8), ("dark", "flat")),
        (np.clip(face().astype(int) + 160, 0, 255).astype(np.uint8), ("bright",)),
        (blurred(face(), 2), ("blurred",)),
        (np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.uint8), ("doubtful",)),
    ],
    ids=["black", "white", "grey", "dark", "bright", "blurred", "noise"],
)
def test_each_warning_on_the_picture_that_it_is_about(image, expected):
    assert one(image) == expected


def test_a_small_box_and_an_unsure_detector_are_warned_about():
    assert one(face(), side=23.9) == ("small",)
    assert one(face(), side=24) == ()
    assert one(face(), score=0.59) == ("doubtful",)
    assert one(face(), score=0.61) == ()


def test_warnings_come_in_one_order_whatever_the_face():
    assert one(np.zeros((48, 48, 3), np.uint8), side=5, score=0.2) == (
        "small", "dark", "flat", "doubtful",
    )  # fmt: skip
    assert list(WARNINGS) == ["small", "dark", "bright", "flat", "blurred", "doubtful"]


def test_no_face_has_no_warning():
    assert warn(np.empty((0, 48, 48, 3), np.uint8), []) == ()


def test_a_face_is_warned_about_alike_alone_and_among_others():
    images = np.stack([face(), blurred(face(), 2), np.zeros_like(face())])
    together = warn(images, [whole()] * 3)
    assert together == tuple(one(image) for image in images)


def test_measures_do_not_depend_on_the_side_much():
    small, large = (measure(face(side)[None]) for side in (48, 96))
    assert small.mean[0] == pytest.approx(large.mean[0], abs=3)
    assert small.coarse[0] == pytest.approx(large.coarse[0], abs=0.1)


def test_noise_has_few_coarse_shapes_and_full_detail():
    noise = np.random.default_rng(1).integers(0, 256, (50, 48, 48)).astype(np.uint8)
    found = measure(noise)
    assert found.coarse.mean() == pytest.approx(20 / 143, abs=0.02)  # so many of its cosines
    assert found.detail.mean() == pytest.approx(20, abs=0.5)  # 4² + 4 times 1²


def test_photos_and_frames_carry_the_warnings(tiny_model_path):
    analyzer = Analyzer(tiny_model_path, detector="none", threads=1)
    assert analyzer.read(np.zeros((60, 60, 3), np.uint8)).faces[0].warnings == ("dark", "flat")
    assert analyzer.read(face()).faces[0].warnings == ()
    frames = Follower(analyzer)
    assert frames.read(blurred(face(), 2), 0.0).faces[0].warnings == ("blurred",)
    assert frames.read(face(), 0.04).faces[0].warnings == ()


def test_a_warning_is_printed_and_drawn(tiny_model_path):
    analyzer = Analyzer(tiny_model_path, detector="none", threads=1)
    reading: Reading = analyzer.read(blurred(face(96), 4))
    assert _remarks(reading.faces[0]) == ["(blurred)"]
    title = draw._title(1, reading.faces[0])
    assert title == f"1 {reading.faces[0].label} (blurred)"
    assert draw.draw_reading(blurred(face(96), 4), reading).shape[2] == 3
