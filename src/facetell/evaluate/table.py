"""An evaluation as plain text for a terminal, and how its numbers are written everywhere."""

from __future__ import annotations

from facetell.evaluate.evaluation import METRICS, ClassScore, Evaluation, Measure
from facetell.evaluate.raters import RaterScore
from facetell.evaluate.slices import Gap, GroupScore, Slices
from facetell.evaluate.sureness import Sureness
from facetell.labels import PAPER_ORDER

__all__ = [
    "NAMES",
    "as_groups_table",
    "as_table",
    "gap_name",
    "in_paper_order",
    "raters_line",
    "show_interval",
    "show_p",
    "show_value",
    "subject",
    "sureness_table",
]  # fmt: skip

#: metric -> what people call it
NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "calibration_error": "calibration error",
    "negative_log_likelihood": "negative log-likelihood",
    "brier": "Brier score",
}
#: Metrics shown in percent; the others are shown as they are.
_PERCENT = ("accuracy", "balanced_accuracy", "macro_f1", "calibration_error")


def show_value(name: str, value: float) -> str:
    """A metric's value for people: `71.42 %` or `0.7853`."""
    return f"{100 * value:.2f} %" if name in _PERCENT else f"{value:.4f}"


def show_interval(name: str, measure: Measure) -> str:
    """A metric's interval for people: `69.93 to 72.88`."""
    scale, digits = (100, 2) if name in _PERCENT else (1, 4)
    return f"{scale * measure.low:.{digits}f} to {scale * measure.high:.{digits}f}"


def subject(evaluation: Evaluation) -> str:
    """What was judged, in one line: data, protocol, side, number of faces."""
    removed = f" ({evaluation.removed:,} kept out)" if evaluation.removed else ""
    return (
        f"{evaluation.dataset}, protocol {evaluation.protocol}, "
        f"{evaluation.side} side: {evaluation.n:,} faces{removed}"
    )


def in_paper_order(labels: tuple[str, ...]) -> list[int]:
    """Indices that put labels into the order of the paper's tables; others follow."""
    rank = {name: i for i, name in enumerate(PAPER_ORDER)}
    return sorted(range(len(labels)), key=lambda i: (rank.get(labels[i], len(rank)), i))


def as_table(evaluation: Evaluation) -> str:
    """Headline numbers with intervals, then one line per emotion."""
    baseline = evaluation.baseline._asdict()
    lines = [
        f"model  {evaluation.model}",
        f"faces  {subject(evaluation)}",
        "",
        f"{'':24}{'value':>9}  {'95 % interval':<17}{f'always {evaluation.baseline.label!r}':>18}",
    ]
    for name in METRICS:
        measure = evaluation.metrics[name]
        beside = show_value(name, baseline[name]) if name in baseline else ""
        value, interval = show_value(name, measure.value), show_interval(name, measure)
        lines.append(f"{NAMES[name]:<24}{value:>9}  {interval:<17}{beside:>18}".rstrip())
    floor = show_value("calibration_error", evaluation.calibration_floor)
    lines += [
        "",
        f"A perfectly calibrated model would show a calibration error of {floor} by chance.",
        "",
        f"{'emotion':<12}{'recall':>7}  {'95 % interval':<15}"
        f"{'precision':>10}{'F1':>7}{'faces':>8}",
    ]
    order = in_paper_order(evaluation.labels)
    lines += [_class_line(evaluation.per_class[k]) for k in order]
    if evaluation.raters:
        lines += ["", raters_line(evaluation.raters)]
    for found in evaluation.sureness:
        lines += ["", sureness_table(found)]
    return "\n".join(lines)


def raters_line(found: RaterScore) -> str:
    """How often one more rater says what the model says, beside what other raters foresee."""
    value, low, high = (_share(v) for v in found.model)
    pools = ", ".join(f"{size}: {_share(share)}" for size, share in found.pools.items())
    return (
        f"a rater agrees with the model on {value} ({low} to {high}) of {found.n:,} faces with 8 "
        f"votes or more; with the favourite of other raters, by their number, {pools}"
    )


def sureness_table(found: Sureness) -> str:
    """Calibration, sets and abstention: how far the model knows when it is wrong."""
    lines = [
        f"sure or not, {found.fitted}, {found.n:,} faces",
        f"  calibration error {_share(found.calibration_error)} "
        f"(by chance {_share(found.calibration_floor)}), of each label's scores "
        f"{_share(found.classwise_error)}; log-likelihood {found.negative_log_likelihood:.4f}, "
        f"Brier {found.brier:.4f}",
    ]
    for row in found.sets:
        worst = [v for v in row.covered if v is not None]
        name = found.labels[row.covered.index(min(worst))] if worst else "-"
        lines.append(
            f"  sets at {row.level:.0%}: hold the label of {_share(row.coverage)} of faces, "
            f"{row.size:.2f} labels in the mean; worst {name}, {_share(row.worst)}"
        )
    for answers in found.answers:
        lines.append(
            f"  answering {answers.asked:.0%}: {_share(answers.share)} answered, "
            f"accuracy {_share(answers.accuracy)}"
        )
    return "\n".join(lines)


def _share(value: float) -> str:
    return f"{100 * value:.2f} %"


def _class_line(score: ClassScore) -> str:
    interval = show_interval("accuracy", score.recall)[:15] if score.recall else ""
    cells = (_percent(score.recall), _percent(score.precision), _percent(score.f1))
    return (
        f"{score.label:<12}{cells[0]:>7}  {interval:<15}{cells[1]:>10}{cells[2]:>7}"
        f"{score.support:>8,}"
    )


def _percent(measure: Measure | None) -> str:
    return "-" if measure is None else f"{100 * measure.value:.2f}"


#: Metrics that are listed for every group.
_OF_GROUPS = ("accuracy", "balanced_accuracy", "calibration_error")


def as_groups_table(slices: Slices) -> str:
    """The numbers of every group, the recalls below, and how far best and worst are apart."""
    left_out = len(slices.groups) - len(slices.shown)
    others = f"{left_out:,} groups of fewer than {slices.fewest} faces are not listed"
    if not slices.shown:
        return f"by {slices.column}\n\n{others}"
    wide = max([12, *(len(group.name) for group in slices.shown)])
    head = "".join(f"  {NAMES[name] + ', % (95 % interval)':<37}" for name in _OF_GROUPS)
    lines = [
        f"by {slices.column}",
        "",
        f"{'group':<{wide}}{'faces':>8}{head}".rstrip(),
        *(_group_line(group, wide) for group in slices.shown),
        *([others] if left_out else []),
        "",
        *_recall_lines(slices, wide),
    ]
    if slices.gaps:
        lines += [
            "",
            f"{'best against worst group':<28}{'points':>8}  {'95 % interval':<15}{'p':>8}"
            f"{'adjusted':>10}  groups",
            *(_gap_line(gap) for gap in slices.gaps),
        ]
    return "\n".join(lines)


def _group_line(group: GroupScore, wide: int) -> str:
    cells = "".join(f"  {_with_interval(group.metrics[name]):<37}" for name in _OF_GROUPS)
    mark = "" if group.tested else "  not tested"
    return f"{group.name:<{wide}}{group.n:>8,}{cells}{mark}".rstrip()


def _with_interval(measure: Measure | None) -> str:
    if measure is None:
        return "-"
    return f"{100 * measure.value:.1f} ({100 * measure.low:.1f} to {100 * measure.high:.1f})"


def _recall_lines(slices: Slices, wide: int) -> list[str]:
    """One line per group and emotion that occurs in it."""
    lines = [f"{'group':<{wide}}  {'emotion':<10}{'faces':>8}  recall, % (95 % interval)"]
    for group in slices.shown:
        order = in_paper_order(tuple(score.label for score in group.per_class))
        for score in (group.per_class[k] for k in order):
            recall = _with_interval(score.recall)
            lines.append(f"{group.name:<{wide}}  {score.label:<10}{score.support:>8,}  {recall}")
    return lines


def gap_name(gap: Gap) -> str:
    """What is compared, for people."""
    return NAMES.get(gap.metric, gap.metric)


def show_p(p_value: float) -> str:
    """A p value for people; permutations cannot tell below one in their number."""
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _gap_line(gap: Gap) -> str:
    apart, low, high = (100 * value for value in gap.difference)
    interval = f"{low:.1f} to {high:.1f}"
    return (
        f"{gap_name(gap):<28}{apart:>8.1f}  {interval:<15}{show_p(gap.p_value):>8}"
        f"{show_p(gap.adjusted):>10}  {gap.best} against {gap.worst}"
    )
