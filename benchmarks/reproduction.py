"""Write the numbers of a reproduction as a dated record.

facetell reproduce --data fer2013=fer2013.csv --report report.html --json numbers.json
python benchmarks/reproduction.py numbers.json --out benchmarks/records/DATE-reproduction.md
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import numpy as np

from facetell.evaluate.evaluation import Measure
from facetell.evaluate.measured import Measured, Reproduction
from facetell.evaluate.paper import DATASETS, DEEP_EMOTION, printed
from facetell.labels import PAPER_ORDER

TITLES = {
    "hybrid": "The hybrid",
    "fold": "The hybrid, one character out",
    "deep-emotion": "Deep-Emotion",
    "compact": "The bundled model `compact`",
    "refit": "The SVM, fitted in other ways",
    "ablation": "Ablations",
    "printed": "The printed settings, as printed",
    "baseline": "Baselines",
    "leak": "What a leak is worth",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a reproduction's numbers as a record.")
    parser.add_argument("numbers", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    found = Reproduction.from_json(arguments.numbers.read_text())
    arguments.out.write_text("\n".join(record(found)) + "\n")
    print(arguments.out)


def record(found: Reproduction) -> list[str]:
    lines = [*heading(found), *paper(found)]
    for kind, title in TITLES.items():
        rows = [m for m in found.measured if m.kind == kind]
        lines += section(title, rows) if rows else []
    for dataset in DATASETS:
        hybrids = [m for m in found.measured if m.kind == "hybrid" and named(found, dataset, m)]
        lines += confusion(hybrids[-1]) if hybrids else []
    return lines


def heading(found: Reproduction) -> list[str]:
    packages = ", ".join(f"{p} {metadata.version(p)}" for p in ("torch", "onnxruntime", "numpy"))
    return [
        "# Record: the paper's experiments",
        "",
        f"Machine: {platform.machine()}, Python {platform.python_version()}, {packages}.",
        f"Seed {found.seed}; {found.seconds / 60:,.0f} minutes of computing in all.",
        "95 % intervals: bootstrap over groups of near-copies or characters.",
        "Where a dataset has no labelled test side, the validation side is judged, on which "
        "systems were also selected.",
        "",
        "| dataset | faces | labels sha256 |",
        "|---|---|---|",
        *(
            f"| {facts['name']} | {facts['faces']:,} | "
            f"{str(facts['fingerprint'].get('labels_sha256', ''))[:16]} |"
            for facts in found.sources.values()
        ),
        "",
    ]


def paper(found: Reproduction) -> list[str]:
    """Printed beside ours, one line per dataset."""
    lines = [
        "## Printed and ours",
        "",
        f"Overall accuracy (mean recall over the emotions), %; Deep-Emotion: {DEEP_EMOTION:.2f} "
        "printed.",
        "",
        "| paper's dataset | printed | ours | 95 % interval | our data | protocol |",
        "|---|---|---|---|---|---|",
    ]
    for dataset in DATASETS:
        for m in (m for m in found.measured if m.kind == "hybrid" and named(found, dataset, m)):
            lines.append(
                f"| {dataset} | {printed(dataset).overall:.2f} | {percent(m.balanced_accuracy)} | "
                f"{m.dataset} | {m.protocol} |"
            )
    return [*lines, ""]


def section(title: str, rows: Iterable[Measured]) -> list[str]:
    lines = [
        f"## {title}",
        "",
        "| system | dataset | protocol | accuracy | 95 % interval | balanced | 95 % interval "
        "| faces | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    remarks = []
    for m in rows:
        lines.append(
            f"| {m.system} | {m.dataset} | {m.protocol} | {percent(m.accuracy)} | "
            f"{percent(m.balanced_accuracy)} | {m.faces:,} | {m.seconds:.0f} |"
        )
        if m.against:
            gap = m.against["difference"]
            remarks.append(
                f"- {m.system} ({m.protocol}): {100 * gap['value']:+.2f} points of accuracy "
                f"({100 * gap['low']:+.2f} to {100 * gap['high']:+.2f}) against {m.base}, "
                f"McNemar p = {m.against['p_value']:.2g}."
            )
    return [*lines, "", *remarks, *([""] if remarks else [])]


def confusion(m: Measured) -> list[str]:
    """Per cent of the row, in the paper's order."""
    order = [m.labels.index(name) for name in PAPER_ORDER]
    counts = np.array(m.confusion, float)[np.ix_(order, order)]
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return [
        f"## Confusion of {m.system}: {m.dataset}, {m.protocol}",
        "",
        f"| label | {' | '.join(PAPER_ORDER)} |",
        f"|---{'|---' * len(PAPER_ORDER)}|",
        *(
            f"| {name} | {' | '.join(f'{share:.1f}' for share in row)} |"
            for name, row in zip(PAPER_ORDER, shares, strict=True)
        ),
        "",
    ]


def named(found: Reproduction, dataset: str, m: Measured) -> bool:
    return m.dataset == found.sources[dataset]["name"]


def percent(measure: Measure) -> str:
    value, low, high = (100 * share for share in (measure.value, measure.low, measure.high))
    return f"{value:.2f} | {low:.2f} to {high:.2f}"


if __name__ == "__main__":
    main()
