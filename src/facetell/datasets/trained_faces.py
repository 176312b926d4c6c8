"""Whether models were trained on the same faces, as far as their contracts tell.

A contract holds a digest of the training faces (`Split.trained_on`). Ids of faces depend on the
form of the data, so FER2013 and FER+ with their own sides are known by their counts, whatever the
digests. Models of earlier versions have none: there the data's own sides count as the same where
the data are.
"""

from __future__ import annotations

from typing import Any

from facetell.contract import Contract
from facetell.datasets.ferplus import has_official_sides
from facetell.datasets.fingerprint import class_counts
from facetell.datasets.splits import Split

__all__ = ["describe_training", "has_known_sides", "same_training", "trained_by"]


def has_known_sides(contract: Contract) -> bool:
    """Whether the model was trained on FER2013 or FER+ with their own sides, in whatever form."""
    return contract.own_sides and has_official_sides(contract.data)


def same_training(a: Contract, b: Contract) -> bool:
    """Whether both models were trained on the same faces."""
    if a.trained_on and a.trained_on == b.trained_on:
        return True
    own = a.own_sides and b.own_sides and a.learned_from() == b.learned_from()
    return own and (
        (has_known_sides(a) and has_known_sides(b))
        or (not (a.trained_on and b.trained_on) and _hashes(a) == _hashes(b))
    )


def trained_by(contract: Contract, split: Split) -> bool:
    """Whether the training side of this split trained the model."""
    if contract.trained_on and contract.trained_on == split.trained_on:
        return True
    if split.drawn or not contract.own_sides:
        return False
    counts = class_counts(split.dataset)
    alike = all(counts.get(side) == n for side, n in contract.learned_from().items())
    return alike and (not contract.trained_on or has_known_sides(contract))


def describe_training(contract: Contract) -> str:
    """What trained a model, in words."""
    faces = contract.training[0] if contract.training else "trained on faces not told of"
    data = contract.data.get("name", "unknown data")
    digest = f"faces {contract.trained_on[:8]}" if contract.trained_on else "which is not told"
    return f"{faces} of {data}, protocol {contract.protocol or 'unknown'}, {digest}"


def _hashes(contract: Contract) -> list[Any]:
    return [contract.data.get(name) for name in ("labels_sha256", "pixels_sha256")]
