"""Datasets of labelled faces behind one interface."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from facetell.datasets.form import Form
from facetell.datasets.sample import Dataset, Sample, Side
from facetell.labels import EMOTIONS

__all__ = ["Dataset", "Sample", "Side", "open_dataset"]


def open_dataset(path: str | Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """The dataset at `path`; its form is recognised by itself.

    Args:
        path: fer2013.csv, icml_face_data.csv or another CSV of pixels; a CSV or Parquet table
            of image files; a Parquet file of images or a folder of them; the folder of a dataset
            that `facetell data list` names, EMOTIC also as `emotic:strict:PATH` or
            `emotic:broad:PATH`; a folder with one folder of images per class, also
            below train/, val/ and test/; or the word `toon`
            (`toon:characters=80,per_emotion=4`) for drawn faces. `ferplus:` before the path of
            FER2013 with its FER+ votes gives the labels of their majority, `ferplus8:` the same
            with contempt.
        label_order: names of the label numbers 0, 1, 2, ... of data that has only numbers.

    Raises:
        DataError: nothing there, an unknown form, label numbers without names, or a label order
            for labels that have names.
        MissingExtra: Parquet without pyarrow.

    Example:
        dataset = open_dataset("fer2013.csv")
    """
    from facetell.datasets.forms import FORMS
    from facetell.datasets.labelling import refuse_order
    from facetell.errors import DataError

    place = Path(path)
    if str(path).partition(":")[0] == "toon" and not place.exists():
        from facetell.datasets.toon import toon_from_text

        refuse_order(label_order, path)
        return toon_from_text(str(path))
    if str(path).startswith(("ferplus:", "ferplus8:")) and not place.exists():
        from facetell.datasets.ferplus import EIGHT, with_majority_labels

        kind, _, below = str(path).partition(":")
        voted = open_dataset(below, label_order=label_order)
        return with_majority_labels(voted, names=EIGHT if kind == "ferplus8" else EMOTIONS)
    if str(path).startswith("emotic:") and not place.exists():
        from facetell.datasets.emotic import emotic_from_text

        refuse_order(label_order, path)
        return emotic_from_text(str(path))
    if not place.exists():
        raise DataError(
            f"expected a dataset at {place}, found nothing there. Check the path. "
            f"{_where(place, FORMS)}`facetell data list` says which data can be read and where "
            "to get them; `toon` draws faces without any download.",
            path=place,
        )
    for form in FORMS:
        if form.recognise(place):
            return form.read(place, label_order=label_order)
    raise DataError(
        f"expected data of a known form (a .csv or .parquet file or a folder), got {place}. "
        "Unpack archives first. `facetell data list` says which forms can be read.",
        path=place,
    )


def _where(place: Path, forms: Sequence[Form]) -> str:
    """Where to get the data that the path's name speaks of."""
    asked = _letters(place.name)
    return next((f"{form.where}. " for form in forms if _letters(form.name) in asked), "")


def _letters(name: str) -> str:
    """The name as people may also write it: "CK+48" and "ckplus_48" are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower().replace("+", "plus"))
