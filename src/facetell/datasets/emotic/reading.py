"""EMOTIC on disk -> its people, or a dataset of those who show one basic emotion alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facetell.datasets.emotic.emotions import STRICT, Mapping, emotion_table, mapping_of
from facetell.datasets.emotic.mat import read_mat
from facetell.datasets.emotic.people import People, Row, gather
from facetell.datasets.emotic.places import find_annotations, photo_finder
from facetell.datasets.emotic.tables import read_table
from facetell.datasets.form import Form
from facetell.datasets.found_faces import FoundFaces, faces_note
from facetell.datasets.labelling import refuse_order
from facetell.datasets.sample import Dataset, Sample
from facetell.errors import DataError
from facetell.labels import EMOTIONS

__all__ = ["FORM", "LICENCE", "as_dataset", "emotic_from_text", "read_people"]

LICENCE = "EMOTIC: non-commercial research and education only, by request form."
WHERE = (
    "by request form of the authors (sunai.uoc.edu/emotic); non-commercial research and "
    "education only, no redistribution"
)


def read_people(path: str | Path) -> People:
    """Everyone annotated in EMOTIC with pixels to look at; photos are searched for.

    Args:
        path: the folder that the archives were unpacked in, Annotations.mat,
            CVPR17_Annotations.mat, or a folder of derived tables.

    Raises:
        DataError: no annotations there, or no photos beside them.
        MissingExtra: a .mat file without scipy.

    Example:
        people = read_people("emotic/")
        print(len(people), people.categories.sum(axis=0))
    """
    place = Path(path)
    files = find_annotations(place) if place.exists() else []
    if not files:
        raise DataError(
            f"expected Annotations.mat or its derived tables in {place}, found none. "
            f"Unpack EMOTIC's archives into one folder and name that; {WHERE}.",
            path=place,
        )
    rows: list[Row] = []
    notes: list[str] = []
    for file in files:
        if file.suffix.lower() == ".mat":
            rows += read_mat(file)
        else:
            some, remarks = read_table(file)
            rows, notes = rows + some, notes + remarks
    return gather(rows, photo_finder(files[0], place), place, notes)


def as_dataset(people: People, mapping: Mapping = STRICT) -> Dataset:
    """The people who show exactly one of the seven emotions, as faces for a seven-class model.

    Faces are searched when they are read; `FoundFaces(people.persons).find()` before it searches
    them all at once and tells its progress. People of one photo share a side.

    Raises:
        DataError: nobody shows a single emotion.
    """
    shown = emotion_table(people, mapping)
    single = np.flatnonzero(shown.sum(axis=1) == 1)
    if not len(single):
        raise DataError(
            f"expected people with one basic emotion in {people.source}, found none among "
            f"{len(people)} under the mapping {mapping.name!r}. Try emotic:broad:PATH.",
            path=people.source,
        )
    labels = shown[single].argmax(axis=1)
    faces = FoundFaces(people.persons)
    return Dataset(
        name=f"emotic-{mapping.name}",
        samples=tuple(
            Sample(id=person.id, label=int(label), side=person.side, subject=person.image)
            for person, label in zip(people.take(single).persons, labels, strict=True)
        ),
        read=lambda index: faces.read(int(single[index])),
        # With the mapping, so that opening the source again gives the same dataset.
        source=f"emotic:{mapping.name}:{people.source}",
        licence=LICENCE,
        notes=(
            *people.notes,
            *_notes(people, mapping),
            faces_note(faces.counts(single), "people", "the body box"),
        ),
    )


def emotic_from_text(text: str) -> Dataset:
    """The dataset that `emotic:PATH`, `emotic:strict:PATH` or `emotic:broad:PATH` stands for.

    Raises:
        InputError: another mapping.
        DataError: nothing there.
    """
    name, _, path = text.removeprefix("emotic:").partition(":")
    # A bare path; one with a drive letter too ("C:\\emotic").
    if not path or len(name) == 1:
        return as_dataset(read_people(text.removeprefix("emotic:")))
    mapping = mapping_of(name)
    return as_dataset(read_people(path), mapping)


def _notes(people: People, mapping: Mapping) -> list[str]:
    shown = emotion_table(people, mapping)
    groups = shown.sum(axis=1)
    counts = shown[groups == 1].sum(axis=0)
    single, most = int(counts.sum()), int(counts.argmax())
    return [
        f"mapping {mapping.name} {mapping.version}: {single} of {len(people)} people show one of "
        f"the seven emotions alone and are used ({single / len(people):.0%}); "
        f"{int((groups == 0).sum())} show none, {int((groups > 1).sum())} show several",
        f"always answering {EMOTIONS[most]!r} would be right for {counts[most] / single:.1%} of "
        "them: no accuracy means anything without that",
    ]


def _read(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    refuse_order(label_order, path)
    return as_dataset(read_people(path))


FORM = Form(
    name="emotic",
    holds="Annotations.mat and the folders mscoco, emodb_small, framesdb and ade20k, at any "
    "depth, or derived tables; emotic:strict:PATH or emotic:broad:PATH chooses the way to seven "
    "emotions",
    where=WHERE,
    recognise=lambda path: bool(find_annotations(path)),
    read=_read,
)
