"""EMOTIC (Kosti et al. 2017 and 2019): people in photos, 26 categories and three dimensions."""

from __future__ import annotations

from facetell.datasets.emotic.categories import CATEGORIES
from facetell.datasets.emotic.emotions import (
    BROAD,
    MAPPINGS,
    STRICT,
    Mapping,
    basic_emotions,
    emotion_table,
)
from facetell.datasets.emotic.people import People, Person
from facetell.datasets.emotic.reading import FORM, as_dataset, emotic_from_text, read_people

__all__ = [
    "BROAD",
    "CATEGORIES",
    "FORM",
    "MAPPINGS",
    "STRICT",
    "Mapping",
    "People",
    "Person",
    "as_dataset",
    "basic_emotions",
    "emotic_from_text",
    "emotion_table",
    "read_people",
]
