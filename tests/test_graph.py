"""What a process does that only opens a graph and computes."""

import logging
import os
import subprocess
import sys

import pytest

from facetell.graph import quiet_logging

CODE = """
import numpy as np, os, sys, time
from facetell.faces.detect import CenterFace
CenterFace(threads=1).detect(np.zeros((64, 64, 3), np.uint8))
time.sleep(1)
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


@pytest.mark.parametrize("said", [None, "1"])
def test_the_runtime_keeps_no_identifier_and_reports_to_nobody(tmp_path, said):
    quiet = ("CI", "ORT_", "TF_BUILD", "GITHUB_", "XDG_")  # it holds its peace under these anyway
    environment = {k: v for k, v in os.environ.items() if not k.startswith(quiet)}
    environment |= {"HOME": str(tmp_path), **({"ORT_DISABLE_TELEMETRY": said} if said else {})}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"
    assert done.stderr == ""
    assert list(tmp_path.rglob("*")) == []


def test_who_wants_its_reports_keeps_them(tmp_path):
    code = "import os; from facetell.graph import import_runtime; import_runtime()\n"
    code += "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "0", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n"


def test_a_caller_who_silenced_logging_finds_it_silenced_afterwards():
    try:
        logging.disable(logging.ERROR)
        with quiet_logging():
            assert logging.root.manager.disable == logging.ERROR
        assert logging.root.manager.disable == logging.ERROR
        logging.disable(logging.NOTSET)
        with quiet_logging():
            assert logging.root.manager.disable == logging.WARNING
        assert logging.root.manager.disable == logging.NOTSET
    finally:
        logging.disable(logging.NOTSET)
