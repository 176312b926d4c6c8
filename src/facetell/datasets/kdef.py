"""KDEF: 70 people, seven posed expressions, five angles, two sessions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from facetell.datasets.coded import are_coded, read_coded
from facetell.datasets.form import Form
from facetell.datasets.labelling import refuse_order
from facetell.datasets.sample import Dataset

__all__ = ["FORM", "read_kdef"]

LICENCE = "KDEF: for non-commercial research only; do not redistribute the images."
WHERE = (
    "KDEF comes from Karolinska Institutet after registration (kdef.se; for non-commercial "
    "research only, no redistribution)"
)

#: AF01ANHL.JPG: session, sex and number (the person), expression, angle.
_NAME = re.compile(
    r"[AB]([FM]\d\d)(AF|AN|DI|HA|NE|SA|SU)(?:S|HL|HR|FL|FR)\.(?:jpe?g|png)", re.IGNORECASE
)


def read_kdef(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """The faces of KDEF from all five angles, two of them full profiles.

    The person is characters 2 to 4 of the name. With the first one, the session, everybody
    would be two people, and each would be trained on and judged.

    Args:
        path: the folder, at any level.
        label_order: refused, the names are known.

    Raises:
        DataError: no picture that can be read.
    """
    refuse_order(label_order, path)
    return read_coded(path, _decipher, name="kdef", licence=LICENCE, find_faces=True)


def _decipher(name: str) -> tuple[str, str] | tuple[()]:
    match = _NAME.fullmatch(name)
    return (match[2].lower(), match[1].upper()) if match else ()


FORM = Form(
    name="kdef",
    holds="KDEF_and_AKDEF/KDEF/AF01/AF01ANS.JPG and so on, all angles; subjects are the 70 people",
    where=WHERE,
    recognise=lambda path: are_coded(path, _decipher),
    read=read_kdef,
)
