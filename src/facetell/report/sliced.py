"""The section of an evaluation report that compares groups of faces."""

from __future__ import annotations

from facetell.evaluate.evaluation import Measure
from facetell.evaluate.slices import Gap, GroupScore, Slices
from facetell.evaluate.table import gap_name, in_paper_order, show_p
from facetell.report import figures
from facetell.report.markup import Markup, join, tag
from facetell.report.page import section, table

__all__ = ["groups_section"]

_DRAWN = 12  # groups in the figure; all that are shown are in the table


def groups_section(slices: Slices) -> Markup:
    """Accuracies as bars, every number as tables, the tested differences, and the notes."""
    return section(
        f"By {slices.column}",
        *((_bars(slices), _numbers(slices), _recalls(slices)) if slices.shown else ()),
        _gaps(slices) if slices.gaps else None,
        tag(
            "ul",
            *(tag("li", note) for note in slices.notes),
            class_="notes",
            style="margin-top:.8rem",
        ),
        class_="long",
    )


def _bars(slices: Slices) -> Markup:
    bars = [(_named(group), group.metrics["accuracy"]) for group in slices.shown[:_DRAWN]]
    more = len(slices.shown) - len(bars)
    others = f"; {more} more in the table" if more else ""
    caption = f"Accuracy, %, with its 95 % interval{others}"
    return tag("figure", figures.interval_bars(bars), tag("figcaption", f"{caption}."))


def _named(group: GroupScore) -> str:
    return f"{group.name} ({group.n:,} faces{'' if group.tested else ', not tested'})"


def _cell(measure: Measure | None) -> str:
    if measure is None:
        return "–"
    return f"{100 * measure.value:.1f} ({100 * measure.low:.1f}–{100 * measure.high:.1f})"


def _numbers(slices: Slices) -> Markup:
    rows: list[list[object]] = [
        [
            group.name,
            f"{group.n:,}",
            *(_cell(group.metrics[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1")),
            _cell(group.metrics["calibration_error"]),
        ]
        for group in slices.shown
    ]
    head = ["Group", "Faces", "Accuracy", "Balanced accuracy", "Macro F1", "Calibration error"]
    return table("Percent, with 95 % bootstrap intervals.", head, rows)


def _recalls(slices: Slices) -> Markup:
    order = in_paper_order(tuple(score.label for score in slices.shown[0].per_class))
    rows: list[list[object]] = [
        [group.name, *(_recall(group, k) for k in order)] for group in slices.shown
    ]
    head = ["Group", *(slices.shown[0].per_class[k].label for k in order)]
    return table(
        "Recall of every emotion, percent, with its 95 % interval (Wilson), and its faces.",
        head,
        rows,
    )


def _recall(group: GroupScore, k: int) -> Markup:
    score = group.per_class[k]
    if score.recall is None:
        return join("–")
    value, low, high = (f"{100 * number:.1f}" for number in score.recall)
    faces = f"{score.support:,} face{'s' * (score.support != 1)}"
    return join(value, tag("br"), tag("small", f"{low}–{high}"), tag("br"), tag("small", faces))


def _gaps(slices: Slices) -> Markup:
    rows: list[list[object]] = [_gap_row(gap) for gap in slices.gaps]
    head = ["Number", "Best", "Worst", "Points apart", "95 % interval", "p", "p, adjusted"]
    return table(
        f"Best against worst group: {slices.permutations:,} permutations of the groups' names "
        "among faces of one label.",
        head,
        rows,
    )


def _gap_row(gap: Gap) -> list[object]:
    apart, low, high = (100 * value for value in gap.difference)
    name = gap_name(gap)
    return [
        name[0].upper() + name[1:],
        gap.best,
        gap.worst,
        f"{apart:.1f}",
        f"{low:.1f} to {high:.1f}",
        show_p(gap.p_value),
        show_p(gap.adjusted),
    ]
