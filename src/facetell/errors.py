"""Every error facetell raises on purpose.

FacetellError
├── InputError (ValueError)         an argument or a file that cannot be used
│   ├── ClipError                   one clip, camera or stream
│   ├── ImageError                  one image file or array
│   ├── DataError                   a dataset on disk
│   └── RecipeError                 a training recipe
├── ContractError (ValueError)      a model file and its contract
├── TrainingError (RuntimeError)    a training run that cannot start, go on or be trusted
├── ExportError (RuntimeError)      an ONNX graph that does not say what its model says
└── MissingExtra (ImportError)      an optional dependency that is not installed
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

__all__ = [
    "ClipError",
    "ContractError",
    "DataError",
    "ExportError",
    "FacetellError",
    "ImageError",
    "InputError",
    "MissingExtra",
    "RecipeError",
    "TrainingError",
    "require",
]


class FacetellError(Exception):
    """Base of all errors below. Keyword facts become attributes (`error.path`)."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts

    def __getattr__(self, name: str) -> Any:
        facts = self.__dict__.get("facts", {})
        if name in facts:
            return facts[name]
        raise AttributeError(name)


class InputError(FacetellError, ValueError):
    """An argument or a file that cannot be used."""


class ImageError(InputError):
    """One image that cannot be read."""


class ClipError(InputError):
    """One clip, camera or stream that cannot be read or written."""


class DataError(InputError):
    """A dataset that cannot be read, or is not what it should be."""


class RecipeError(InputError):
    """A recipe with an unknown key or an impossible value."""


class ContractError(FacetellError, ValueError):
    """A model file without a (readable) contract."""


class TrainingError(FacetellError, RuntimeError):
    """A training run that cannot start, go on or be trusted."""


class ExportError(FacetellError, RuntimeError):
    """An exported graph that disagrees with the model it came from."""


class MissingExtra(FacetellError, ImportError):
    """An optional dependency that is not installed."""


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """The imported module, or a MissingExtra that says what to install.

    Example:
        torch = require("torch", extra="train", purpose="training")
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtra(
            f"{purpose} needs {package}, which is not installed. "
            f"Run: pip install 'facetell[{extra}]'",
            module=module,
            extra=extra,
        ) from error
