"""The report's section on faces made worse: what is kept, a heat map, and what one face suffers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facetell.evaluate.corruptions.catalogue import CORRUPTIONS, SEVERITIES, corrupt
from facetell.evaluate.judged import Judged
from facetell.evaluate.robustness import Robustness
from facetell.evaluate.robustness_table import summary
from facetell.report import figures
from facetell.report.markup import Markup, tag
from facetell.report.page import section, table

__all__ = ["robustness_section", "strip"]


def robustness_section(found: Robustness, judged: Judged | None) -> Markup:
    """The section; with `judged`, its example face is shown under every corruption."""
    intro = (
        f"{found.faces:,} of the {found.of:,} faces, made worse in {len(CORRUPTIONS)} ways at five "
        f"severities each, from seed {found.seed}. As they are, {100 * found.clean:.2f} % of them "
        "are read right. The first fifteen ways are those of ImageNet-C (Hendrycks & Dietterich "
        "2019), with levels for small faces. Drawn light, frost and masks are stand-ins for real "
        "ones."
    )
    rows: list[list[object]] = [list(line) for line in summary(found)]
    return section(
        "How much it keeps on worse faces",
        tag("p", intro),
        table("What is kept, with 95 % intervals.", ["", "Value", "Aim"], rows),
        tag("ul", *(tag("li", note) for note in found.notes), class_="notes")
        if found.notes
        else None,
        _heat_map(found),
        None if judged is None else _strips(found, judged),
        class_="long",
    )


def _heat_map(found: Robustness) -> Markup:
    caption = (
        "Accuracy in percent; the darker, the more of the clean accuracy is lost. Kept: the mean "
        "in percent of the clean accuracy. CE: errors in percent of the reference's."
    )
    names = ["corruption", *(f"severity {s}" for s in SEVERITIES), "kept", "CE"]
    head = tag("tr", *(tag("th", tag("span", name), scope="col") for name in names))
    inner = tag(
        "table",
        tag("caption", caption),
        tag("thead", head),
        tag("tbody", *(_heat_row(found, name) for name in CORRUPTIONS)),
        class_="confusion heat",
    )
    return tag("div", inner, class_="wide", tabindex=0, role="region", aria_label=caption)


def _heat_row(found: Robustness, name: str) -> Markup:
    accuracies = [cell.accuracy for cell in found.of_corruption(name)]
    cells = [
        tag("td", f"{100 * accuracy:.1f}", style=f"--shade:{_shade(found.share(accuracy))}")
        for accuracy in accuracies
    ]
    error = found.corruption_errors.get(name)
    ends = [
        f"{100 * found.share(float(np.mean(accuracies))):.1f}",
        "–" if error is None else f"{error:.1f}",
    ]
    title = tag("th", CORRUPTIONS[name].title, scope="row")
    return tag("tr", title, *cells, *(tag("td", end, style="--shade:0") for end in ends))


def _shade(share: float) -> int:
    """0 where nothing is lost, 100 where all is."""
    return round(100 * min(max(1 - share, 0.0), 1.0))


def _strips(found: Robustness, judged: Judged) -> Markup:
    size = judged.contract.face_px
    indices = np.array([found.example])
    face = judged.dataset.faces(indices, face_px=size, channels=3)
    items = [
        tag(
            "li",
            tag(
                "figure",
                tag(
                    "img",
                    src=figures.data_uri(strip(face, name, seed=found.seed, indices=indices)),
                    alt=f"One face under {corruption.title}, severity 1 to 5",
                    width=5 * size,
                    height=size,
                ),
                tag("figcaption", corruption.title),
            ),
        )
        for name, corruption in CORRUPTIONS.items()
    ]
    words = "One face under every corruption, severity 1 to 5 from left to right."
    return tag(
        "div", tag("p", words, style="margin-top:1.1rem"), tag("ul", *items, class_="faces strips")
    )


def strip(
    face: NDArray[np.uint8], name: str, *, seed: int, indices: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """(S, 5 S, 3) one face, (1, S, S, 3), under a corruption at all severities."""
    worse = [corrupt(face, name, s, seed=seed, indices=indices)[0] for s in SEVERITIES]
    return np.concatenate(worse, axis=1)
