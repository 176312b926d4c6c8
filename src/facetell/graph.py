"""An ONNX file -> a session that computes it, on a stated number of threads."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from facetell.errors import ContractError, InputError

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["available_cpus", "import_runtime", "open_graph", "quiet_logging"]


def available_cpus() -> int:
    """Processors this process may use (not: that the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def import_runtime() -> ModuleType:
    """onnxruntime, which since 1.29 reports to its maker about models and machines by default.

    Its reports are off unless the user's environment says otherwise. The variable must be there
    before the library is; where a program has loaded it already, the call ends what it can.
    """
    said = os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    runtime = importlib.import_module("onnxruntime")
    if said == "1":
        runtime.disable_telemetry_events()
    return runtime


@contextmanager
def quiet_logging() -> Iterator[None]:
    """Without the notes and warnings of the graph's tools, which users can do nothing about."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)


def open_graph(path: Path, *, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A CPU session for an ONNX file.

    Args:
        path: the file.
        threads: threads inside one operator; None takes every processor we may use.

    Raises:
        InputError: `threads` is not positive.
        ContractError: the file is missing or is not an ONNX graph.
    """
    onnxruntime = import_runtime()
    if threads is not None and threads < 1:
        raise InputError(f"threads must be 1 or more, got {threads}. Leave it out to use all.")
    if not path.is_file():
        raise ContractError(
            f"{path}: expected an ONNX model, got no such file. Check the path.", path=str(path)
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_cpus()
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Waiting threads sleep: they would take the processors that decode the next photos.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A memory plan per input shape would be kept for ever; photos come in hundreds of shapes.
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # its warnings speak of graph details, not to our users
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # onnxruntime's exceptions share no base class but Exception.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ContractError(
            f"{path}: expected an ONNX model, got a file onnxruntime cannot load ({reason}). "
            "Copy or export the file again.",
            path=str(path),
        ) from error
