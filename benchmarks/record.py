"""Judge finished runs on the same faces and write a dated record.

    python benchmarks/record.py --data FER2013 --out benchmarks/records/DATE.md \\
        RUN [RUN ...] [--seeds RUN RUN ...] [--against BASE RUN [RUN ...]] [--curves RUN [RUN ...]]

Runs are folders written by `facetell train` or `facetell refit`, or model files, bundled ones by
name. `--seeds` adds mean and standard deviation of runs that differ in their seed. `--against`
(repeatable) compares runs with a base run on the same faces by McNemar's test. `--curves` prints
loss and accuracy per epoch of runs that did not train.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import statistics
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from facetell.datasets import open_dataset
from facetell.datasets.sample import Dataset
from facetell.datasets.splits import split
from facetell.evaluate.compare import compare
from facetell.evaluate.evaluation import Evaluation
from facetell.evaluate.judged import Judged, judge, restrict
from facetell.evaluate.metrics import Measure
from facetell.runtime.session import load
from facetell.train.predictor import load_run


def main() -> None:
    parser = argparse.ArgumentParser(description="Judge finished runs and write a dated record.")
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--seeds", nargs="+", default=[], type=Path)
    parser.add_argument("--against", nargs="+", action="append", default=[], type=Path)
    parser.add_argument("--curves", nargs="+", default=[], type=Path)
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.data)
    wanted = [
        *arguments.runs,
        *arguments.seeds,
        *(run for group in arguments.against for run in group),
    ]
    judged = {run: judge_run(run, dataset) for run in dict.fromkeys(wanted)}
    measured = {run: measures(answers) for run, answers in judged.items()}
    lines = [*heading(dataset), *table(judged, measured)]
    if arguments.seeds:
        lines += spread([measured[run] for run in arguments.seeds])
    for base, *others in arguments.against:
        lines += comparisons(judged, base, others)
    for run in arguments.curves:
        lines += curve(run)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines) + "\n")
    print(arguments.out)


def judge_run(run: Path, dataset: Dataset) -> dict[str, Judged]:
    """The run's answers on the validation faces, all and clean, with flip."""
    predictor = load_run(run) if run.is_dir() else load(str(run))
    predictor.contract = replace(predictor.contract, name=run.stem)  # recipes share theirs
    answers = judge(predictor, dataset, split(dataset, "official"), side="validation")
    return {"official": answers, "clean": restrict(answers, split(dataset, "clean"))}


def heading(dataset: Dataset) -> list[str]:
    packages = ", ".join(f"{p} {metadata.version(p)}" for p in ("torch", "onnxruntime", "numpy"))
    return [
        "# Record",
        "",
        f"Machine: {platform.machine()}, Python {platform.python_version()}, {packages}.",
        f"Data: {dataset.name}, {len(dataset):,} faces; judged on the validation side",
        "(PublicTest), on which the runs were also selected and calibrated.",
        "Flip at test time. Each run has one seed, 0 unless said.",
        "95 % intervals: bootstrap, near-copies redrawn together.",
        "",
    ]


def table(judged: dict[Path, dict[str, Judged]], measured: dict[Path, list[Measure]]) -> list[str]:
    lines = [
        "| run | recipe | changed | parameters | M multiply-adds | accuracy, all | balanced, all "
        "| accuracy, clean | balanced, clean |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run, answers in judged.items():
        contract = answers["official"].contract
        cells = [
            f"{100 * m.value:.2f} ({100 * m.low:.1f} to {100 * m.high:.1f})" for m in measured[run]
        ]
        about = [run.stem, contract.recipe, settings(run), f"{contract.parameters:,}",
                 f"{contract.multiply_adds / 1e6:.1f}"]  # fmt: skip
        lines.append("| " + " | ".join(about + cells) + " |")
    return [*lines, ""]


def measures(answers: dict[str, Judged]) -> list[Measure]:
    """Accuracy and balanced accuracy, on all faces and on clean ones."""
    return [
        metrics[name]
        for protocol in ("official", "clean")
        for metrics in [Evaluation.of(answers[protocol]).metrics]
        for name in ("accuracy", "balanced_accuracy")
    ]


def spread(seeds: list[list[Measure]]) -> list[str]:
    """Mean and standard deviation of runs that differ in their seed."""
    columns = zip(*([100 * m.value for m in each] for each in seeds), strict=True)
    found = [f"{statistics.mean(c):.2f} (sd {statistics.stdev(c):.2f})" for c in columns]
    return [
        f"Over {len(seeds)} seeds: accuracy {found[0]}, balanced {found[1]}; on clean faces "
        f"{found[2]}, balanced {found[3]}.",
        "",
    ]


def settings(run: Path) -> str:
    """How the run's recipe differs from the bundled one of that name; nothing for a file."""
    from facetell.recipe import load_recipe

    if not run.is_dir():
        return ""
    ours = json.loads((run / "run.json").read_text())["recipe"]
    theirs = load_recipe(ours["name"]).to_dict()
    return ", ".join(
        f"{section}.{key}={value}"
        for section, options in ours.items()
        if isinstance(options, dict)
        for key, value in options.items()
        if theirs[section][key] != value
    )


def comparisons(judged: dict[Path, dict[str, Judged]], base: Path, others: list[Path]) -> list[str]:
    lines = [f"Against `{base.name}`, all faces:", ""]
    lines += [
        f"- `{run.name}`: {compare(judged[run]['official'], judged[base]['official']).sentence()}"
        for run in others
    ]
    return [*lines, ""]


def curve(run: Path) -> list[str]:
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    lines = [f"`{run.name}` ({settings(run)}):", "", "| epoch | loss | accuracy |", "|---|---|---|"]
    lines += [
        f"| {r['epoch']} | {float(r['loss']):.4f} | {100 * float(r['validation_accuracy']):.2f} |"
        for r in rows
    ]
    return [*lines, ""]


if __name__ == "__main__":
    main()
