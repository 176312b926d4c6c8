"""Datasets of labelled faces behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facetell.datasets.sample import Dataset, Sample, Side

__all__ = ["Dataset", "Sample", "Side", "open_dataset"]


def open_dataset(path: str | Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """The dataset at `path`; its form is recognised by itself.

    Args:
        path: fer2013.csv, icml_face_data.csv or another CSV of pixels; a Parquet file or a
            folder of them; a folder with one folder of images per class, also below
            train/, val/ and test/; or the word `toon` (`toon:characters=80,per_emotion=4`)
            for drawn faces.
        label_order: names of the label numbers 0, 1, 2, ... of data that has only numbers.

    Raises:
        DataError: nothing there, an unknown form, or label numbers without names.
        MissingExtra: Parquet without pyarrow.

    Example:
        dataset = open_dataset("fer2013.csv")
    """
    from facetell.datasets import fer2013, folders, parquet
    from facetell.errors import DataError

    place = Path(path)
    if str(path).partition(":")[0] == "toon" and not place.exists():
        from facetell.datasets.toon import toon_from_text

        return toon_from_text(str(path))
    if not place.exists():
        raise DataError(
            f"expected a dataset at {place}, found nothing there. Check the path. "
            f"{fer2013.WHERE}; `toon` draws faces without any download.",
            path=place,
        )
    if place.is_dir():
        files = sorted(p for p in place.rglob("*.parquet") if not p.name.startswith("."))
        if files:
            return parquet.read_parquet(files, place, label_order=label_order)
        for name in ("fer2013.csv", "icml_face_data.csv"):
            if (place / name).is_file():
                return fer2013.read_csv(place / name, label_order=label_order)
        return folders.read_folders(place, label_order=label_order)
    if place.suffix.lower() == ".csv":
        return fer2013.read_csv(place, label_order=label_order)
    if place.suffix.lower() == ".parquet":
        return parquet.read_parquet([place], place, label_order=label_order)
    raise DataError(
        f"expected a .csv or .parquet file or a folder, got {place}. Unpack archives first. "
        f"{fer2013.WHERE}.",
        path=place,
    )
