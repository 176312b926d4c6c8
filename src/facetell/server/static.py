"""The web page as files: what a server mounts, and a folder that any web host can carry.

Everything the page needs travels with it: scripts, ONNX Runtime Web, the detector, the models and
a list of their contracts (`models.json`), so that the browser reads what Python reads and guesses
nothing. The page asks nobody but its own host for anything.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import facetell
from facetell.contract import Contract
from facetell.errors import InputError
from facetell.faces.detect import DETECT_SIDE
from facetell.graph import open_graph
from facetell.runtime import DEFAULT_MODEL
from facetell.runtime.certainty import DEFAULT_SHARE, Doubt
from facetell.runtime.session import bundled_models, locate, read_contract

__all__ = ["CONTENT_TYPES", "LIVE_SIDE", "MANIFEST", "page_files", "page_models", "write_static"]

#: Longer side at which the page searches whole frames of a clip or camera, px. A 720p frame with
#: one face took 195 ms of one processor in Chromium, 258 at 640 px; the 24 px face that is still
#: found is one of 60 px in such a frame.
LIVE_SIDE = 512
#: Name of the list of models and contracts.
MANIFEST = "models.json"
#: Suffix -> content type; systems disagree about the last three, or do not know them.
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".LICENSE": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
}
_LEVEL = 0.9  # of the sets that the page shows at first
_PAGE = Path(__file__).with_name("page")
_FACES = Path(__file__).parent.parent / "faces"
_DETECTOR = "faces/centerface.onnx"
_GENERATOR = "facetell"  # written into the manifest: such a folder is ours to replace


def page_files(
    models: Iterable[str | Path] | None = None,
    *,
    sets: float | None = None,
    abstain: float | None = None,
) -> dict[str, Path | bytes]:
    """Every file of the page by its relative name, with "/" between folders.

    Args:
        models: bundled names or paths of .onnx files, the one offered first in front; None
            takes all bundled models.
        sets: level of the sets that the page shows until another is chosen; None is 0.9.
        abstain: share of faces that it answers, where it is asked to be silent about others;
            None is `DEFAULT_SHARE`.

    Returns:
        name -> the file, or its content where it is made here. `CONTENT_TYPES` says how each
        is to be served.

    Raises:
        InputError: no model, two of one name, or one that reads windows of frames; a level or a
            share that the first model has not.
        ContractError: a file that is no model, or one without a contract; sets or abstention are
            asked for and the first model was not calibrated for them.
    """
    found = _contracts(_default_models() if models is None else models)
    Doubt(next(iter(found.values())), sets=sets, abstain=abstain)  # it raises what is impossible
    files: dict[str, Path | bytes] = {
        path.relative_to(_PAGE).as_posix(): path
        for path in sorted(_PAGE.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    files[_DETECTOR] = _FACES / "centerface.onnx"
    files["faces/centerface.LICENSE"] = _FACES / "centerface.LICENSE"
    files |= {_model_file(contract): path for path, contract in found.items()}
    files[MANIFEST] = json.dumps(
        {
            **_manifest(found),
            "sets": _LEVEL if sets is None else sets,
            "abstain": DEFAULT_SHARE if abstain is None else abstain,
            "files": sorted(files),
        },
        indent=1,
    ).encode()
    return files


def write_static(
    folder: Path,
    models: Iterable[str | Path] | None = None,
    *,
    sets: float | None = None,
    abstain: float | None = None,
    force: bool = False,
) -> None:
    """Write the page into a folder that any web host can carry.

    The folder appears whole or not at all.

    Args:
        folder: a new or empty folder; one that holds such a page is replaced with `force`.
        models, sets, abstain: as for `page_files`.
        force: replace a page written before. Other folders are never touched.

    Raises:
        InputError: the folder holds something, or is a file; or as for `page_files`.
    """
    files = page_files(models, sets=sets, abstain=abstain)
    _check_replaceable(folder, force)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        fresh = Path(temporary) / "new"
        for name, content in files.items():
            _write(fresh / name, content)
        if folder.exists():
            folder.rename(Path(temporary) / "old")  # goes with the temporary folder
        fresh.rename(folder)


def page_models(served: str | Path) -> list[Path]:
    """Models for the page: the one that is served, then, if it is bundled, the others that are.

    A model with an LSTM over frames is left out; the page reads each frame by itself.
    """
    path, bundled = locate(served), list(bundled_models().values())
    others = [other for other in bundled if other != path] if path in bundled else []
    return [path, *(other for other in others if _reads_stills(other))]


def _reads_stills(path: Path) -> bool:
    return read_contract(open_graph(path, threads=1), path).memory == 0


def _default_models() -> list[str]:
    """The bundled models, the default one first."""
    return sorted(bundled_models(), key=lambda name: name != DEFAULT_MODEL)


def _contracts(models: Iterable[str | Path]) -> dict[Path, Contract]:
    found: dict[Path, Contract] = {}
    for model in models:
        path = locate(model)
        contract = read_contract(open_graph(path, threads=1), path)
        if contract.memory:
            raise InputError(
                f"the page needs models for stills, got {contract.name}, which has an LSTM over "
                "frames. Leave it out."
            )
        if contract.name in [other.name for other in found.values()]:
            raise InputError(
                f"the page needs models of different names, got two called {contract.name!r}. "
                "Leave one out, or export it under another name."
            )
        found[path] = contract
    if not found:
        raise InputError(
            "the page needs at least one model, got none. Name one, e.g. 'strong-plus'."
        )
    return found


def _model_file(contract: Contract) -> str:
    # Names are for people and may hold anything; a file's name on a web host may not.
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in contract.name)
    digest = hashlib.sha256(contract.name.encode()).hexdigest()[:8]
    return f"models/{plain}.onnx" if plain == contract.name else f"models/{plain}-{digest}.onnx"


def _manifest(found: Mapping[Path, Contract]) -> dict[str, Any]:
    """What the page must know: detector settings, and each model's file and contract."""
    return {
        "generator": _GENERATOR,
        "version": facetell.__version__,
        "detector": {
            "file": _DETECTOR,
            "side": DETECT_SIDE,
            "live_side": LIVE_SIDE,
            "min_score": 0.5,  # CenterFace's defaults
            "max_overlap": 0.3,
        },
        "models": [
            {"name": contract.name, "file": _model_file(contract), "contract": asdict(contract)}
            for contract in found.values()
        ],
    }


def _check_replaceable(folder: Path, force: bool) -> None:
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise InputError(f"{folder}: expected a folder to write the page into, got something else.")
    if not any(folder.iterdir()):
        return
    if not _is_page(folder):
        raise InputError(
            f"{folder} holds other files. Choose a new folder; this one is not replaced, also not "
            "with --force."
        )
    if not force:
        raise InputError(f"{folder} holds a page. Choose another folder, or pass --force.")


def _is_page(folder: Path) -> bool:
    """Whether the folder holds a page of ours, and nothing that would be lost with it."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        ours = {*manifest["files"], MANIFEST}
        generator = manifest["generator"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
    return bool(generator == _GENERATOR and there <= ours)


def _write(path: Path, content: Path | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        shutil.copyfile(content, path)
