import numpy as np
import pytest

from facetell.datasets.splits import split
from facetell.evaluate.evaluation import Evaluation
from facetell.evaluate.judged import judge
from facetell.evaluate.slices import slices_of
from facetell.report.depended import count_maps, maps_section, mean_maps
from facetell.report.html import report_page
from facetell.runtime.occlusion import occlude
from judging import FakePredictor, small_dataset


@pytest.fixture(scope="module")
def judged():
    dataset = small_dataset(280)
    return judge(FakePredictor(skill=4.0), dataset, split(dataset, "official"))


@pytest.fixture(scope="module")
def maps(judged):
    return mean_maps(FakePredictor(skill=4.0), judged, most=1)


def test_a_map_is_that_of_correctly_read_faces_of_its_emotion(judged, maps):
    assert [one.label for one in maps][-3:] == ["neutral", "sad", "surprise"]
    for one in maps:
        k = judged.dataset.labels.index(one.label)
        right = judged.faces(np.flatnonzero(judged.correct & (judged.labels == k)))
        (face,) = (face for face in right if (face == one.face).all())
        assert one.n == 1
        found = occlude(FakePredictor(skill=4.0), face, one.label)
        np.testing.assert_allclose(one.drops, found.drops)


def test_progress_counts_every_face(judged):
    steps = []

    mean_maps(FakePredictor(), judged, most=1, progress=lambda: steps.append(1))

    assert len(steps) == count_maps(judged, 1) == 7
    assert count_maps(judged, 0) == 0


def test_the_section_says_its_limits_and_names_every_emotion(maps):
    section = maps_section(maps, faces=True)

    assert "not what people feel, and not why" in section
    assert section.count("Mean occlusion map of") == 7
    assert "over the mean of the faces" in section


def test_maps_without_faces_lie_over_grey(maps):
    assert "over grey" in maps_section(maps, faces=False)
    assert maps_section(maps, faces=False) != maps_section(maps, faces=True)


def test_the_report_has_maps_and_groups_where_they_are_given(judged, maps):
    evaluation = Evaluation.of(judged)
    values = ["<a>" if i % 8 < 4 else "b" for i in range(len(judged.dataset))]
    slices = slices_of(judged, values, "light & shade", fewest=20)

    plain = report_page(evaluation)
    full = report_page(evaluation, slices=slices, maps=maps)

    assert "What the scores depend on" not in plain
    assert "What the scores depend on" in full
    assert "By light &amp; shade" in full
    assert "&lt;a&gt;" in full
    assert "<a>" not in full
    assert "Best against worst group" in full
