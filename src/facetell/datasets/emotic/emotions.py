"""EMOTIC's 26 categories -> the seven basic emotions, by written and numbered rules.

There is no standard way: a person carries several categories, and most of them are no basic
emotion. A number over seven classes means something only beside its mapping, the share of people
that it covers, and what always answering the commonest emotion scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.emotic.categories import CATEGORIES
from facetell.datasets.emotic.people import People, Person
from facetell.errors import InputError
from facetell.labels import EMOTIONS

__all__ = [
    "BROAD",
    "MAPPINGS",
    "STRICT",
    "Mapping",
    "basic_emotions",
    "emotion_table",
    "mapping_of",
]


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """A rule from categories to basic emotions; each category stands in one of three places.

    Attributes:
        name: of the rule.
        version: counted up whenever the rule changes.
        emotions: category -> the emotion that it shows.
        quiet: categories that show none, but go with a neutral face. Someone who carries at
            least one of them and no category of another kind is neutral, within the limits.
        unmapped: categories that say nothing about the seven; beside an emotion they are
            passed over, and nobody who carries one is neutral.
        valence: neutral people's valence, lowest and highest, 1-10; None sets no limit.
        arousal: neutral people's highest arousal, 1-10; None sets no limit.
    """

    name: str
    version: int
    emotions: dict[str, str]
    quiet: frozenset[str]
    unmapped: frozenset[str]
    valence: tuple[float, float] | None = None
    arousal: float | None = None


#: Only categories whose definition names the emotion itself; neutral also by valence (within 1
#: of the middle of the scale, 5.5) and arousal.
STRICT = Mapping(
    name="strict",
    version=1,
    emotions={
        "Anger": "angry",
        "Annoyance": "angry",
        "Aversion": "disgust",
        "Fear": "fear",
        "Happiness": "happy",
        "Pleasure": "happy",
        "Sadness": "sad",
        "Suffering": "sad",
        "Surprise": "surprise",
    },
    quiet=frozenset({"Anticipation", "Confidence", "Disconnection", "Engagement", "Peace"}),
    unmapped=frozenset(
        {
            "Affection", "Disapproval", "Disquietment", "Doubt/Confusion", "Embarrassment",
            "Esteem", "Excitement", "Fatigue", "Pain", "Sensitivity", "Sympathy", "Yearning",
        }
    ),
    valence=(4.5, 6.5),
    arousal=5.0,
)  # fmt: skip

#: Also what usually comes with the emotion. Only to see how much the numbers hang on the rule.
BROAD = Mapping(
    name="broad",
    version=1,
    emotions={
        **STRICT.emotions,
        "Disapproval": "angry",  # "contempt; hostile"
        "Disquietment": "fear",  # "nervous; worried; tense; in alarm"
        "Affection": "happy",  # "fond feelings; love; tenderness"
        "Esteem": "happy",  # "favourable opinion; admiration; gratefulness"
        "Excitement": "happy",  # "enthusiasm; energetic": mostly joy, but at times surprise
        "Embarrassment": "sad",  # "ashamed or guilty"
        "Pain": "sad",  # "physical suffering"
        "Sensitivity": "sad",  # "physically or emotionally wounded"
    },
    quiet=STRICT.quiet | {"Doubt/Confusion", "Fatigue"},
    unmapped=frozenset({"Sympathy", "Yearning"}),  # another's emotion; a wish without a face
)

MAPPINGS: dict[str, Mapping] = {mapping.name: mapping for mapping in (STRICT, BROAD)}


def mapping_of(name: str) -> Mapping:
    """The mapping of that name.

    Raises:
        InputError: there is none.
    """
    if name not in MAPPINGS:
        raise InputError(
            f"mapping must be one of {', '.join(MAPPINGS)}, got {name!r}. "
            "Write emotic:strict:PATH or emotic:broad:PATH.",
            actual=name,
        )
    return MAPPINGS[name]


def basic_emotions(person: Person, mapping: Mapping = STRICT) -> frozenset[str]:
    """Which of the seven emotions a person shows: none, one or several."""
    carried = {name for name, seen in zip(CATEGORIES, person.categories, strict=True) if seen}
    found = frozenset(mapping.emotions[name] for name in carried if name in mapping.emotions)
    if found or not carried or not carried <= mapping.quiet or not _is_calm(person, mapping):
        return found
    return frozenset({"neutral"})


def _is_calm(person: Person, mapping: Mapping) -> bool:
    """Inside the limits of valence and arousal; unknown values are inside no limit."""
    valence, arousal, _ = person.vad
    low, high = mapping.valence or (-math.inf, math.inf)
    within = mapping.valence is None or low <= valence <= high
    return within and (mapping.arousal is None or arousal <= mapping.arousal)


def emotion_table(people: People, mapping: Mapping = STRICT) -> NDArray[np.bool_]:
    """(N, 7) which emotions each person shows, columns in the order of EMOTIONS."""
    shown = (basic_emotions(person, mapping) for person in people.persons)
    table = [[emotion in found for emotion in EMOTIONS] for found in shown]
    return np.array(table, np.bool_).reshape(-1, len(EMOTIONS))
