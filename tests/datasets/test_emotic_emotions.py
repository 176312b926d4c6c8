"""The ways from EMOTIC's categories to the seven basic emotions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from facetell.datasets.emotic import (
    BROAD,
    CATEGORIES,
    MAPPINGS,
    STRICT,
    Mapping,
    People,
    Person,
    basic_emotions,
    emotion_table,
)
from facetell.datasets.emotic.categories import flags
from facetell.labels import EMOTIONS

CALM = (5.5, 5.0, 5.0)


def person(*names: str, vad: tuple[float, float, float] = CALM) -> Person:
    return Person(
        id="a#0", image="a", box_xyxy=(0, 0, 9, 9), categories=flags(names), vad=vad,
        annotators=(), side="train",
    )  # fmt: skip


@pytest.mark.parametrize("mapping", MAPPINGS.values(), ids=lambda mapping: mapping.name)
def test_every_category_has_exactly_one_place(mapping: Mapping) -> None:
    places = [*mapping.emotions, *mapping.quiet, *mapping.unmapped]
    assert sorted(places) == sorted(CATEGORIES)


@pytest.mark.parametrize("mapping", MAPPINGS.values(), ids=lambda mapping: mapping.name)
def test_every_emotion_can_be_reached(mapping: Mapping) -> None:
    reached = {emotion for name in CATEGORIES for emotion in basic_emotions(person(name), mapping)}
    assert reached == set(EMOTIONS)


def test_the_strict_mapping_is_the_one_of_its_version() -> None:
    assert STRICT.version == 1
    assert {e: sorted(c for c, to in STRICT.emotions.items() if to == e) for e in EMOTIONS} == {
        "angry": ["Anger", "Annoyance"],
        "disgust": ["Aversion"],
        "fear": ["Fear"],
        "happy": ["Happiness", "Pleasure"],
        "sad": ["Sadness", "Suffering"],
        "surprise": ["Surprise"],
        "neutral": [],
    }
    assert STRICT.quiet == {"Peace", "Engagement", "Anticipation", "Confidence", "Disconnection"}


def test_the_broad_mapping_keeps_what_the_strict_one_says() -> None:
    assert BROAD.emotions.items() > STRICT.emotions.items()
    assert BROAD.quiet > STRICT.quiet
    assert STRICT.unmapped > BROAD.unmapped


@pytest.mark.parametrize(
    ("names", "vad", "strict", "broad"),
    [
        ((), CALM, set(), set()),
        (("Happiness", "Pleasure", "Excitement"), CALM, {"happy"}, {"happy"}),
        (("Anger", "Sadness"), CALM, {"angry", "sad"}, {"angry", "sad"}),
        (("Happiness", "Peace"), CALM, {"happy"}, {"happy"}),
        (("Affection",), CALM, set(), {"happy"}),
        (("Yearning", "Sympathy"), CALM, set(), set()),
        (("Peace", "Engagement"), CALM, {"neutral"}, {"neutral"}),
        (("Peace", "Yearning"), CALM, set(), set()),
        (("Peace", "Fatigue"), CALM, set(), {"neutral"}),
        (("Peace",), (6.5, 1, 5), {"neutral"}, {"neutral"}),
        (("Peace",), (6.6, 1, 5), set(), {"neutral"}),
        (("Peace",), (4.4, 1, 5), set(), {"neutral"}),
        (("Peace",), (5.0, 5.1, 5), set(), {"neutral"}),
        (("Peace",), (math.nan, math.nan, math.nan), set(), {"neutral"}),
        (("Fear",), (math.nan, math.nan, math.nan), {"fear"}, {"fear"}),
    ],
)
def test_people_show_these_emotions(
    names: tuple[str, ...], vad: tuple[float, float, float], strict: set[str], broad: set[str]
) -> None:
    one = person(*names, vad=vad)
    assert basic_emotions(one) == strict
    assert basic_emotions(one, BROAD) == broad


def test_the_table_has_a_row_for_each_person() -> None:
    people = People(persons=(person("Fear", "Anger"), person(), person("Peace")))
    table = emotion_table(people)
    assert table.dtype == np.bool_
    assert [[EMOTIONS[k] for k in np.flatnonzero(row)] for row in table] == [
        ["angry", "fear"], [], ["neutral"]
    ]  # fmt: skip
    assert emotion_table(People(persons=())).shape == (0, 7)
