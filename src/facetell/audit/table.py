"""An audit as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from facetell.audit.summary import Audit, Lookup

__all__ = ["as_table"]

#: Most conflicts and subjects that are listed.
_LISTED = 5


def as_table(audit: Audit) -> str:
    """Every number, the flags last."""
    blocks = [
        _head(audit), _copies(audit), _across(audit), _labels(audit), _images(audit),
        _subjects(audit), _canary(audit), [f"FLAG: {flag}" for flag in audit.flags],
    ]  # fmt: skip
    return "\n\n".join("\n".join(block) for lines in blocks if (block := list(lines)))


def _head(audit: Audit) -> Iterable[str]:
    sides = ", ".join(f"{side} {count:,}" for side, count in audit.sides.items())
    yield f"{audit.dataset}: {audit.images:,} images from {audit.source} ({sides})"
    yield f"search: {audit.method}"


def _copies(audit: Audit) -> Iterable[str]:
    yield f"{'copies':12}{'pairs':>9}{'across sides':>14}{'images':>9}{'redundant':>11}"
    for row in audit.copies:
        yield (
            f"{row.kind:12}{row.pairs:>9,}{row.pairs_across:>14,}{row.images:>9,}"
            f"{row.redundant:>11,}"
        )
    yield f"{'all':12}{'':23}{audit.grouped:>9,}{audit.redundant:>11,}"
    yield (
        f"{audit.groups:,} groups of copies, the largest with {audit.largest:,} images; "
        f"{audit.groups_across:,} across sides"
    )


def _across(audit: Audit) -> Iterable[str]:
    if not audit.leaks:
        return
    yield f"{'with a copy':26}{'exact':>7}{'near':>8}{'mirrored':>10}{'all':>8}{'same label':>12}"
    for row in audit.leaks:
        share = f"({100 * row.total / row.n:.1f} %)"
        yield (
            f"{f'{row.side} in {row.within}':26}{row.exact:>7,}{row.near:>8,}{row.mirrored:>10,}"
            f"{row.total:>8,}{row.same_label:>12,}  {share}"
        )


def _labels(audit: Audit) -> Iterable[str]:
    yield (
        f"conflicting labels: {audit.groups_conflicting:,} groups, {audit.images_conflicting:,} "
        f"images ({audit.groups_across_conflicting:,} groups across sides)"
    )
    for row in audit.agreement:
        if row.pairs:
            share = 100 * row.same / row.pairs
            yield f"{row.kind} copies carry the same label in {share:.1f} % of {row.pairs:,} pairs"
    if audit.conflicts:
        listed = [f"{c.first}/{c.second} {c.pairs:,}" for c in audit.conflicts[:_LISTED]]
        yield f"most frequent: {', '.join(listed)} pairs"


def _images(audit: Audit) -> Iterable[str]:
    yield f"blank images: {_ids(audit.blank)}"
    if audit.no_face_votes is not None:
        yield f"voted not a face: {_ids(audit.no_face_votes)}"
    if audit.no_face_detector is not None:
        yield f"no face detected: {_ids(audit.no_face_detector)}"


def _ids(ids: tuple[str, ...]) -> str:
    if not ids:
        return "0"
    more = ", ..." if len(ids) > _LISTED else ""
    return f"{len(ids):,} ({', '.join(ids[:_LISTED])}{more})"


def _subjects(audit: Audit) -> Iterable[str]:
    if audit.subjects is None:
        return
    yield f"subjects: {audit.subjects:,}, of which {len(audit.shared_subjects):,} on two sides"
    for row in audit.shared_subjects[:_LISTED]:
        yield f"  {row.subject}: " + ", ".join(f"{side} {n:,}" for side, n in row.images.items())
    yield f"groups of copies with several subjects: {audit.groups_across_subjects:,}"


def _canary(audit: Audit) -> Iterable[str]:
    if not audit.lookups:
        return
    yield f"{'nearest training face (HOG)':40}{'images':>8}{'right, %':>10}  95 % interval"
    yield from (_lookup(row) for row in audit.lookups)


def _lookup(row: Lookup) -> str:
    name = f"{row.side}, {row.faces}"
    if row.accuracy is None:
        return f"{name:40}{row.n:>8,}{'-':>10}"
    value, low, high = (f"{100 * x:.1f}" for x in row.accuracy)
    return f"{name:40}{row.n:>8,}{value:>10}  {low} to {high}"
