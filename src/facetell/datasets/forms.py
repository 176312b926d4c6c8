"""Every form of data that can be read. A new dataset is a module with a FORM, and a line here."""

from __future__ import annotations

from facetell.datasets import (
    affectnet,
    ckplus,
    emotic,
    expw,
    fer2013,
    ferg,
    ferplus,
    folders,
    jaffe,
    kdef,
    manifest,
    parquet,
    rafdb,
    sfew,
    toon,
)
from facetell.datasets.form import Form

__all__ = ["FORMS"]

#: The first form that recognises a path reads it: particular forms before general ones.
FORMS: tuple[Form, ...] = (
    toon.FORM,
    ferplus.FORM,
    fer2013.FORM,
    rafdb.FORM,
    affectnet.FORM,
    expw.FORM,
    sfew.FORM,
    emotic.FORM,
    manifest.FORM,
    parquet.FORM,
    fer2013.PIXELS_FORM,
    ckplus.CK48_FORM,
    ckplus.FORM,
    ferg.FORM,
    jaffe.FORM,
    kdef.FORM,
    folders.FORM,
)
