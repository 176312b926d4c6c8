"""The paper's tables beside ours, on one page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facetell.evaluate.emotic_judgement import EmoticJudgement, Score
from facetell.evaluate.evaluation import Measure
from facetell.evaluate.measured import Kind, Measured, Reproduction
from facetell.evaluate.paper import DATASETS, DEEP_EMOTION, VERDICTS, printed
from facetell.files import refuse_overwriting, write_atomically
from facetell.labels import PAPER_ORDER
from facetell.report import figures, text
from facetell.report.markup import Markup, join, tag
from facetell.report.page import confusion_table, page, section, table

__all__ = ["reproduction_page", "write_reproduction"]

#: How tables and text call the paper's datasets.
_NAMES = {"emotic": "EMOTIC", "fer2013": "FER2013", "ferg": "FERG"}


def write_reproduction(found: Reproduction, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write the page and return its path. It holds numbers only, no face.

    Raises:
        InputError: the file is there and `overwrite` is not set.
    """
    path = Path(path)
    refuse_overwriting(path, overwrite)
    write_atomically(path, reproduction_page(found))
    return path


def reproduction_page(found: Reproduction) -> str:
    """The whole page as text."""
    title = "The CNN, LSTM and SVM hybrid, reproduced"
    return page(
        title,
        _header(found, title),
        _glance(found),
        *(_printed_and_ours(found, dataset) for dataset in DATASETS),
        _emotic(found),
        _overall(found),
        _compared(found),
        _leaks(found),
        _systems(found, "Baselines: features, then a classifier", ("hybrid", "baseline")),
        _systems(found, "Ablations: what each block is worth", ("ablation",)),
        _systems(found, "The SVM, fitted in other ways", ("hybrid", "refit")),
        _systems(found, "The printed settings, as printed", ("printed",)),
        _meaning(),
        _methods(found),
    )


def _header(found: Reproduction, title: str) -> Markup:
    lacking = [_NAMES[name] for name, facts in found.sources.items() if facts["stand_in"]]
    notices = []
    if found.quick:
        notices.append(
            "A quick run: few epochs on a part of the faces. It shows that every step works; "
            "its numbers say nothing about how good the systems are."
        )
    if lacking:
        notices.append(
            f"No data were given for {' and '.join(lacking)}. Drawn faces (toon) stand in, and "
            "their numbers compare with nothing printed."
        )
    return tag(
        "header",
        tag("p", "facetell reproduction report", class_="kicker"),
        tag("h1", title),
        tag("p", "Printed figures beside measured ones, and which to believe.", class_="lead"),
        *(tag("p", words, class_="notice", role="note") for words in notices),
    )


def _glance(found: Reproduction) -> Markup:
    """Printed overall accuracy and ours, per dataset."""
    rows: list[list[object]] = []
    for dataset in DATASETS:
        ours = _hybrid(found, dataset)
        rows.append(
            [
                _named(found, dataset),
                f"{printed(dataset).overall:.2f}",
                _percent(ours.balanced_accuracy) if ours else "–",
                _range(ours.balanced_accuracy) if ours else "–",
                ours.protocol if ours else "–",
            ]
        )
    reasons = [
        tag(
            "li",
            tag("b", f"{_NAMES[dataset]}: {VERDICTS[dataset][0]}."),
            f" {VERDICTS[dataset][1]}",
        )
        for dataset in DATASETS
    ]
    return section(
        "At a glance",
        table(
            "Overall accuracy as the paper defines it: the mean recall over the seven emotions "
            "(balanced accuracy), in percent.",
            ["Dataset", "Printed", "Ours", "95 % interval", "Our protocol"],
            rows,
        ),
        tag("h2", "Which printed figures are plausible, and why"),
        tag("ul", *reasons, class_="notes"),
    )


def _printed_and_ours(found: Reproduction, dataset: str) -> Markup:
    theirs = printed(dataset)
    ours = _hybrid(found, dataset)
    left = section(
        f"Table {theirs.table}, printed: {_NAMES[dataset]}",
        _matrix(theirs.confusion, f"Overall {theirs.overall:.2f}. Percent of the row."),
        tag("p", theirs.note, class_="soft") if theirs.note else None,
    )
    if ours is None:
        return left
    counts = _in_paper_order(ours)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = section(
        f"Table {theirs.table}, ours: {_named(found, dataset)}",
        _matrix(shares, f"{_sentence(ours)} Percent of the row."),
    )
    return tag("div", left, right, class_="pair")


def _matrix(shares: NDArray[np.float64], caption: str) -> Markup:
    def show(row: int, column: int) -> list[Markup]:
        return [tag("b", f"{shares[row, column]:.1f}")]

    return confusion_table(caption, PAPER_ORDER, shares.tolist(), show)


def _emotic(found: Reproduction) -> Markup | None:
    """EMOTIC by its own measures, beside what knowing nothing scores."""
    if found.emotic is None:
        return None
    judged = EmoticJudgement.from_dict(found.emotic)
    rows = [_score("mean average precision, 26 categories, %", judged.mean_precision)]
    if judged.with_face is not None:
        rows.append(_score("the same, people with a visible face, %", judged.with_face))
    rows += [
        _score(f"mean absolute error of {name} (1 to 10)", score, scale=1)
        for name, score in judged.errors.items()
    ]
    for way in judged.seven:
        name = f"{way.mapping}, version {way.version}"
        covers = f"covers {100 * way.coverage:.0f} % of the people"
        rows.append(_score(f"mean average precision, 7 emotions, {name}, %", way.mean_precision))
        rows.append(_score(f"macro F1, {name}, %; {covers}", way.macro_f1))
    return section(
        "EMOTIC by its own measures",
        table(
            f"Linear models on the hybrid's features; {judged.people:,} people of the "
            f"{judged.side} side, {judged.faces:,} of them with a visible face.",
            ["Measure", "Ours", "95 % interval", "Constant answer", "People"],
            rows,
        ),
        tag("ul", *(tag("li", note) for note in judged.notes), class_="notes"),
        class_="long",
    )


def _score(name: str, score: Score, scale: float = 100) -> list[object]:
    value, low, high, constant = (f"{scale * x:.2f}" for x in score[:4])
    return [name, value, f"{low}–{high}", constant, f"{score.people:,}"]


def _overall(found: Reproduction) -> Markup:
    rows: list[list[object]] = []
    for dataset in DATASETS:
        for measured in _of(found, dataset, ("fold", "hybrid")):
            rows.append([_label(measured), *_numbers(measured)])
    return section(
        "Table 4: the hybrid on every dataset",
        table(
            "All our numbers of the hybrid, in percent with 95 % bootstrap intervals. "
            + "Printed: "
            + ", ".join(f"{_NAMES[d]} {printed(d).overall:.2f}" for d in DATASETS)
            + ".",
            _NUMBER_HEAD,
            rows,
        ),
        class_="long",
    )


def _compared(found: Reproduction) -> Markup | None:
    ours = _of(found, "fer2013", ("hybrid", "compact", "deep-emotion"))
    if not ours:
        return None
    hybrid, other = f"{printed('fer2013').overall:.2f}", f"{DEEP_EMOTION:.2f}"
    rows: list[list[object]] = [
        ["hybrid, printed", "the paper's own split", hybrid, "–", "–", "–", "–"],
        ["Deep-Emotion, printed", "official, PrivateTest", "–", "–", other, "–", "–"],
    ]
    rows += [[_label(measured), *_numbers(measured)] for measured in ours]
    return section(
        "Table 5: the hybrid and the attentional network Deep-Emotion",
        tag("p", *_against(ours)) if any(m.against for m in ours) else None,
        table("Trained by the same loop under the same protocol.", _NUMBER_HEAD, rows),
        class_="long",
    )


def _leaks(found: Reproduction) -> Markup | None:
    groups = [group for d in DATASETS for group in _leak_groups(found, d)]
    rows = [m for _, group in groups for m in group]
    if not rows:
        return None
    bars = [(heading, [_bar(m) for m in group]) for heading, group in groups]
    copies = [
        tag("li", f"{name}: {count:,} images of {pair.replace(' in ', ' have a near-copy in ')}")
        for name, facts in found.copies.items()
        for pair, count in facts["with_a_copy"].items()
        if count
    ]
    return section(
        "What a leak is worth",
        tag(
            "p",
            "A lookup table learns nothing: it answers with the label of the most similar "
            "training face. Where it scores high, the judged faces are in the training set. "
            "“leaky-80-10-10” repeats faces to balance the classes and mirrors them before the "
            "split, as no one should; the other protocols do so after it, on the training side.",
        ),
        tag(
            "figure",
            figures.leak_bars(bars, printed("fer2013").overall / 100, "printed: 94.08"),
            tag(
                "figcaption",
                "Balanced accuracy (what the paper calls overall) with its 95 % interval. Red: "
                "faces were copied and mirrored before the split. Blue: they were not.",
            ),
        ),
        tag("ul", *copies, class_="notes") if copies else None,
        table("The same in numbers.", _NUMBER_HEAD, [[_label(m), *_numbers(m)] for m in rows]),
        class_="long",
    )


_LEAKY = "leaky-80-10-10"
#: protocol -> what it means for copies, short enough for a bar.
_NO_COPIES = {
    "clean": "judged on faces without a copy in training (clean)",
    "official": "the official split, with its own near-copies",
    "random-80-10-10": "split at random, copies on one side",
    _LEAKY: "copied and mirrored, then split",
    "leave-one-subject-out": "judged on characters not seen in training",
}


def _leak_groups(found: Reproduction, dataset: str) -> list[tuple[str, list[Measured]]]:
    """Lookup table and hybrid: a heading, and the rows from the leak down to no copies."""
    leaks = _of(found, dataset, ("leak",))
    honest = [m for m in _of(found, dataset, ("hybrid",)) if m.protocol in _NO_COPIES]
    groups = []
    for system in dict.fromkeys(m.system for m in leaks):
        rows = [m for m in (*leaks, *honest) if m.system == system]
        rows.sort(key=lambda m: (m.protocol != _LEAKY, -m.balanced_accuracy.value))
        name = "The hybrid" if system == "hybrid" else "A lookup table, which learns nothing"
        groups.append((f"{name}: {_named(found, dataset)}", rows))
    return groups


def _bar(measured: Measured) -> tuple[str, Measure, bool]:
    name = _NO_COPIES.get(measured.protocol, measured.protocol)
    return name, measured.balanced_accuracy, measured.protocol == _LEAKY


def _systems(found: Reproduction, title: str, kinds: tuple[Kind, ...]) -> Markup | None:
    wanted = [m for d in DATASETS for m in _of(found, d, kinds)]
    datasets = {m.dataset for m in wanted if m.kind != "hybrid" or len(kinds) == 1}
    wanted = [m for m in wanted if m.dataset in datasets]
    if not wanted:
        return None
    rows = [[_label(m), *_numbers(m)] for m in wanted]
    return section(
        title,
        table("Percent, with 95 % bootstrap intervals.", _NUMBER_HEAD, rows),
        tag("ul", *(tag("li", words) for words in _against(wanted)), class_="notes"),
        class_="long",
    )


_NUMBER_HEAD = [
    "System",
    "Protocol",
    "Balanced accuracy",
    "95 % interval",
    "Accuracy",
    "95 % interval",
    "Faces",
]


def _numbers(measured: Measured) -> list[object]:
    return [
        measured.protocol,
        _percent(measured.balanced_accuracy),
        _range(measured.balanced_accuracy),
        _percent(measured.accuracy),
        _range(measured.accuracy),
        f"{measured.faces:,}",
    ]


def _against(measured: Iterable[Measured]) -> list[str]:
    """Paired comparisons, a sentence each."""
    return [
        f"{m.system} ({m.protocol}): {100 * m.against['difference']['value']:+.2f} points of "
        f"accuracy against “{m.base}” ({100 * m.against['difference']['low']:+.2f} to "
        f"{100 * m.against['difference']['high']:+.2f}), McNemar p = {m.against['p_value']:.2g}. "
        for m in measured
        if m.against
    ]


def _meaning() -> Markup:
    return section(
        "What these numbers mean, and what they do not",
        *(tag("p", words) for words in (*text.MEANING, text.LAW)),
    )


def _methods(found: Reproduction) -> Markup:
    words = (
        "The hybrid is a spatial transformer with a localisation network of three convolutions "
        "and three fully connected layers, six 3 x 3 convolutions in two groups of three, fully "
        "connected layers with dropout, an LSTM over the rows of the feature map, and a linear "
        "one-vs-rest SVM trained end to end with the squared hinge (Tang 2013) and fitted once "
        "more by ADMM. The printed initialisations do not train; the recipe paper-trainable names "
        "every change. Ablations, and the hybrid that they are compared with, have half the "
        "channels, fewer epochs and the end-to-end SVM; the leaky hybrid is the hybrid itself, "
        "trained for as many steps. Faces were "
        "split before anything was resampled; near-copies were found by aligned correlation, and "
        "“clean” leaves out judged faces with a near-copy in training. Epochs and the calibration "
        "were chosen on validation faces. Balanced accuracy is the mean recall over the seven "
        "emotions, which is what the paper calls overall accuracy. Intervals are 95 % percentile "
        "bootstrap intervals over groups of near-copies or people where those are known; they "
        f"express the choice of faces, not the training's randomness. Seed {found.seed}; "
        f"{found.seconds / 60:,.0f} minutes of computing. Where a dataset has no labelled test "
        "side, the validation side is judged, which flatters systems selected on it."
    )
    rows: list[list[object]] = [
        [
            _NAMES[name],
            f"{facts['faces']:,} faces, {facts['name']}. {facts['licence']} "
            f"Labels sha256 {str(facts['fingerprint'].get('labels_sha256', ''))[:16]}.",
        ]
        for name, facts in found.sources.items()
    ]
    notes = sorted({note for m in found.measured for note in m.notes})
    return section(
        "Methods",
        tag("p", words),
        table("What was read.", [], rows, class_="facts"),
        tag("ul", *(tag("li", note) for note in notes), class_="notes"),
        class_="long",
    )


def _of(found: Reproduction, dataset: str, kinds: tuple[Kind, ...]) -> list[Measured]:
    name = found.sources[dataset]["name"]
    return [m for m in found.measured if m.dataset == name and m.kind in kinds]


def _hybrid(found: Reproduction, dataset: str) -> Measured | None:
    """The hybrid's most trustworthy numbers: over all folds, else clean, else official."""
    rows = _of(found, dataset, ("hybrid",))
    return rows[-1] if rows else None


def _in_paper_order(measured: Measured) -> NDArray[np.float64]:
    order = [measured.labels.index(name) for name in PAPER_ORDER]
    return np.array(measured.confusion, np.float64)[np.ix_(order, order)]


def _named(found: Reproduction, dataset: str) -> str:
    return (
        str(found.sources[dataset]["name"])
        if found.sources[dataset]["stand_in"]
        else _NAMES[dataset]
    )


def _label(measured: Measured) -> object:
    return join(measured.system, tag("br"), tag("small", measured.dataset))


def _sentence(measured: Measured) -> str:
    return (
        f"Overall {_percent(measured.balanced_accuracy)} ({_range(measured.balanced_accuracy)}), "
        f"accuracy {_percent(measured.accuracy)} ({_range(measured.accuracy)}); protocol "
        f"{measured.protocol}, {measured.faces:,} faces of the {measured.side} side, seed "
        f"{measured.seed}."
    )


def _percent(measure: Measure) -> str:
    return f"{100 * measure.value:.2f}"


def _range(measure: Measure) -> str:
    return f"{100 * measure.low:.1f}–{100 * measure.high:.1f}"
