"""Accuracy and seconds of the two-step baselines and the leak canary.

    OMP_NUM_THREADS=1 python benchmarks/baselines.py fer2013.csv
    OMP_NUM_THREADS=1 python benchmarks/baselines.py fer2013.csv --only canary,hog-svm

Prints a Markdown table, one line as soon as a method is done: fitted to the official train side,
judged on the official test side (validation side, where there is none) and on the part of it
that has no near-copy in training. Settings are fixed or chosen as `judge_baselines` says. The
seconds are processor time and hold everything from the faces to the answers; a descriptor's cost
falls on the first method that uses it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

from facetell.datasets import open_dataset
from facetell.datasets.splits import Split, split
from facetell.evaluate import metrics
from facetell.evaluate.baselines import BASELINES, judge_baselines
from facetell.evaluate.canary import canary
from facetell.evaluate.judged import Judged


def judged_methods(parts: Split, names: list[str]) -> Iterator[Judged]:
    """The canary first, where it is asked for, then the baselines in the given order."""
    if "canary" in names:
        yield canary(parts.dataset, parts)
    yield from judge_baselines(parts, [name for name in names if name != "canary"])


def scores(judged: Judged, chosen: np.ndarray) -> str:
    """Accuracy and balanced accuracy of the chosen rows, in per cent."""
    confusion = metrics.confusion_matrix(
        judged.labels[chosen], judged.predicted[chosen], len(judged.dataset.labels)
    )
    accuracy, balanced = metrics.accuracy(confusion), metrics.balanced_accuracy(confusion)
    return f"{100 * float(accuracy):.1f} | {100 * float(balanced):.1f}"


def main() -> None:
    """Reads the command line, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--only", default=",".join(["canary", *BASELINES]))
    asked = parser.parse_args()
    dataset = open_dataset(asked.data)
    parts, clean = split(dataset, "official"), split(dataset, "clean")
    print(
        "| method | accuracy | balanced | clean: accuracy | clean: balanced | seconds | setting |"
    )
    print("|---|---|---|---|---|---|---|")
    start = time.process_time()
    for judged in judged_methods(parts, asked.only.split(",")):
        seconds = time.process_time() - start
        every = np.ones(len(judged), np.bool_)
        kept = clean.test if judged.side == "test" else clean.validation
        apart = np.isin(judged.indices, kept)
        facts = judged.contract.results.items()
        print(
            f"| {judged.contract.name} | {scores(judged, every)} | {scores(judged, apart)} "
            f"| {seconds:.0f} | {', '.join(f'{key} {value}' for key, value in facts)} |",
            flush=True,
        )
        start = time.process_time()


if __name__ == "__main__":
    main()
