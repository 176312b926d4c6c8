"""A robustness result as plain text and as CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from facetell.errors import InputError
from facetell.evaluate.corruptions.catalogue import CORRUPTIONS, SEVERITIES
from facetell.evaluate.evaluation import Measure
from facetell.evaluate.robustness import MCE_AIM, Robustness
from facetell.files import refuse_overwriting, write_atomically

__all__ = ["as_csv", "as_text", "summary", "write_robustness"]


def summary(found: Robustness) -> list[tuple[str, str, str]]:
    """What there is to say first: name, value with its interval, aim."""
    lines = []
    standard = sum(corruption.standard for corruption in CORRUPTIONS.values())
    whose = f" ({found.reference.model} = 100)" if found.reference else ""
    for name, measure in (
        (f"mean corruption error, {standard} of ImageNet-C{whose}", found.mce_standard),
        (f"mean corruption error, all {len(CORRUPTIONS)}{whose}", found.mce_all),
    ):
        lines.append((name, _shown(measure, 1, ""), f"at most {MCE_AIM:.0f}"))
    for kept in found.kept:
        aim = f"at least {100 * kept.aim:.0f} %"
        lines.append((f"kept of clean accuracy: {kept.what}", _shown(kept.share, 100, " %"), aim))
    return lines


def _shown(measure: Measure | None, scale: int, unit: str) -> str:
    if measure is None:
        return "no reference"
    value, low, high = (scale * number for number in measure)
    return f"{value:.1f}{unit} ({low:.1f} to {high:.1f})"


def as_text(found: Robustness) -> str:
    """The summary, then one line per corruption with its accuracies in percent."""
    rows = summary(found)
    width = max(len(name) for name, _, _ in rows)
    values = max(len(value) for _, value, _ in rows)
    lines = [
        f"robustness  {found.faces:,} of {found.of:,} faces, seed {found.seed}; accuracy on them "
        f"as they are {100 * found.clean:.2f} %, balanced {100 * found.clean_balanced:.2f} %",
        "",
        *(f"{name:<{width}}  {value:<{values}}  aim: {aim}" for name, value, aim in rows),
        "",
        "accuracy in percent at severity 1 to 5; `kept` = their mean in percent of clean accuracy;",
        "CE = sum of the errors in percent of the reference's",
        f"{'corruption':<16}{''.join(f'{s:>7}' for s in SEVERITIES)}"
        f"{'mean':>8}{'balanced':>10}{'kept':>8}{'CE':>8}",
    ]
    return "\n".join([*lines, *(_line(found, name) for name in CORRUPTIONS)])


def _line(found: Robustness, name: str) -> str:
    cells = found.of_corruption(name)
    mean = sum(cell.accuracy for cell in cells) / len(cells)
    balanced = sum(cell.balanced_accuracy for cell in cells) / len(cells)
    error = found.corruption_errors.get(name)
    return (
        f"{CORRUPTIONS[name].title:<16}{''.join(f'{100 * cell.accuracy:7.1f}' for cell in cells)}"
        f"{100 * mean:8.1f}{100 * balanced:10.1f}{100 * found.share(mean):8.1f}"
        f"{'-' if error is None else f'{error:.1f}':>8}"
    )


def as_csv(found: Robustness) -> str:
    """One row per corruption and severity, and one for the faces as they are."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["corruption", "family", "standard", "severity", "level", "accuracy",
         "balanced_accuracy", "share_of_clean", "reference_error"]
    )  # fmt: skip
    clean = [f"{found.clean:.6f}", f"{found.clean_balanced:.6f}", f"{1:.6f}", ""]
    writer.writerow(["none", "", "", 0, "", *clean])
    errors = found.reference.errors if found.reference else {}
    for name, severity, accuracy, balanced in found.cells:
        kind = CORRUPTIONS[name]
        numbers = [f"{value:.6f}" for value in (accuracy, balanced, found.share(accuracy))]
        theirs = f"{errors[name][severity - 1]:.6f}" if errors else ""
        level = json.dumps(kind.levels[severity - 1])
        row = [name, kind.family, int(kind.standard), severity, level, *numbers, theirs]
        writer.writerow(row)
    return text.getvalue()


def write_robustness(found: Robustness, path: str | Path, *, overwrite: bool = False) -> Path:
    """Everything as JSON, which also serves as a reference, or the cells as CSV.

    Raises:
        InputError: another ending, or the file is there and `overwrite` is not set.
    """
    path = Path(path)
    if path.suffix.lower() not in (".json", ".csv"):
        raise InputError(
            f"expected a file that ends in .json or .csv, got {path.name}. Name it so.", path=path
        )
    refuse_overwriting(path, overwrite)
    as_json = path.suffix.lower() == ".json"
    write_atomically(
        path, json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n" if as_json
        else as_csv(found),
    )  # fmt: skip
    return path
