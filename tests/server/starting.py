"""The command in a process of its own, on loopback."""

import contextlib
import subprocess
import sys
import time

import httpx

# The command, with a detector that takes two seconds for photos that begin with a dark pixel.
SLOW = """
import time
from facetell.cli import main
from facetell.faces import detect
whole = detect.WholeImage.detect
def slow(self, image):
    time.sleep(2.0 if image[0, 0, 0] < 9 else 0)
    return whole(self, image)
detect.WholeImage.detect = slow
main()
"""


@contextlib.contextmanager
def serving(model, *arguments):
    """Address and process of `facetell serve`."""
    command = [sys.executable, "-c", SLOW, "serve", "--port", "0", "--threads", "1"]
    command += ["--model", str(model), *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        greeting = process.stderr.readline()
        assert greeting.startswith("serving "), greeting + process.stderr.read()
        yield greeting.split()[3].rstrip("/"), process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def until_answered(url):
    for _ in range(200):
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/healthz")
        time.sleep(0.05)
    raise AssertionError("no answer")
