"""HTML and SVG elements as strings; text is escaped unless it is markup already."""

from __future__ import annotations

import html
from typing import Any

__all__ = ["Markup", "join", "tag"]

_SHAPES = {"circle", "image", "line", "path", "polygon", "rect"}  # SVG wants them closed
_VOID = {"br", "img", "meta"}


class Markup(str):
    """Text that is HTML and needs no escaping; everything else gets escaped by `tag`."""


def tag(name: str, /, *children: object, **attributes: Any) -> Markup:
    """One element. A trailing underscore in an attribute's name is dropped, others are hyphens.

    >>> tag("td", "a < b", class_="note", data_row=3)
    '<td class="note" data-row="3">a &lt; b</td>'
    >>> tag("p", tag("b", "bold"), None, " & plain")
    '<p><b>bold</b> &amp; plain</p>'
    """
    opening = name + "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None
    )
    if name in _VOID:
        return Markup(f"<{opening}>")
    if name in _SHAPES:
        return Markup(f"<{opening}/>")
    return Markup(f"<{opening}>{join(*children)}</{name}>")


def _attribute(key: str, value: Any) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f' {name}="{html.escape(f"{value:.5g}" if isinstance(value, float) else str(value))}"'


def join(*children: object) -> Markup:
    """Children one after the other, escaped where they are not markup; None is left out."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else html.escape(str(child))
            for child in children
            if child is not None
        )
    )
