"""An audit as one HTML file with contact sheets: no script, no outside request."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facetell.audit.findings import KINDS, SIDES, Findings
from facetell.audit.summary import Audit, Groups, Leak, Lookup
from facetell.files import refuse_overwriting, write_atomically
from facetell.report import figures, text
from facetell.report.markup import Markup, tag
from facetell.report.page import page, section, table

__all__ = ["audit_page", "write_audit"]

Ints = NDArray[np.int64]

#: Most pairs, groups, images of one group, single images, and rows that are shown.
PAIRS, GROUPS, MEMBERS, SINGLES, ROWS = 48, 8, 12, 36, 30


def write_audit(
    audit: Audit, path: str | Path, *, findings: Findings | None = None, overwrite: bool = False
) -> Path:
    """Write the report and return its path.

    Args:
        audit: the numbers.
        findings: what they were counted from; adds contact sheets. Without it the file shows no
            face.
        overwrite: replace a file that is there.

    Raises:
        InputError: the file is there and `overwrite` is not set.

    Example:
        write_audit(Audit.of(found), "audit.html", findings=found)
    """
    path = Path(path)
    refuse_overwriting(path, overwrite)
    write_atomically(path, audit_page(audit, findings=findings))
    return path


def audit_page(audit: Audit, *, findings: Findings | None = None) -> str:
    """The whole page as text; arguments as for `write_audit`."""
    title = f"What is wrong with {audit.dataset}"
    sheets = () if findings is None else _sheets(findings)
    return page(
        title,
        _header(audit, title, findings is not None),
        _headline(audit),
        _canary(audit),
        _labels(audit),
        _subjects(audit),
        _single_images(audit),
        *sheets,
        _methods(audit),
    )


def _header(audit: Audit, title: str, faces: bool) -> Markup:
    sides = ", ".join(f"{side} {count:,}" for side, count in audit.sides.items())
    terms = f" Terms: {audit.licence}" if audit.licence else ""
    notice = tag("p", text.FACES_NOTICE, terms, class_="notice", role="note") if faces else None
    return tag(
        "header",
        tag("p", "facetell data audit", class_="kicker"),
        tag("h1", title),
        tag("p", f"{audit.images:,} images ({sides}), {audit.method} search", class_="lead"),
        notice,
    )


def _headline(audit: Audit) -> Markup:
    cards = [
        ("Redundant images", audit.redundant, audit.images),
        *((f"{r.side} images with a copy in {r.within}", r.total, r.n) for r in audit.leaks),
        ("Images in groups with conflicting labels", audit.images_conflicting, audit.images),
    ]
    return section(
        "At a glance",
        tag("div", *(_card(*card) for card in cards), class_="cards"),
        *(tag("p", f"{flag[0].upper()}{flag[1:]}", class_="notice") for flag in audit.flags),
        _copies(audit),
        _leaks(audit),
        class_="long",
    )


def _card(name: str, count: int, whole: int) -> Markup:
    share = f"{100 * count / max(whole, 1):.1f} % of {whole:,}"
    return tag(
        "div",
        tag("p", name[0].upper() + name[1:], class_="name"),
        tag("p", f"{count:,}", class_="value"),
        tag("p", share, class_="interval"),
        class_="card",
    )


def _copies(audit: Audit) -> Markup:
    rows: list[list[object]] = [
        [row.kind, *_counts(row.pairs, row.pairs_across, row.images, row.redundant)]
        for row in audit.copies
    ]
    rows.append(["all", "–", "–", *_counts(audit.grouped, audit.redundant)])
    caption = (
        f"Copies of one photograph: {audit.groups:,} groups, the largest with {audit.largest:,} "
        f"images; {audit.groups_across:,} groups are on more than one side. An image counts "
        "under its closest copy. Redundant: what could go without losing a photograph."
    )
    return table(caption, ["Copy", "Pairs", "Across sides", "Images", "Redundant"], rows)


def _counts(*values: int) -> list[str]:
    return [f"{value:,}" for value in values]


def _leaks(audit: Audit) -> Markup | None:
    if not audit.leaks:
        return None
    head = ["Images with a copy", "Exact", "Near", "Mirrored", "All", "Share, %", "Same label"]
    caption = "Copies between sides; same label: with a copy there that carries their own label."
    return table(caption, head, [_leak_row(row) for row in audit.leaks])


def _leak_row(row: Leak) -> list[object]:
    share = f"{100 * row.total / row.n:.1f}"
    name = f"{row.side} in {row.within}"
    return [
        name, *_counts(row.exact, row.near, row.mirrored, row.total), share, f"{row.same_label:,}"
    ]  # fmt: skip


def _canary(audit: Audit) -> Markup | None:
    if not audit.lookups:
        return None
    bars = [(_lookup_name(row), row.accuracy) for row in audit.lookups]
    head = ["Judged faces", "Images", "Right, %", "95 % interval"]
    return section(
        "The leak canary: what a lookup table scores",
        tag(
            "p",
            "Each judged face gets the label of the training face that is nearest to it by "
            "histograms of oriented gradients, mirror images included. This learns nothing, so "
            "what it scores far above the faces without a copy is memory.",
        ),
        tag("figure", figures.interval_bars([(n, m) for n, m in bars if m is not None])),
        table("What the nearest training face scores.", head, [_row(r) for r in audit.lookups]),
    )


def _lookup_name(row: Lookup) -> str:
    return f"{row.side}, {row.faces}"


def _row(row: Lookup) -> list[object]:
    if row.accuracy is None:
        return [_lookup_name(row), f"{row.n:,}", "–", "–"]
    value, low, high = (f"{100 * share:.1f}" for share in row.accuracy)
    return [_lookup_name(row), f"{row.n:,}", value, f"{low}–{high}"]


def _labels(audit: Audit) -> Markup | None:
    if not audit.grouped:
        return None
    agreement = [
        f"{row.kind.capitalize()} copies carry the same label in {100 * row.same / row.pairs:.1f} "
        f"% of {row.pairs:,} pairs. "
        for row in audit.agreement
        if row.pairs
    ]
    rows: list[list[object]] = [
        [f"{row.first} / {row.second}", f"{row.pairs:,}"] for row in audit.conflicts[:ROWS]
    ]
    caption = f"Pairs of copies with two labels: {len(rows)} of {len(audit.conflicts)} rows."
    return section(
        "Conflicting labels",
        tag(
            "p",
            f"{audit.groups_conflicting:,} groups with {audit.images_conflicting:,} images carry "
            f"more than one label, {audit.groups_across_conflicting:,} of them across sides. ",
            *agreement,
        ),
        table(caption, ["Labels", "Pairs"], rows) if rows else None,
    )


def _subjects(audit: Audit) -> Markup | None:
    if audit.subjects is None:
        return None
    shared = audit.shared_subjects[:ROWS]
    rows: list[list[object]] = [
        [row.subject, *(f"{row.images.get(side, 0):,}" for side in SIDES)] for row in shared
    ]
    caption = f"Subjects on more than one side: {len(rows)} of {len(audit.shared_subjects):,}."
    return section(
        "Subjects",
        tag(
            "p",
            f"{len(audit.shared_subjects):,} of {audit.subjects:,} subjects are on more than one "
            f"side; {audit.groups_across_subjects:,} groups of copies have several subjects.",
        ),
        table(caption, ["Subject", *SIDES], rows) if rows else None,
    )


def _single_images(audit: Audit) -> Markup:
    found = [("Black, white or nearly even", audit.blank)]
    if audit.no_face_votes is not None:
        found.append(("Voted “not a face”", audit.no_face_votes))
    if audit.no_face_detector is not None:
        found.append(("No face detected", audit.no_face_detector))
    return section(
        "Blank images, and images that are no face",
        *(
            tag(
                "p",
                tag("b", f"{name}: {len(ids):,}. "),
                ", ".join(ids[:ROWS]),
                f" and {len(ids) - ROWS:,} more" if len(ids) > ROWS else None,
            )
            for name, ids in found
        ),
    )


def _sheets(found: Findings) -> Iterable[Markup | None]:
    first, second = found.sides[found.copies.pairs].T
    across = (first != second) & (first >= 0) & (second >= 0)
    groups = Groups.of(found)
    yield _pair_sheet(found, "Pairs across sides", np.flatnonzero(across))
    yield _pair_sheet(found, "Pairs within a side", np.flatnonzero(~across & (found.kinds > 0)))
    yield _group_sheet(found, "The largest groups", groups, groups.sizes * groups.several)
    yield _group_sheet(found, "Groups with conflicting labels", groups, groups.odd)
    yield _single_sheet(found, "Blank images", found.blank)
    yield _single_sheet(found, "Voted “not a face”", found.no_face_votes)
    yield _single_sheet(found, "No face detected", found.no_face_detector)


def _pair_sheet(found: Findings, name: str, pairs: Ints) -> Markup | None:
    """Pairs from the least to the most alike; the former are shown more densely."""
    if not len(pairs):
        return None
    order = pairs[np.argsort(found.copies.correlation[pairs], kind="stable")]
    if len(order) > PAIRS:
        places = np.linspace(0, 1, PAIRS) ** 2 * (len(order) - 1)
        order = order[np.maximum(places.astype(np.int64), np.arange(PAIRS))]
    caption = f"{len(order):,} of {len(pairs):,}, the less alike first and more of them."
    items = (_pair(found, int(pair)) for pair in order)
    return section(name, tag("p", caption), tag("ul", *items, class_="faces double"), class_="long")


def _pair(found: Findings, pair: int) -> Markup:
    images = found.copies.pairs[pair].tolist()
    kind, value = KINDS[found.kinds[pair]], float(found.copies.correlation[pair])
    return tag(
        "li",
        tag("div", *(_face(found, index) for index in images), class_="two top"),
        tag("p", tag("b", kind), f", correlation {value:.2f}", class_="soft"),
    )


def _face(found: Findings, index: int) -> Markup:
    """The image, with its label, side and id."""
    sample = found.dataset.samples[index]
    label = found.dataset.labels[sample.label]
    words = f"{label}, {sample.side or 'no side'}"
    image = tag("img", src=figures.data_uri(found.faces[index]), alt=words, width=96, height=96)
    caption = tag(
        "figcaption", tag("b", label), f" {sample.side or 'no side'}", tag("br"), sample.id
    )
    return tag("figure", image, caption)


def _group_sheet(found: Findings, name: str, groups: Groups, weights: Ints) -> Markup | None:
    """The groups of largest weight, (G,), one below the other; those without any are left out."""
    numbers = np.flatnonzero(weights)
    if not len(numbers):
        return None
    shown = numbers[np.argsort(-weights[numbers], kind="stable")][:GROUPS]
    caption = f"{len(shown):,} of {len(numbers):,} groups, at most {MEMBERS} images of each."
    rows = (_group(found, np.flatnonzero(groups.group == number)) for number in shown)
    return section(name, tag("p", caption), *rows, class_="long")


def _group(found: Findings, members: Ints) -> Markup:
    spread = np.linspace(0, len(members) - 1, min(MEMBERS, len(members))).astype(np.int64)
    items = (tag("li", _face(found, int(index))) for index in members[spread])
    return tag(
        "div",
        tag("p", f"{len(members):,} images", class_="soft"),
        tag("ul", *items, class_="faces"),
    )


def _single_sheet(found: Findings, name: str, chosen: NDArray[np.bool_] | None) -> Markup | None:
    if chosen is None or not chosen.any():
        return None
    images = np.flatnonzero(chosen)
    spread = np.linspace(0, len(images) - 1, min(SINGLES, len(images))).astype(np.int64)
    caption = f"{len(spread):,} of {len(images):,}."
    items = (tag("li", _face(found, int(index))) for index in images[spread])
    return section(name, tag("p", caption), tag("ul", *items, class_="faces"), class_="long")


_SEARCHES = {
    "thorough": "a perceptual hash and a low-resolution search under shifts, scales and mirroring",
    "quick": "a perceptual hash, as they are or mirrored",
}
_MISSED = {
    "thorough": "Large changes of crop and rotations are missed, so that counts are lower bounds.",
    "quick": "Shifted crops are missed: on FER2013 the thorough search finds three times as many.",
}


def _methods(audit: Audit) -> Markup:
    return section(
        "How this was found",
        tag(
            "p",
            "Exact copies have the same pixels at 48 px. Other candidates, from "
            f"{_SEARCHES[audit.method]}, were laid on each other; a pair counts if the pixels of "
            "the whole overlap correlate by 0.85 (mirrored 0.88) and their details by 0.8. "
            f"{_MISSED[audit.method]}",
        ),
        tag(
            "p",
            "Groups join pairs through others. Agreement and conflicts count all pairs of images "
            "in a group, so that large groups weigh more. Blank: a deviation below 4 grey levels. "
            "Intervals are 95 % Wilson intervals, which take faces as independent.",
        ),
    )
