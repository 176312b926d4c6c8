"""An evaluation as plain text for a terminal, and how its numbers are written everywhere."""

from __future__ import annotations

from facetell.evaluate.evaluation import METRICS, ClassScore, Evaluation, Measure
from facetell.evaluate.sureness import Sureness
from facetell.labels import PAPER_ORDER

__all__ = [
    "NAMES", "as_table", "in_paper_order", "show_interval", "show_value", "subject",
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
    for found in evaluation.sureness:
        lines += ["", sureness_table(found)]
    return "\n".join(lines)


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
