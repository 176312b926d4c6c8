"""Files that appear whole or not at all, and where those are kept that can be made again."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from facetell.errors import InputError

__all__ = [
    "cache_folder", "check_folder", "check_target", "refuse_overwriting", "write_atomically",
]  # fmt: skip


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/facetell, or ~/.cache/facetell; it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "facetell"


def refuse_overwriting(path: Path, overwrite: bool = False) -> None:
    """Fail where a file would be lost.

    Raises:
        InputError: the file is there and `overwrite` is not set.
    """
    if path.exists() and not overwrite:
        raise InputError(
            f"{path} is there already. Choose another name, or overwrite with --force.", path=path
        )


def check_target(path: Path, overwrite: bool = False) -> None:
    """Fail before the work that fills a file, not after it.

    Raises:
        InputError: the file is there and `overwrite` is not set, it is a folder, or the folder
            that it goes into is missing, is none, or cannot be written.
    """
    if path.is_dir():
        raise InputError(
            f"expected a file to write, got the folder {path}. Name a file in it.", path=path
        )
    refuse_overwriting(path, overwrite)
    folder = path.absolute().parent
    if not folder.exists():
        raise InputError(
            f"expected the folder {folder} for {path.name}, found none. Create it first.",
            path=path,
        )
    check_folder(folder)


def check_folder(path: Path) -> None:
    """Fail before the work that fills a folder, not after it. Those that are missing are made.

    Raises:
        InputError: it, or the nearest folder above it that is there, is no folder or cannot be
            written.
    """
    there = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not there.is_dir():
        raise InputError(
            f"expected a folder to write into, got the file {there}. Choose another place.",
            path=path,
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(
            f"expected a folder that can be written, got {there}, which is not yours to write. "
            "Choose another place, or change its permissions.",
            path=path,
        )


def write_atomically(path: Path, content: bytes | str) -> None:
    """The whole new file or the old one, also after a crash in the middle.

    Folders on the way are made. Text is written as UTF-8.

    Raises:
        OSError: the folder cannot be written, or the disk is full; the old file is unharmed.
    """
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
