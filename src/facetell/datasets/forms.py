"""Every form of data that can be read. A new dataset is a module with a FORM, and a line here."""

from __future__ import annotations

from facetell.datasets import emotic, fer2013, folders, parquet, toon
from facetell.datasets.form import Form

__all__ = ["FORMS"]

#: The first form that recognises a path reads it: particular forms before general ones.
FORMS: tuple[Form, ...] = (
    toon.FORM,
    fer2013.FORM,
    emotic.FORM,
    parquet.FORM,
    fer2013.PIXELS_FORM,
    folders.FORM,
)
