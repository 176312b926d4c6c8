"""FERG-DB: six drawn characters, seven emotions, 55,767 rendered pictures on white."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from facetell.datasets.coded import are_coded, read_coded
from facetell.datasets.form import Form
from facetell.datasets.labelling import refuse_order
from facetell.datasets.sample import Dataset

__all__ = ["FORM", "read_ferg"]

LICENCE = "FERG-DB: for non-commercial research only; do not redistribute the images."
WHERE = (
    "FERG-DB comes on request from its authors "
    "(grail.cs.washington.edu/projects/deepexpr/ferg-2d-db.html; for non-commercial research "
    "only, no redistribution)"
)

_NAME = re.compile(
    r"(aia|bonnie|jules|malcolm|mery|ray)_"
    r"(anger|disgust|fear|joy|neutral|sadness|surprise)_\d+\.png",
    re.IGNORECASE,
)


def read_ferg(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """The pictures of FERG-DB; the subject is the character.

    Character and emotion are read from the file name (aia_joy_12.png), so that all pictures in
    one folder will do as well as FERG_DB_256/aia/aia_joy/aia_joy_12.png. Neighbours in a
    rendered sequence are almost the same picture: only `leave-one-subject-out` says anything.

    Args:
        path: the folder, at any level.
        label_order: refused, the names are known.

    Raises:
        DataError: no picture that can be read.
    """
    refuse_order(label_order, path)
    return read_coded(path, _decipher, name="ferg", licence=LICENCE)


def _decipher(name: str) -> tuple[str, str] | tuple[()]:
    match = _NAME.fullmatch(name)
    return (match[2].lower(), match[1].lower()) if match else ()


FORM = Form(
    name="ferg",
    holds="FERG_DB_256/<character>/<character>_<emotion>/*.png, or all of them in one folder; "
    "subjects are the six characters",
    where=WHERE,
    recognise=lambda path: are_coded(path, _decipher),
    read=read_ferg,
)
