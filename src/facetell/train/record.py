"""run.json, which says how a run was started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from facetell.errors import TrainingError

__all__ = ["RECORD", "read_record"]

#: File in a run's folder.
RECORD = "run.json"
_NEEDED = {"recipe": dict, "data": dict, "data_source": str}


def read_record(run: Path) -> dict[str, Any]:
    """What a run wrote down when it was started.

    Raises:
        TrainingError: the folder has no record, or one that was damaged.
    """
    path = run / RECORD
    if not path.is_file():
        raise TrainingError(
            f"expected a training run (with {RECORD}) at {run}, found none. "
            "Name the folder of a run, or begin one with `facetell train`."
        )
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(path, f"no JSON ({error})") from error
    missing = [
        key for key, kind in _NEEDED.items()
        if not isinstance(about, dict) or not isinstance(about.get(key), kind)
    ]  # fmt: skip
    if missing:
        raise _damaged(path, f"JSON without {', '.join(missing)}")
    return dict(about)


def _damaged(path: Path, found: str) -> TrainingError:
    return TrainingError(
        f"expected the record of a training run at {path}, got {found}. Restore the file from a "
        "copy, or train again into another folder."
    )
