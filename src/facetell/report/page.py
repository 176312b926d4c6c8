"""What every page is made of: head, footer, sections, tables. No script, no outside request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources

from facetell.report.markup import Markup, tag

__all__ = ["confusion_table", "footer", "page", "section", "table"]


def page(title: str, header: Markup, *sections: Markup | None) -> str:
    """A whole page as text."""
    body = tag("body", header, tag("main", *sections), footer())
    return f"<!DOCTYPE html>\n{tag('html', _head(title), body, lang='en')}\n"


def _head(title: str) -> Markup:
    style = resources.files("facetell.report").joinpath("style.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="robots", content="noindex"),
        tag("title", title),
        tag("style", Markup(style)),
    )


def footer() -> Markup:
    """Who wrote the page, and what scores mean."""
    from facetell import __version__

    return tag(
        "footer",
        tag(
            "p",
            f"Written by facetell {__version__}. "
            "Scores say how a face looks to annotators, not what a person feels.",
        ),
    )


def section(name: str, *children: object, class_: str | None = None) -> Markup:
    """A card with a heading."""
    return tag("section", tag("h2", name), *children, class_=class_)


def table(caption: str, head: list[str], rows: list[list[object]], **attributes: str) -> Markup:
    """A table whose first column names its rows, in a box that scrolls on narrow screens."""
    lines = [
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:]))
        for row in rows
    ]
    columns = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in head)))
    inner = tag(
        "table",
        tag("caption", caption),
        columns if head else None,
        tag("tbody", *lines),
        **attributes,
    )
    return tag("div", inner, class_="wide", tabindex=0, role="region", aria_label=caption)


def confusion_table(
    caption: str,
    names: Sequence[str],
    shares: Sequence[Sequence[float]],
    show: Callable[[int, int], Sequence[Markup]],
) -> Markup:
    """Rows the label, columns the answer, the darker the larger the share.

    Args:
        caption: what the numbers are.
        names: the K emotions.
        shares: (K, K) percent of the row.
        show: what is in the cell of this row and column.
    """
    head = [tag("th", tag("span", name), scope="col") for name in names]
    corner = tag("th", tag("span", "label", class_="hidden"), scope="col")
    rows = []
    for row, name in enumerate(names):
        cells = [
            tag(
                "td",
                *show(row, column),
                class_="hit" if row == column else None,
                # The root shows small confusions, too.
                style=f"--shade:{10 * max(share, 0) ** 0.5:.0f}",
            )
            for column, share in enumerate(shares[row])
        ]
        rows.append(tag("tr", tag("th", name, scope="row"), *cells))
    inner = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", corner, *head)),
        tag("tbody", *rows),
        class_="confusion",
    )
    return tag("div", inner, class_="wide")
