"""Which steps are done, and what they found."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from facetell.errors import InputError
from facetell.files import write_atomically

__all__ = ["Book", "Step", "slug"]


@dataclass(frozen=True)
class Step:
    """A named piece of work; `run` returns JSON-ready values."""

    name: str
    run: Callable[[], dict[str, Any]]


class Book:
    """A folder with one JSON file for every finished step.

    Args:
        out: the folder.
        settings: JSON-ready; what the steps' results depend on.

    Raises:
        InputError: the folder holds results of other settings.
    """

    def __init__(self, out: Path, settings: dict[str, Any]) -> None:
        self.folder = out / "steps"
        self.seconds = 0.0
        text = json.dumps(settings, indent=1, sort_keys=True)
        record = out / "settings.json"
        if record.exists() and record.read_text() != text:
            raise InputError(
                f"{out} holds results of other data or settings. Choose another folder with "
                "--out, or delete it.",
                path=out,
            )
        write_atomically(record, text)

    def once(self, step: Step, say: Callable[[str], None]) -> dict[str, Any]:
        """The step's findings, from its file if it is done."""
        path = self.folder / f"{slug(step.name)}.json"
        if path.exists():
            found = json.loads(path.read_text())
            say(f"{step.name}: done before")
        else:
            say(f"{step.name} ...")
            start = time.perf_counter()
            found = step.run()
            found["seconds"] = time.perf_counter() - start
            write_atomically(path, json.dumps(found) + "\n")
            say(f"{step.name}: {found['seconds']:.0f} s")
        self.seconds += float(found["seconds"])
        return cast(dict[str, Any], found)


def slug(name: str) -> str:
    """A file name that says what it is about and is different for every name."""
    plain = "".join(c if c.isalnum() else "-" for c in name.lower())
    words = "-".join(filter(None, plain.split("-")))
    return f"{words[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
