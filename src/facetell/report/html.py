"""An evaluation as one HTML file: no script, no outside request, light and dark, printable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facetell.evaluate.compare import Comparison
from facetell.evaluate.evaluation import METRICS, ClassScore, Evaluation, Measure
from facetell.evaluate.judged import Judged
from facetell.evaluate.robustness import Robustness
from facetell.evaluate.slices import Slices
from facetell.evaluate.sureness import Sureness
from facetell.evaluate.table import NAMES, in_paper_order, show_interval, show_value, subject
from facetell.files import refuse_overwriting, write_atomically
from facetell.report import depended, figures, sliced, straighten, text
from facetell.report.markup import Markup, tag
from facetell.report.page import confusion_table, page, section, table
from facetell.report.robustness import robustness_section

__all__ = ["report_page", "write_report"]

#: How many of the most confident mistakes are shown.
MISTAKES = 24
_CARDS = ("balanced_accuracy", "accuracy", "macro_f1", "calibration_error")


def write_report(
    evaluation: Evaluation,
    path: str | Path,
    *,
    judged: Judged | None = None,
    comparison: Comparison | None = None,
    slices: Slices | None = None,
    robustness: Robustness | None = None,
    maps: tuple[depended.MeanMap, ...] = (),
    overwrite: bool = False,
) -> Path:
    """Write the report and return its path.

    Args:
        evaluation: the numbers.
        judged: the answers behind them; adds faces (the surest mistakes, what the spatial
            transformer looked at). Without it the file shows no face.
        comparison: with a second model on the same faces.
        slices: the same numbers by a column of the user's.
        robustness: the same model on faces made worse; with `judged`, one face shows how.
        maps: mean occlusion maps; over mean faces with `judged`, over grey without.
        overwrite: replace a file that is there.

    Raises:
        InputError: the file is there and `overwrite` is not set.

    Example:
        write_report(evaluation, "report.html", judged=judged)
    """
    path = Path(path)
    refuse_overwriting(path, overwrite)
    written = report_page(
        evaluation,
        judged=judged,
        comparison=comparison,
        slices=slices,
        robustness=robustness,
        maps=maps,
    )
    write_atomically(path, written)
    return path


def report_page(
    evaluation: Evaluation,
    *,
    judged: Judged | None = None,
    comparison: Comparison | None = None,
    slices: Slices | None = None,
    robustness: Robustness | None = None,
    maps: tuple[depended.MeanMap, ...] = (),
) -> str:
    """The whole page as text; arguments as for `write_report`."""
    order = in_paper_order(evaluation.labels)
    sections = (
        _headline(evaluation),
        tag("div", _confusion(evaluation, order), _classes(evaluation, order), class_="pair"),
        tag("div", _reliability(evaluation), _selective(evaluation), class_="pair"),
        *(_sureness(found, order) for found in evaluation.sureness),
        None if comparison is None else _comparison(comparison),
        None if slices is None else sliced.groups_section(slices),
        None if robustness is None else robustness_section(robustness, judged),
        depended.maps_section(maps, faces=judged is not None) if maps else None,
        None if judged is None else _mistakes(judged),
        None if judged is None or judged.theta is None else _looks(judged, judged.theta),
        _meaning(evaluation),
        _methods(evaluation),
    )
    title = f"How {evaluation.model} reads {evaluation.dataset}"
    return page(title, _header(evaluation, title, judged), *sections)


def _header(evaluation: Evaluation, title: str, judged: Judged | None) -> Markup:
    notice = None
    if judged is not None:
        terms = f" Terms: {judged.dataset.licence}" if judged.dataset.licence else ""
        notice = tag("p", text.FACES_NOTICE, terms, class_="notice", role="note")
    return tag(
        "header",
        tag("p", "facetell evaluation report", class_="kicker"),
        tag("h1", title),
        tag("p", subject(evaluation), class_="lead"),
        notice,
    )


def _percent(measure: Measure | None) -> str:
    return "–" if measure is None else f"{100 * measure.value:.1f}"


def _interval(measure: Measure | None) -> str:
    return "–" if measure is None else f"{100 * measure.low:.1f}–{100 * measure.high:.1f}"


def _title(metric: str) -> str:
    return NAMES[metric][0].upper() + NAMES[metric][1:]


def _headline(evaluation: Evaluation) -> Markup:
    baseline = evaluation.baseline._asdict()
    rows: list[list[object]] = [
        [
            _title(name),
            show_value(name, evaluation.metrics[name].value),
            show_interval(name, evaluation.metrics[name]),
            show_value(name, baseline[name]) if name in baseline else "–",
        ]
        for name in METRICS
    ]
    floor = show_value("calibration_error", evaluation.calibration_floor)
    always = f"always “{evaluation.baseline.label}”"
    return section(
        "Headline numbers",
        tag("div", *(_card(evaluation, name) for name in _CARDS), class_="cards"),
        tag(
            "p",
            "Dot: value; bar: 95 % interval; tick: the baseline that always answers "
            f"“{evaluation.baseline.label}”. A perfectly calibrated model would show a "
            f"calibration error of about {floor} by chance.",
            class_="soft",
            style="margin-top:.8rem",
        ),
        _notes(evaluation),
        table(
            f"Every number with its 95 % interval: {subject(evaluation)}.",
            ["Number", "Value", "95 % interval", always],
            rows,
        ),
    )


def _card(evaluation: Evaluation, name: str) -> Markup:
    measure = evaluation.metrics[name]
    return tag(
        "div",
        tag("p", _title(name), class_="name"),
        tag("p", show_value(name, measure.value), class_="value"),
        tag("p", show_interval(name, measure), class_="interval"),
        figures.interval_line(measure, evaluation.baseline._asdict().get(name)),
        class_="card",
    )


def _notes(evaluation: Evaluation) -> Markup | None:
    if not evaluation.notes:
        return None
    return tag("ul", *(tag("li", note) for note in evaluation.notes), class_="notes")


def _confusion(evaluation: Evaluation, order: list[int]) -> Markup:
    names = [evaluation.labels[k] for k in order]
    counts = np.array(evaluation.confusion, np.int64)[np.ix_(order, order)]
    caption = "Rows: the label. Columns: the answer. Percent of the row, with counts below."
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def show(row: int, column: int) -> list[Markup]:
        count = tag("small", f"{counts[row, column]:,}")
        return [tag("b", f"{shares[row, column]:.0f}"), count]

    return section(
        "What is taken for what",
        confusion_table(caption, names, shares.tolist(), show),
        tag("p", _commonest(counts, names), class_="soft", style="margin-top:.8rem"),
    )


def _commonest(counts: NDArray[np.int64], names: list[str], n: int = 3) -> str:
    """The n largest confusions in words, by the share of the labelled faces."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    cells = [divmod(int(at), len(names)) for at in np.argsort(-shares, axis=None, kind="stable")]
    words = [
        f"{names[row]} taken for {names[column]} ({100 * shares[row, column]:.1f} %)"
        for row, column in cells[:n]
        if shares[row, column] > 0
    ]
    return f"Largest confusions: {', '.join(words)}." if words else "No face was confused."


def _classes(evaluation: Evaluation, order: list[int]) -> Markup:
    scores = [evaluation.per_class[k] for k in order]
    caption = "Recall, precision and F1 in percent, and the number of labelled faces."
    head = ["Emotion", "Recall", "95 % interval", "Precision", "F1", "Faces"]
    return section(
        "How well each emotion is read",
        tag("figure", figures.class_bars(scores)),
        table(caption, head, [_class_row(score) for score in scores]),
    )


def _class_row(score: ClassScore) -> list[object]:
    return [
        score.label,
        _percent(score.recall),
        _interval(score.recall),
        _percent(score.precision),
        _percent(score.f1),
        f"{score.support:,}",
    ]


def _reliability(evaluation: Evaluation) -> Markup:
    bins = evaluation.reliability
    sizes = sorted({row.size for row in bins})
    each = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    caption = (
        f"{len(bins)} bins of {each} faces, from the least to the most confident. Dots on the "
        "dashed line: scores can be taken at their word; below it: the model is too sure. Thick "
        "lines span a bin's confidences, thin ones are 95 % intervals of its accuracy."
    )
    rows: list[list[object]] = [
        [
            f"{100 * row.low:.1f}–{100 * row.high:.1f}",
            f"{100 * row.confidence:.1f}",
            _percent(row.accuracy),
            _interval(row.accuracy),
            f"{row.size:,}",
        ]
        for row in bins
    ]
    head = ["Confidence", "Mean", "Accuracy", "95 % interval", "Faces"]
    bins_table = table("The bins of the reliability diagram, in percent.", head, rows)
    return section(
        "Can the scores be believed?",
        tag("figure", figures.reliability_diagram(bins), tag("figcaption", caption)),
        tag("details", tag("summary", "The bins as a table"), bins_table),
    )


def _selective(evaluation: Evaluation) -> Markup:
    bins, n = evaluation.reliability, max(evaluation.n, 1)
    caption = (
        "What remains when the model may stay silent: faces are answered from the highest score "
        "downwards. Right end: every face is answered."
    )
    rows: list[list[object]] = []
    kept, hits = 0, 0.0
    for row in reversed(bins):
        kept, hits = kept + row.size, hits + row.size * row.accuracy.value
        at_least = f"{100 * row.low:.1f}"
        rows.append([at_least, f"{100 * kept / n:.1f}", f"{100 * hits / kept:.1f}", f"{kept:,}"])
    head = ["Score of at least", "Answered", "Accuracy", "Faces"]
    curve_table = table("Accuracy on the surest faces, in percent.", head, rows)
    return section(
        "Answering only when sure",
        tag("figure", figures.selective_diagram(bins), tag("figcaption", caption)),
        tag("details", tag("summary", "The curve as a table"), curve_table),
    )


def _sureness(found: Sureness, order: list[int]) -> Markup:
    how = {
        "shipped": "By the model's own contract, on all judged faces.",
        "cross-fitted": "Each half of the faces is judged by what the other half was fitted to.",
    }
    ninety = next(row for row in found.sets if row.level == 0.9)
    rows = [(found.labels[k], ninety.covered[k]) for k in order]
    error, floor = (f"{100 * v:.2f} %" for v in (found.calibration_error, found.calibration_floor))
    return section(
        f"Sets of labels, and silence ({found.fitted})",
        tag(
            "p",
            f"{how[found.fitted]} {found.n:,} faces; calibration error {error}, of which chance "
            f"alone would show {floor}; of each emotion's scores "
            f"{100 * found.classwise_error:.2f} %.",
        ),
        tag(
            "div",
            _figure(figures.coverage_bars(rows, 0.9), "How often the sets at 90 % hold the label."),
            _figure(figures.size_bars(ninety.sizes), "How many labels the sets at 90 % have."),
            _figure(figures.answered_curve(found.curve), "Accuracy when only the surest count."),
            class_="three",
        ),
        tag("details", tag("summary", "The numbers"), *_sureness_tables(found, order)),
        class_="long",
    )


def _figure(drawing: Markup, caption: str) -> Markup:
    return tag("figure", drawing, tag("figcaption", caption))


def _sureness_tables(found: Sureness, order: list[int]) -> list[Markup]:
    sets: list[list[object]] = [
        [
            f"{row.level:.0%}",
            f"{100 * row.coverage:.1f}",
            f"{row.size:.2f}",
            *("–" if (v := row.covered[k]) is None else f"{100 * v:.1f}" for k in order),
        ]
        for row in found.sets
    ]
    sizes: list[list[object]] = [
        [f"{row.level:.0%}", *(f"{100 * share:.1f}" for share in row.sizes)] for row in found.sets
    ]
    answers: list[list[object]] = [
        [f"{row.asked:.0%}", f"{100 * row.share:.1f}", f"{100 * row.accuracy:.1f}"]
        for row in found.answers
    ]
    curve: list[list[object]] = [[f"{100 * x:.0f}", f"{100 * y:.1f}"] for x, y in found.curve]
    names = [found.labels[k] for k in order]
    counts = [str(n) for n in range(1, len(found.labels) + 1)]
    return [
        table("Faces whose set holds their label, %.", ["Asked", "All", "Labels", *names], sets),
        table("Faces by the number of labels in their set, %.", ["Asked", *counts], sizes),
        table("Answering only some faces, %.", ["Asked", "Answered", "Accuracy"], answers),
        table("The curve, %.", ["Answered", "Accuracy"], curve),
    ]


def _comparison(comparison: Comparison) -> Markup:
    a, b = comparison.model_a, comparison.model_b
    both = round(comparison.n * comparison.accuracy_a) - comparison.only_a
    neither = comparison.n - both - comparison.only_a - comparison.only_b
    rows: list[list[object]] = [
        [f"{a} right", f"{both:,}", f"{comparison.only_a:,}"],
        [f"{a} wrong", f"{comparison.only_b:,}", f"{neither:,}"],
    ]
    accuracies = (
        f"Accuracy of {a}: {100 * comparison.accuracy_a:.2f} %; of {b}: "
        f"{100 * comparison.accuracy_b:.2f} %. They give the same answer on "
        f"{100 * comparison.agreement:.1f} % of the faces."
    )
    caption = f"Who is right on the same {comparison.n:,} faces."
    return section(
        f"Compared with {b}",
        tag("p", comparison.sentence()),
        tag("p", f"{b}: {comparison.note}") if comparison.note else None,
        tag("p", accuracies),
        table(caption, ["", f"{b} right", f"{b} wrong"], rows),
    )


def _mistakes(judged: Judged) -> Markup:
    wrong = np.flatnonzero(~judged.correct)
    surest = wrong[np.argsort(-judged.confidence[wrong], kind="stable")][:MISTAKES]
    if not surest.size:
        return section("The most confident mistakes", tag("p", "There are none."))
    faces, names, ids = judged.faces(surest), judged.dataset.labels, judged.ids
    items = []
    for face, row in zip(faces, surest.tolist(), strict=True):
        label, answer = names[judged.labels[row]], names[judged.predicted[row]]
        score = f"{100 * judged.confidence[row]:.1f} %"
        alt = f"Face {ids[row]}: labelled {label}, read as {answer} with a score of {score}"
        words = tag(
            "figcaption",
            "label ",
            tag("b", label),
            tag("br"),
            f"read {answer}",
            tag("br"),
            f"score {score}",
        )
        image = tag("img", src=figures.data_uri(face), alt=alt, width=96, height=96)
        items.append(tag("li", tag("figure", image, words)))
    intro = (
        f"The {len(items)} wrong answers with the highest scores, of {len(wrong):,} wrong answers "
        "in all. Some are mistakes of the model, some of the annotators, some show no clear face."
    )
    return section(
        "The most confident mistakes",
        tag("p", intro),
        tag("ul", *items, class_="faces"),
        class_="long",
    )


def _looks(judged: Judged, theta: NDArray[np.float32]) -> Markup:
    side = judged.contract.face_px
    rows = _one_per_class(judged)
    faces, names, ids = judged.faces(rows), judged.dataset.labels, judged.ids
    corners = straighten.quadrilateral(theta[rows], side)
    straight = straighten.straighten(faces, theta[rows])
    items = []
    for i, row in enumerate(rows.tolist()):
        label, answer = names[judged.labels[row]], names[judged.predicted[row]]
        title = f"Face {ids[row]} with the area that the model looked at"
        area = figures.looked_at(figures.data_uri(faces[i]), corners[i], side, title)
        alt = f"Face {ids[row]} after straightening"
        after = tag("img", src=figures.data_uri(straight[i]), alt=alt, width=96, height=96)
        words = tag("figcaption", "label ", tag("b", label), f", read {answer}")
        items.append(tag("li", tag("figure", tag("div", area, after, class_="two"), words)))
    return section(
        "What the spatial transformer looked at",
        tag("p", _looks_in_words(theta, side)),
        tag("ul", *items, class_="faces double"),
        class_="long",
    )


def _looks_in_words(theta: NDArray[np.float32], side: int) -> str:
    maps = straighten.describe_maps(theta, side)
    zoom, turn, shift = (
        _spread(values, digits) for values, digits in zip(maps, (2, 1, 1), strict=True)
    )
    return (
        "Left: the face with the area that the network samples from (red: its upper edge). Right: "
        f"what the following layers see. Median over {len(theta):,} faces, and the range of the "
        f"middle 90 %: zoom {zoom}; clockwise turn in degrees {turn}; shift in pixels {shift}. "
        "One face per emotion, drawn by a fixed seed."
    )


def _spread(values: NDArray[np.float64], digits: int) -> str:
    low, middle, high = np.round(np.quantile(values, (0.05, 0.5, 0.95)), digits) + 0.0  # no -0
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _one_per_class(judged: Judged) -> NDArray[np.int64]:
    """One row of every label that occurs, in the paper's order."""
    generator = np.random.default_rng(0)
    rows = [
        generator.choice(np.flatnonzero(judged.labels == k))
        for k in in_paper_order(judged.dataset.labels)
        if (judged.labels == k).any()
    ]
    return np.array(rows, np.int64)


def _meaning(evaluation: Evaluation) -> Markup:
    paragraphs = [tag("p", words) for words in (*text.meaning_of(evaluation), text.LAW)]
    return section("What these numbers mean, and what they do not", *paragraphs)


def _methods(evaluation: Evaluation) -> Markup:
    return section(
        "Methods",
        tag("p", text.methods(evaluation)),
        _facts("The model, from its contract.", evaluation.contract),
        _facts("The data, by their fingerprint.", evaluation.data),
        _facts("The protocol and its sides.", evaluation.split),
        class_="long",
    )


def _facts(caption: str, facts: dict[str, object]) -> Markup | None:
    rows: list[list[object]] = [
        [name.replace("_", " "), _fact(value)]
        for name, value in facts.items()
        if value not in ("", None, {}, [])
    ]
    return table(caption, [], rows, class_="facts") if rows else None


def _fact(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{key} ({_fact(inner)})" if isinstance(inner, dict) else f"{key} {_fact(inner)}"
            for key, inner in value.items()
        )
    if isinstance(value, list | tuple):
        return ", ".join(_fact(inner) for inner in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
