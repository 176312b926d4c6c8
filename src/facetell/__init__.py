"""facetell: facial expressions, from a photo to calibrated emotion scores.

    >>> import facetell
    >>> reading = facetell.read("photo.jpg")  # doctest: +SKIP
    >>> reading.faces[0].label  # doctest: +SKIP
    'happy'

Scores say how a face looks to annotators, not what a person feels.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facetell.contract import Contract
    from facetell.errors import FacetellError
    from facetell.images import read_image
    from facetell.predictor import Prediction
    from facetell.results import Detection, Face, Reading
    from facetell.runtime.analyzer import Analyzer, read
    from facetell.runtime.clip import read_clip
    from facetell.runtime.follower import Follower
    from facetell.runtime.session import load

__all__ = [
    "Analyzer",
    "Contract",
    "Detection",
    "Face",
    "FacetellError",
    "Follower",
    "Prediction",
    "Reading",
    "__version__",
    "load",
    "read",
    "read_clip",
    "read_image",
]

# public name -> the module that holds it, imported at first use: `import facetell` is instant
_HOMES = {
    "Analyzer": "facetell.runtime.analyzer",
    "Contract": "facetell.contract",
    "Detection": "facetell.results",
    "Face": "facetell.results",
    "FacetellError": "facetell.errors",
    "Follower": "facetell.runtime.follower",
    "Prediction": "facetell.predictor",
    "Reading": "facetell.results",
    "load": "facetell.runtime.session",
    "read": "facetell.runtime.analyzer",
    "read_clip": "facetell.runtime.clip",
    "read_image": "facetell.images",
}

__version__: str


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("facetell")
        except PackageNotFoundError:  # a checkout on PYTHONPATH
            return "0+unknown"
    if name not in _HOMES:
        raise AttributeError(f"module 'facetell' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
