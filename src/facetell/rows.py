"""Readings -> a table on disk that grows as it goes and survives a kill.

CSV and Parquet hold flat rows, one a face (`rows_of`); JSON lines hold whole readings, the shape
of `Reading.to_dict()`. While a run goes on, OUT.part holds what is ready and OUT.journal how far
that is safe: after a kill, the same call cuts off what is torn and goes on behind it. Only a
finished table is called OUT.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from facetell.errors import InputError, require
from facetell.files import check_target, write_atomically
from facetell.results import Reading

__all__ = [
    "FORMS",
    "Form",
    "RowWriter",
    "about_sources",
    "columns",
    "open_rows",
    "readable",
    "rows_of",
]

Form = Literal["csv", "jsonl", "parquet"]
Row = dict[str, Any]

#: What a table can be written as.
FORMS: tuple[Form, ...] = ("csv", "jsonl", "parquet")

_VERSION = 2  # of the journal
_SYNC_S = 5.0  # a power cut costs at most what was read since; a kill costs nothing
_ROW_GROUP = 50_000  # rows of a Parquet row group
_TYPES = {"source": "string", "face": "int32", "person": "int32", "label": "string",
          "set": "string", "sure": "bool", "warnings": "string", "model": "string",
          "error": "string"}  # fmt: skip


def columns(labels: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns of a row, in order, for a model with these labels."""
    scores = (f"score_{label}" for label in labels)
    return (
        *("source", "time_s", "face", "person", "x1", "y1", "x2", "y2", "label", "score", "margin"),
        *scores,
        *("set", "sure", "warnings", "detector_score", "model", "error"),
    )


def rows_of(reading: Reading, labels: Sequence[str]) -> list[Row]:
    """One row for each face, largest first; one with empty face fields where there is none.

    Args:
        reading: of a photo or of a frame of a clip.
        labels: the model's emotions, in its order.

    Returns:
        Dictionaries with the keys of `columns(labels)`. `face` counts from 1; boxes are in px of
        the original image, second corner exclusive; `set` and `warnings` are joined by "|"; what
        does not apply, or was not asked for, is None.
    """
    about: Row = dict.fromkeys(columns(labels))
    about |= {"source": reading.source, "model": reading.model, "error": reading.error}
    about["time_s"] = reading.time_s  # clips only
    rows = [about | _face_fields(face, number) for number, face in enumerate(reading.faces, 1)]
    return rows or [about]


def _face_fields(face: Any, number: int) -> Row:
    return {
        "face": number,
        "person": face.person,  # clips only
        **dict(zip(("x1", "y1", "x2", "y2"), map(float, face.box_xyxy), strict=True)),
        "label": face.label,
        "score": face.scores[face.label],
        "margin": face.margin,
        **{f"score_{label}": score for label, score in face.scores.items()},
        "set": None if face.set is None else "|".join(face.set),
        "sure": face.sure,
        "warnings": "|".join(face.warnings),
        "detector_score": face.detector_score,
    }


def about_sources(sources: Iterable[str | Path]) -> dict[str, Any]:
    """How many sources there are and the sha256 of their names: enough to know them again."""
    digest, count = hashlib.sha256(), 0
    for source in sources:
        digest.update(os.fsencode(source) + b"\0")
        count += 1
    return {"count": count, "sha256": digest.hexdigest()}


def open_rows(
    path: str | Path,
    form: Form,
    *,
    labels: Sequence[str],
    run: Mapping[str, Any],
    force: bool = False,
) -> RowWriter:
    """A writer of a new table, or of one that was begun by the same run and cut short.

    Args:
        path: where the finished table goes.
        form: "csv", "jsonl" or "parquet".
        labels: the model's emotions, in its order.
        run: what makes the run what it is (sources, model, options), JSON-ready. A table that was
            begun is only gone on with when this is the same.
        force: replace a finished table, and drop one that another run began.

    Raises:
        InputError: the table exists, or another run began it, or its folder is missing.
        MissingExtra: Parquet without the `tables` extra.

    Example:
        with open_rows("faces.csv", "csv", labels=labels, run={"sources": names}) as out:
            for reading in analyzer.read_many(names[out.done :]):
                out.add(reading)
            out.finish()
    """
    target = Path(path)
    shape = _shape(form, tuple(labels))
    check_target(target, force)
    facts = {"version": _VERSION, "form": form, "labels": list(labels), **run}
    facts = json.loads(json.dumps(facts))  # as they come back from the journal
    return RowWriter(target, shape, facts, force=force)


class RowWriter:
    """Appends readings to a table. Get one from `open_rows`; a context manager.

    Attributes:
        path: the finished table, which appears with `finish`.
        done: sources that are already in the table; the caller goes on behind them.
        failed: how many of these could not be read.
        resumed: whether an earlier call began the table.
    """

    def __init__(
        self, path: Path, shape: _Shape, facts: dict[str, Any], *, force: bool = False
    ) -> None:
        self.path = path
        self._shape = shape
        self._part = path.with_name(f"{path.name}.part")
        self._journal = path.with_name(f"{path.name}.journal")
        self.resumed = self._begun(facts, force)
        if not self.resumed:
            self._begin(facts)
        self._rows = self._part.open("ab")
        _lock(self._rows, self._part)
        safe = _last_safe(self._journal, self._part, len(shape.head))
        self._cut(safe)
        # Afresh: what a power cut has made untrue must not become true again.
        write_atomically(self._journal, _first_line(facts) + _entry(safe))
        self._log = self._journal.open("ab")
        self.done, self._bytes, self.failed = safe
        self._bad = False  # whether the current source could not be read
        self._synced = time.monotonic()

    def add(self, reading: Reading, *, last: bool = True) -> None:
        """Append one reading.

        Args:
            reading: of the next source, in the order of the sources.
            last: nothing more of this source follows, and it is safe from a kill when this
                returns. The frames of a clip pass False, and `finish_source` ends them; what an
                unfinished source has written is dropped when a run goes on.
        """
        data = self._shape.encode(reading)
        self._rows.write(data)
        self._bytes += len(data)
        self._bad = self._bad or reading.error is not None
        if last:
            self.finish_source()

    def finish_source(self) -> None:
        """Say that nothing more of the current source follows."""
        self._rows.flush()
        self.done += 1
        self.failed += self._bad
        self._bad = False
        self._log.write(_entry(_Safe(self.done, self._bytes, self.failed)))
        self._log.flush()
        if time.monotonic() - self._synced > _SYNC_S:
            self._sync()

    def finish(self) -> Path:
        """Close the table and give it its name.

        Raises:
            OSError: the disk is full; what was read is kept, and the same call goes on.
        """
        self._close_files()
        self._shape.publish(self._part, self.path)
        self._drop()
        return self.path

    def close(self) -> None:
        """Leave the table as it is; the same call goes on with it later."""
        self._close_files()
        if not self.done:
            self._drop()

    def _close_files(self) -> None:
        if not self._rows.closed:
            self._sync()
            self._rows.close()
            self._log.close()

    def _drop(self) -> None:
        self._part.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begun(self, facts: dict[str, Any], force: bool) -> bool:
        """Whether this very run began a part. Another run's is refused, or else dropped."""
        if not self._part.exists():
            return False
        earlier = _read_facts(self._journal)
        if earlier != facts and not force:
            raise InputError(_another_run(self._part, earlier, facts), path=str(self._part))
        return earlier == facts

    def _begin(self, facts: dict[str, Any]) -> None:
        """The journal first: a part without one is nobody's."""
        self._part.unlink(missing_ok=True)
        write_atomically(self._journal, _first_line(facts))

    def _cut(self, safe: _Safe) -> None:
        """Drop what is torn, or has no entry in the journal."""
        if self._part.stat().st_size < safe.bytes:  # new, or torn within its first line
            self._rows.truncate(0)
            self._rows.write(self._shape.head)
            self._rows.flush()
        self._rows.truncate(safe.bytes)

    def _sync(self) -> None:
        """Rows before the journal that vouches for them."""
        for file in (self._rows, self._log):
            file.flush()
            os.fsync(file.fileno())
        self._synced = time.monotonic()


class _Safe(NamedTuple):
    """So many sources are whole in the first so many bytes of the part; so many failed."""

    sources: int
    bytes: int
    failed: int


def _first_line(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts).encode() + b"\n"


def _entry(safe: _Safe) -> bytes:
    return b"%d %d %d.\n" % safe


def _lock(file: IO[bytes], path: Path) -> None:
    """Refuse to write into what another process is writing. Windows does so by itself."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InputError(
            f"{path} is being written by another process. Wait for it, or choose another name.",
            path=str(path),
        ) from None
    except OSError:  # a file system without locks
        return


def _read_facts(journal: Path) -> dict[str, Any] | None:
    """What the run was that began the table; None without a (whole) first line."""
    try:
        with journal.open("rb") as file:
            facts = json.loads(file.readline())
    except (FileNotFoundError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def _last_safe(journal: Path, part: Path, head: int) -> _Safe:
    """The last whole entry that the part bears out; it is shorter only after a power cut."""
    size = part.stat().st_size
    for line in reversed(journal.read_bytes().split(b"\n")[1:]):
        numbers = line.removesuffix(b".").split()
        if line.endswith(b".") and len(numbers) == 3 and int(numbers[1]) <= size:
            return _Safe(*map(int, numbers))
    return _Safe(0, head, 0)


def _another_run(part: Path, earlier: dict[str, Any] | None, facts: dict[str, Any]) -> str:
    if earlier is None:
        found = "without a readable journal"
    else:
        keys = [key for key in {**facts, **earlier} if facts.get(key) != earlier.get(key)]
        found = "begun by a run with " + ", ".join(
            f"{key} {_brief(earlier.get(key))} instead of {_brief(facts.get(key))}" for key in keys
        )
    return (
        f"expected {part} to be of the same run, got one {found}. Repeat that run to go on with "
        "it, choose another name, or start anew with --force."
    )


def _brief(value: Any) -> str:
    if isinstance(value, dict) and "count" in value:
        return f"{value['count']:,} ({str(value.get('sha256'))[:8]})"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:8]}..."


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shape:
    """How one form is written: its first line, one reading, and the step from part to table."""

    head: bytes
    encode: Callable[[Reading], bytes]
    publish: Callable[[Path, Path], None]


def _shape(form: Form, labels: tuple[str, ...]) -> _Shape:
    if form == "csv":
        return _Shape(
            head=_csv_line(columns(labels)),
            encode=lambda reading: b"".join(
                _csv_line(row.values()) for row in rows_of(reading, labels)
            ),
            publish=lambda part, target: os.replace(part, target),
        )
    if form == "jsonl":
        return _Shape(head=b"", encode=_json_line, publish=lambda part, to: os.replace(part, to))
    if form == "parquet":  # row groups cannot be appended: lines until the end
        require("pyarrow.parquet", extra="tables", purpose="writing Parquet")
        return _Shape(
            head=b"",
            encode=_json_line,
            publish=lambda part, target: _to_parquet(part, target, labels),
        )
    raise InputError(
        f"a table can be written as {', '.join(FORMS)}, got {form!r}. Choose one of these.",
        expected=FORMS,
        actual=form,
    )


def _json_line(reading: Reading) -> bytes:
    return json.dumps(reading.to_dict()).encode() + b"\n"


def _csv_line(values: Iterable[Any]) -> bytes:
    return (",".join(map(_csv_cell, values)) + "\n").encode()


def _csv_cell(value: Any) -> str:
    """RFC 4180. (Python's csv module leaves a lone carriage return without quotes.)"""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value) if isinstance(value, int) else repr(float(value))
    text = readable(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set('",\r\n') else text


def readable(text: str) -> str:
    r"""Text that is valid UTF-8: bytes of a file name that are not appear as \udc80 to \udcff."""
    return text.encode("utf-8", "backslashreplace").decode()


def _to_parquet(part: Path, target: Path, labels: tuple[str, ...]) -> None:
    """The lines of a part as a Parquet file, a row group at a time."""
    arrow = require("pyarrow", extra="tables", purpose="writing Parquet")
    parquet = require("pyarrow.parquet", extra="tables", purpose="writing Parquet")
    names = columns(labels)
    schema = arrow.schema([(name, arrow.type_for_alias(_TYPES.get(name, "double")))
                           for name in names])  # fmt: skip
    half = target.with_name(f"{target.name}.half")
    with parquet.ParquetWriter(half, schema) as writer:
        rows = _rows_in(part, labels)
        while group := list(islice(rows, _ROW_GROUP)):
            lists = {name: [row[name] for row in group] for name in names}
            writer.write_table(arrow.table(lists, schema=schema))
    with half.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(half, target)


def _rows_in(part: Path, labels: tuple[str, ...]) -> Iterator[Row]:
    with part.open("rb") as lines:
        for line in lines:
            for row in rows_of(Reading.from_dict(json.loads(line)), labels):
                yield {k: readable(v) if isinstance(v, str) else v for k, v in row.items()}
