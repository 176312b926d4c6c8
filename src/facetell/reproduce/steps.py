"""The experiments on one dataset, in the order in which they are run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from facetell.datasets.splits import Protocol, Split, copies_across_sides, split, subjects
from facetell.evaluate.baselines import BASELINES, judge_baselines
from facetell.evaluate.canary import canary
from facetell.evaluate.compare import compare
from facetell.evaluate.judged import Judged, judge, pool, restrict
from facetell.evaluate.measured import Kind, Measured
from facetell.predictor import Predictor
from facetell.recipe import load_recipe
from facetell.reproduce.book import Step, slug
from facetell.reproduce.effort import Effort
from facetell.reproduce.source import Source
from facetell.runtime.session import load
from facetell.train.finish import refit_run
from facetell.train.loop import Progress, resumed_recipe, train, training_seconds
from facetell.train.predictor import load_run
from facetell.train.record import RECORD

__all__ = ["ABLATIONS", "PRINTED", "REFITS", "SMALLER", "experiments"]

HYBRID = "hybrid"
RECIPE = "paper-trainable"
#: The hybrid that ablations are compared with: as small as they, and trained as long.
CONTROL = "hybrid, half as wide"
TABLE = "lookup table"

#: name in the report -> what is switched off in `paper-trainable`.
ABLATIONS = {
    "no spatial transformer": ("model.stn=false",),
    "no LSTM (mean pooling)": ("model.sequence=mean",),
    "LSTM over single cells": ("model.sequence=regions",),
    "softmax instead of SVM": ("model.head=softmax",),
}
#: name in the report -> post-hoc fit of the hybrid's SVM.
REFITS: dict[str, dict[str, Any]] = {
    "SVM fitted by scikit-learn": {"fit": "sklearn"},
    "SVM fitted by ADMM": {"fit": "admm", "balanced": False},
    "SVM fitted by ADMM, emotions weighing the same": {"fit": "admm", "balanced": True},
}
#: name in the report -> recipe with exactly what the paper prints.
PRINTED = {
    "printed setting A": "paper-a",
    "printed setting B, ADMM read as Adam": "paper-b",
    "printed setting B, ADMM read as rho": "paper-b-admm",
}
#: The augmentation is in the leaky data already.
_UNCHANGED = tuple(
    f"augment.{name}={value}"
    for name, value in {
        "flip": "false", "rotate_deg": 0, "scale": 0, "shift": 0, "contrast": 0, "brightness": 0
    }.items()
)  # fmt: skip
#: Half the channels: every block there, a third of the time. The SVM is trained end to end,
#: so that nothing but the block in question differs.
SMALLER = ("model.widths=[16, 32]", "svm.fit=end-to-end")


def experiments(
    source: Source,
    out: Path,
    effort: Effort,
    seed: int,
    accelerator: str,
    progress: Progress,
) -> Iterator[Step]:
    """All steps for one dataset; later ones may read the runs of earlier ones."""
    lab = _Lab(source, out, effort, seed, accelerator, progress)
    if source.paper == "ferg":
        yield from _one_subject_out(lab)
        return
    yield _trained(lab, HYBRID, "hybrid", RECIPE, effort.systems)
    if source.paper == "emotic" and not source.stand_in:
        yield lab.step("26 categories", lambda: _emotic(lab))
    if source.paper != "fer2013":
        return
    yield lab.step("near-copies", lambda: {"copies": _copies(lab)})
    yield _trained(lab, "Deep-Emotion", "deep-emotion", "deep-emotion", effort.systems)
    if not source.stand_in:
        yield lab.step("compact", lambda: lab.judged(load("compact"), "compact", "compact", 0.0))
    for name, changes in REFITS.items():
        yield _refitted(lab, name, changes)
    yield _trained(lab, CONTROL, "ablation", RECIPE, effort.ablations, SMALLER)
    for name, switched in ABLATIONS.items():
        yield _trained(
            lab, name, "ablation", RECIPE, effort.ablations, (*SMALLER, *switched), CONTROL
        )
    for name, recipe in PRINTED.items():
        yield _printed(lab, name, recipe)
    for descriptor in dict.fromkeys(method.descriptor for method in BASELINES.values()):
        yield _baselines(lab, descriptor)
    yield from _leaks(lab)


@dataclass(frozen=True)
class _Lab:
    """One dataset, where its runs are, and how they are trained and judged."""

    source: Source
    out: Path
    effort: Effort
    seed: int
    accelerator: str
    progress: Progress
    bases: dict[str, Judged] = field(default_factory=dict)

    def step(self, name: str, run: Callable[[], dict[str, Any]]) -> Step:
        return Step(f"{self.source.name}: {name}", run)

    def run(self, system: str) -> Path:
        """Folder of a system's run."""
        return self.out / "runs" / slug(f"{self.source.name} {system}")

    def split(self, protocol: Protocol, fold: int = 0) -> Split:
        return split(
            self.source.dataset, protocol, seed=self.seed, fold=fold,
            progress=self.progress.search,
        )  # fmt: skip

    def protocols(self) -> tuple[Protocol, ...]:
        """Under which a system is judged: beside the official faces those without a copy."""
        own = self.source.protocol
        return ("official", "clean") if own == "official" else (own,)

    def train(self, system: str, recipe: str, epochs: int, changes: Sequence[str]) -> float:
        """Train a run, or go on with it; seconds of its epochs, of whatever call they were."""
        folder = self.run(system)
        if (folder / "model.safetensors").exists():
            return training_seconds(folder)
        resume = (folder / RECORD).exists()
        if resume:
            chosen, _, _ = resumed_recipe(folder)
        else:
            seeds = (f"train.seed={self.seed}", f"data.seed={self.seed}")
            settings = (*seeds, f"train.epochs={epochs}", *changes)
            chosen = load_recipe(recipe, overrides=settings)
        train(
            chosen, self.source.dataset, folder, resume=resume, accelerator=self.accelerator,
            progress=self.progress,
        )  # fmt: skip
        return training_seconds(folder)

    def judged(
        self, predictor: Predictor, system: str, kind: Kind, seconds: float, base: str | None = None
    ) -> dict[str, Any]:
        """The system on the protocol's faces, and on those without near-copies in training."""
        parts = self.split(self.source.protocol)
        answers = judge(predictor, parts.dataset, parts)
        return {"measured": self.rows(answers, system, kind, seconds, base)}

    def rows(
        self, answers: Judged, system: str, kind: Kind, seconds: float, base: str | None = None
    ) -> list[dict[str, Any]]:
        """One row for each protocol that these answers belong to."""
        other = None if base is None else self.answers_of(base, answers.split)
        rows = []
        for protocol in self.protocols():
            left = answers.split if protocol == answers.split.protocol else self.split(protocol)
            against = None if other is None else restrict(other, left)
            rows.append(
                self.measured(restrict(answers, left), system, kind, seconds, base, against)
            )
        return rows

    def answers_of(self, base: str, parts: Split) -> Judged:
        """What a finished run answers; asked once, as many systems are compared with it."""
        if base not in self.bases:
            self.bases[base] = judge(load_run(self.run(base)), parts.dataset, parts)
        return self.bases[base]

    def measured(
        self,
        answers: Judged,
        system: str,
        kind: Kind,
        seconds: float,
        base: str | None = None,
        other: Judged | None = None,
        protocol: str | None = None,
    ) -> dict[str, Any]:
        against = None if other is None else compare(answers, other, seed=self.seed).to_dict()
        row = Measured.of(
            answers, dataset=self.source.name, system=system, kind=kind, seed=self.seed,
            protocol=protocol or answers.split.protocol, seconds=seconds, against=against,
            base=base if against else None,
        )  # fmt: skip
        return asdict(row)


def _copies(lab: _Lab) -> dict[str, Any]:
    return copies_across_sides(lab.source.dataset, lab.progress.search)


def _emotic(lab: _Lab) -> dict[str, Any]:
    """EMOTIC's own measures, read from the hybrid's features by linear models."""
    from facetell.datasets.emotic import read_people
    from facetell.evaluate.emotic import judge_emotic

    path = lab.source.path.removeprefix("emotic:").removeprefix("strict:").removeprefix("broad:")
    predictor = load_run(lab.run(HYBRID))
    judgement = judge_emotic(
        predictor.features, read_people(path), face_px=predictor.contract.face_px, seed=lab.seed,
        progress=lab.progress.search,
    )  # fmt: skip
    return {"emotic": judgement.to_dict()}


def _trained(
    lab: _Lab,
    system: str,
    kind: Kind,
    recipe: str,
    share: float,
    changes: Sequence[str] = (),
    base: str = HYBRID,
) -> Step:
    def run() -> dict[str, Any]:
        protocol = f"data.protocol={lab.source.protocol}"
        epochs = lab.effort.epochs(recipe, share)
        seconds = lab.train(system, recipe, epochs, (protocol, *changes))
        against = None if system in (HYBRID, CONTROL) else base
        return lab.judged(load_run(lab.run(system)), system, kind, seconds, against)

    return lab.step(system, run)


def _printed(lab: _Lab, system: str, recipe: str) -> Step:
    """The paper's setting as printed: long enough to see that it does not train."""

    def run() -> dict[str, Any]:
        protocol = f"data.protocol={lab.source.protocol}"
        seconds = lab.train(system, recipe, lab.effort.printed, (protocol,))
        return lab.judged(load_run(lab.run(system)), system, "printed", seconds)

    return lab.step(system, run)


def _refitted(lab: _Lab, system: str, changes: dict[str, Any]) -> Step:
    def run() -> dict[str, Any]:
        start = time.perf_counter()
        folder = lab.run(system)
        if not (folder / "model.safetensors").exists():
            (folder / RECORD).unlink(missing_ok=True)  # of a call that was cut off
            refit_run(
                lab.run(HYBRID), folder, changes, dataset=lab.source.dataset, say=lab.progress.say
            )
        seconds = time.perf_counter() - start
        return lab.judged(load_run(folder), system, "refit", seconds, HYBRID)

    return lab.step(system, run)


def _baselines(lab: _Lab, descriptor: str) -> Step:
    """All classifiers on one descriptor, which is computed once."""
    names = [name for name, method in BASELINES.items() if method.descriptor == descriptor]

    def run() -> dict[str, Any]:
        rows: list[dict[str, Any]] = []
        start = time.perf_counter()
        parts = lab.split(lab.source.protocol)
        for name, answers in zip(
            names, judge_baselines(parts, names, seed=lab.seed, progress=lab.progress.search),
            strict=True,
        ):  # fmt: skip
            rows += lab.rows(answers, name, "baseline", time.perf_counter() - start, HYBRID)
            start = time.perf_counter()
        return {"measured": rows}

    return lab.step(f"baselines on {descriptor}", run)


def _leaks(lab: _Lab) -> Iterator[Step]:
    """A lookup table and the hybrid, where copies cross the sides and where they do not."""
    for protocol in dict.fromkeys((*lab.protocols(), "random-80-10-10", "leaky-80-10-10")):
        yield lab.step(f"{TABLE}, {protocol}", _looked_up(lab, protocol))
    yield lab.step("hybrid, leaky-80-10-10", lambda: _leaky_hybrid(lab))


def _looked_up(lab: _Lab, protocol: Any) -> Callable[[], dict[str, Any]]:
    def run() -> dict[str, Any]:
        start = time.perf_counter()
        parts = lab.split(protocol)
        answers = canary(parts.dataset, parts)
        seconds = time.perf_counter() - start
        return {"measured": [lab.measured(answers, TABLE, "leak", seconds)]}

    return run


def _leaky_hybrid(lab: _Lab) -> dict[str, Any]:
    """As many steps as the hybrid; the faces were mirrored before the split, not after."""
    parts = lab.split("leaky-80-10-10")
    honest = lab.split(lab.source.protocol)
    epochs = lab.effort.epochs(
        RECIPE, lab.effort.systems, faces=len(parts.train) / len(honest.train)
    )
    system = "hybrid, leaky"
    changes = ("data.protocol=leaky-80-10-10", *_UNCHANGED)
    seconds = lab.train(system, RECIPE, epochs, changes)
    answers = judge(load_run(lab.run(system)), parts.dataset, parts)
    return {"measured": [lab.measured(answers, HYBRID, "leak", seconds)]}


def _one_subject_out(lab: _Lab) -> Iterator[Step]:
    """Each character judges a hybrid that has seen neither it nor the one that it is chosen by."""
    names = subjects(lab.source.dataset)[: lab.effort.folds]

    for fold, name in enumerate(names):
        yield lab.step(f"{HYBRID}, {name} out", _fold(lab, fold, name))
    yield lab.step(f"{HYBRID}, all subjects", lambda: _folds(lab, len(names)))
    yield lab.step(f"{TABLE}, subjects apart", lambda: _table_of_folds(lab, len(names)))
    yield lab.step(f"{TABLE}, leaky-80-10-10", _looked_up(lab, "leaky-80-10-10"))


def _fold(lab: _Lab, fold: int, name: str) -> Callable[[], dict[str, Any]]:
    def run() -> dict[str, Any]:
        changes = ("data.protocol=leave-one-subject-out", f"data.fold={fold}")
        epochs = lab.effort.epochs(RECIPE, lab.effort.systems)
        seconds = lab.train(_fold_name(fold), RECIPE, epochs, changes)
        row = lab.measured(
            _judged_fold(lab, fold), HYBRID, "fold", seconds, protocol=f"{name} held out"
        )
        return {"measured": [row]}

    return run


def _folds(lab: _Lab, count: int) -> dict[str, Any]:
    answers = pool([_judged_fold(lab, fold) for fold in range(count)])
    return {"measured": [lab.measured(answers, HYBRID, "hybrid", 0.0)]}


def _table_of_folds(lab: _Lab, count: int) -> dict[str, Any]:
    start = time.perf_counter()
    protocol: Protocol = "leave-one-subject-out"
    answers = pool([canary(s.dataset, s) for s in (lab.split(protocol, f) for f in range(count))])
    seconds = time.perf_counter() - start
    return {"measured": [lab.measured(answers, TABLE, "leak", seconds)]}


def _judged_fold(lab: _Lab, fold: int) -> Judged:
    parts = lab.split("leave-one-subject-out", fold)
    return judge(load_run(lab.run(_fold_name(fold))), parts.dataset, parts)


def _fold_name(fold: int) -> str:
    return f"{HYBRID}, fold {fold}"
