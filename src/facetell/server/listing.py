"""An OpenAPI description as a page of plain HTML, which loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import html
from typing import Any

__all__ = ["LISTING_POLICY", "list_operations"]

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
    "code{font-size:.95em}pre{overflow-x:auto}table{border-collapse:collapse}"
    "th,td{text-align:left;vertical-align:top;padding:.2rem 1rem .2rem 0}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

#: Content-Security-Policy of the page: its own style, nothing else.
LISTING_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def list_operations(description: dict[str, Any]) -> str:
    """The page: every operation with its sentence, what it takes and what it answers."""
    info = description["info"]
    operations = [
        _operation(method, path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(info['title'])}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{html.escape(info['title'])} {html.escape(info['version'])}</h1>"
        f"{_paragraphs(info['description'])}"
        '<p>For programs: <a href="openapi.json">openapi.json</a>.</p>'
        f"{''.join(operations)}</body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    takes = operation.get("requestBody", {}).get("content", {})
    taken = f"<p>Takes {', '.join(f'<code>{html.escape(kind)}</code>' for kind in takes)}.</p>"
    answers = [
        f"<tr><th scope=row>{html.escape(status)}</th><td>{html.escape(answer['description'])}"
        "</td></tr>"
        for status, answer in operation["responses"].items()
    ]
    return (
        f"<h2><code>{method.upper()} {html.escape(path)}</code></h2>"
        f"<p>{html.escape(operation['summary'])}</p>"
        f"{_paragraphs(operation.get('description', ''))}{taken if takes else ''}"
        f"<table>{''.join(answers)}</table>"
    )


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{html.escape(part)}</p>" for part in text.split("\n\n") if part)
