"""A column of the user's own table -> one value per sample, for comparing groups of faces.

Nothing is guessed from pixels or names: what a table does not say stays unsaid.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from facetell.datasets.manifest import FORM as MANIFEST
from facetell.datasets.manifest import file_column, read_rows
from facetell.datasets.sample import Dataset
from facetell.errors import DataError

__all__ = ["one_value_each", "read_column"]

_TABLES = (".csv", ".tsv")


def read_column(dataset: Dataset, spec: str, *, source: str | Path = "") -> tuple[str, ...]:
    """What a column says of each sample; "" where it says nothing.

    Args:
        spec: `FILE.csv:COLUMN`, a table with a column `id` (the samples' ids, as in
            `facetell evaluate --predictions`) or one of file names; or `COLUMN`, of the
            manifest that the dataset was read from. `subject` is known of any dataset that
            names its subjects.
        source: the path of the dataset.

    Raises:
        DataError: no such file or column, different values of one sample, or values for none of
            the samples.

    Example:
        values = read_column(dataset, "people.csv:camera")
    """
    file, _, column = spec.rpartition(":")
    if not file and spec.lower().endswith(_TABLES):
        raise DataError(
            f"expected COLUMN or FILE.csv:COLUMN, got the file {spec} without a column. Name its "
            f"column: {spec}:COLUMN. Groups that must share a side go to --together.",
            path=spec,
        )
    if file:
        known = _values_of_file(Path(file), column)
    elif column == "subject" and any(sample.subject for sample in dataset.samples):
        known = {sample.id: sample.subject or "" for sample in dataset.samples}
    else:
        known = _values_of_manifest(Path(source), column)
    values = tuple(known.get(sample.id, "") for sample in dataset.samples)
    if not any(values):
        raise DataError(
            f"expected values of {column!r} for samples of {dataset.name} such as "
            f"{_example(dataset)}, found {_found(known)}. Name the samples in a column id as "
            "`facetell evaluate --predictions` writes them.",
            column=column,
        )
    return values


def _values_of_file(path: Path, column: str) -> dict[str, str]:
    """id -> value of a CSV file of the user's."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text), delimiter=_delimiter(text)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"expected a CSV file with the columns id and {column} at {path}, got: {error}. "
            "Check the path.",
            path=path,
        ) from error
    names = [name for name in (rows[0] if rows else ()) if name is not None]
    spelled = {name.strip().lower(): name for name in names}
    key = "id" if "id" in spelled else file_column(list(spelled))
    wanted = column.strip().lower()
    if key is None or wanted not in spelled:
        raise DataError(
            f"expected columns id and {column} in {path}, found {', '.join(names) or 'no row'}. "
            "Name the samples in a column id as `facetell evaluate --predictions` writes them.",
            path=path,
        )
    pairs = ((row[spelled[key]], (row[spelled[wanted]] or "").strip()) for row in rows)
    return one_value_each(pairs, key, column, path)


def one_value_each(
    pairs: Iterable[tuple[str, str]], key: str, column: str, path: Path
) -> dict[str, str]:
    """What rows of a table say of each name; a row may come twice.

    Raises:
        DataError: rows of one name say different things.
    """
    known: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, value in pairs:
        if known.setdefault(name, value) != value:
            others.setdefault(name, value)
    if others:
        name, value = next(iter(others.items()))
        raise DataError(
            f"expected one value of {column} for each {key} in {path}, found different ones for "
            f"{len(others):,}, the first for {name}: {known[name]!r} and {value!r}. "
            "Correct the file.",
            path=path,
        )
    return known


def _delimiter(text: str) -> str:
    line = text.partition("\n")[0]
    return max(",;\t", key=line.count)


def _values_of_manifest(path: Path, column: str) -> dict[str, str]:
    if not (path.is_file() and MANIFEST.recognise(path)):
        raise DataError(
            f"expected a column {column!r} in the dataset's own table, but {path} is no manifest "
            "of files and labels. Give a table of your own: FILE.csv:COLUMN, with a column id.",
            path=path,
        )
    names, rows = read_rows(path)
    wanted, key = column.strip().lower(), file_column(names)
    assert key is not None  # or it were no manifest
    if wanted not in names:
        raise DataError(
            f"expected a column {column!r} in {path}, found {', '.join(names)}. Name one of them, "
            "or give a table of your own: FILE.csv:COLUMN, with a column id.",
            path=path,
        )
    known: dict[str, str] = {}
    seen: dict[str, int] = {}
    for row in rows:
        name = row.get(key, "").strip()
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            _refuse_difference(known[name], row.get(wanted, "").strip(), name, path)
        known[name] = row.get(wanted, "").strip()
    return known | {f"{n}#{i}": known[n] for n, most in seen.items() for i in range(2, most + 1)}


def _refuse_difference(before: str, now: str, name: str, path: Path) -> None:
    """Faces of one photo are numbered without those that cannot be read, so rows do not tell."""
    if before != now:
        raise DataError(
            f"expected one value for all faces of {name} in {path}, found {before!r} and {now!r}. "
            "Give a table of your own with a column id: FILE.csv:COLUMN.",
            path=path,
        )


def _example(dataset: Dataset) -> str:
    return ", ".join(sample.id for sample in dataset.samples[:2]) or "none"


def _found(known: dict[str, str]) -> str:
    return f"{len(known):,} rows, such as {', '.join(list(known)[:2])}" if known else "no row"
