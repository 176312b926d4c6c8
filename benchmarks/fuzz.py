"""Feed the image reader hostile files for some minutes and say what was tried.

    python benchmarks/fuzz.py [--minutes 3] [--seed 1]

The strategies and the rules are those of tests/hostile_images.py: a file is read or refused, within
seconds, without a warning, without more memory than its pixels need. Prints how many files of each
kind were tried and how many of them were read, the slowest, and the peak of memory. A file that
breaks a rule is written to fuzz-failure.bin, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import NonInteractiveExampleWarning

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from hostile_images import HOSTILE, MAX_PIXELS, WHOLE, read_or_refuse

ROUND = 200  # files of a kind before it is the next kind's turn
MOST_MB = 600  # over what the process had before the first file


def peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1000


def one_round(kind: str, number: int, counts: Counter[str], slowest: dict[str, float]) -> None:
    """ROUND new files of one kind."""

    @seed(number)
    @settings(
        max_examples=ROUND,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=HOSTILE[kind])
    def every(data: bytes) -> None:
        start = time.perf_counter()
        try:
            result = read_or_refuse(data)
        except BaseException:
            Path("fuzz-failure.bin").write_bytes(data)
            raise
        counts[result] += 1
        slowest[kind] = max(slowest.get(kind, 0.0), time.perf_counter() - start)

    every()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", NonInteractiveExampleWarning)
    for data in WHOLE.values():
        read_or_refuse(data)
    before, start, rounds = peak_mb(), time.monotonic(), 0
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in HOSTILE}
    slowest: dict[str, float] = {}
    while time.monotonic() - start < arguments.minutes * 60:
        for kind in HOSTILE:
            one_round(kind, arguments.seed + rounds, counts[kind], slowest)
        rounds += 1
    minutes = (time.monotonic() - start) / 60
    print(f"image reader, {len(WHOLE)} whole files as seeds, at most {MAX_PIXELS:,} pixels, "
          f"{minutes:.1f} minutes, {os.cpu_count()} processors\n")  # fmt: skip
    print("| kind | files | read | refused | slowest, ms |")
    print("|---|---|---|---|---|")
    for kind, count in counts.items():
        print(f"| {kind} | {count.total():,} | {count['read']:,} | {count['refused']:,} "
              f"| {slowest[kind] * 1000:.0f} |")  # fmt: skip
    total = sum(count.total() for count in counts.values())
    print(f"\n{total:,} files; memory {before:.0f} MB before, {peak_mb():.0f} MB at its peak")
    if peak_mb() - before > MOST_MB:
        sys.exit(f"the peak is more than {MOST_MB} MB over what was there before")


if __name__ == "__main__":
    main()
