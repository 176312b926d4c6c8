"""Which samples must share a side, as a file: id, group, side, label."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.columns import one_value_each
from facetell.datasets.sample import Dataset
from facetell.errors import DataError
from facetell.files import refuse_overwriting, write_atomically

__all__ = ["read_groups", "write_groups"]

_COLUMNS = ("id", "group", "side", "label")


def write_groups(
    dataset: Dataset, groups: NDArray[np.int64], path: str | Path, *, overwrite: bool = False
) -> Path:
    """Write a CSV file with one row per sample and return its path.

    Args:
        groups: (N,) equal for samples that belong together.
        overwrite: replace a file that is there.

    Raises:
        InputError: the file is there and `overwrite` is not set.
    """
    path = Path(path)
    refuse_overwriting(path, overwrite)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for sample, group in zip(dataset.samples, groups.tolist(), strict=True):
        writer.writerow([sample.id, group, sample.side or "", dataset.labels[sample.label]])
    write_atomically(path, text.getvalue())
    return path


def read_groups(dataset: Dataset, path: str | Path) -> NDArray[np.int64]:
    """(N,) the dataset's groups as `write_groups` wrote them, or anyone: id and group will do.

    Rows of other samples are ignored.

    Raises:
        DataError: no such file, other columns, a sample without a row or with an empty group, or
            one with several rows that differ.

    Example:
        parts = split(dataset, "clean", groups=read_groups(dataset, "groups.csv"))
    """
    known = _group_names(Path(path))
    missing = [sample.id for sample in dataset.samples if not known.get(sample.id)]
    if missing:
        raise DataError(
            f"expected a group for every sample of {dataset.name}, but {path} has none for "
            f"{len(missing):,} of {len(dataset):,} ({', '.join(missing[:3])}). Give each a name, "
            "of its own where it belongs to none, or write the file anew: facetell audit DATA "
            "--groups FILE.",
            path=path,
        )
    numbers: dict[str, int] = {}
    names = (known[sample.id] for sample in dataset.samples)
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def _group_names(path: Path) -> dict[str, str]:
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"expected a CSV file of groups at {path}, got: {error}. Write one: "
            "facetell audit DATA --groups FILE.",
            path=path,
        ) from error
    if not rows or not {"id", "group"} <= set(rows[0]):
        found = ", ".join(str(name) for name in rows[0]) if rows else "no row"
        raise DataError(
            f"expected columns id and group in {path}, found {found}. Write it anew: "
            "facetell audit DATA --groups FILE.",
            path=path,
        )
    return one_value_each(((row["id"], row["group"]) for row in rows), "id", "group", path)
