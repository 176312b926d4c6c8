"""JAFFE: ten women, seven posed expressions, 213 grey pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from facetell.datasets.coded import are_coded, read_coded
from facetell.datasets.form import Form
from facetell.datasets.labelling import refuse_order
from facetell.datasets.sample import Dataset

__all__ = ["FORM", "read_jaffe"]

LICENCE = "JAFFE: for non-commercial research only; do not redistribute the images."
WHERE = (
    "JAFFE comes on request from its authors (zenodo.org/record/3451524; for non-commercial "
    "research only, no redistribution)"
)

#: KA.AN1.39.tiff: subject, expression and repetition, serial number. Mirrors have lost some of
#: the numbers and dots (KR.DI3.  .tiff, KA.HA4...tiff, KA-AN1.jpeg), but never the beginning.
_NAME = re.compile(
    r"(KA|KL|KM|KR|MK|NA|NM|TM|UY|YM)[._-](AN|DI|FE|HA|NE|SA|SU)(?![A-Z])", re.IGNORECASE
)


def read_jaffe(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """The pictures of JAFFE with the expression that was asked for, which raters may not see.

    Args:
        path: the folder, at any level.
        label_order: refused, the names are known.

    Raises:
        DataError: no picture that can be read.
    """
    refuse_order(label_order, path)
    return read_coded(path, _decipher, name="jaffe", licence=LICENCE, find_faces=True)


def _decipher(name: str) -> tuple[str, str] | tuple[()]:
    match = _NAME.match(name)
    return (match[2].lower(), match[1].upper()) if match else ()


FORM = Form(
    name="jaffe",
    holds="KA.AN1.39.tiff and so on in a folder; subjects are the ten women, labels what they "
    "were asked to show",
    where=WHERE,
    recognise=lambda path: are_coded(path, _decipher),
    read=read_jaffe,
)
