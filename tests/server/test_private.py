import logging
import os
import sys
import tempfile

import pytest

pytest.importorskip("fastapi")

from asking import encoded, make_app, photo, png, post_parts, post_raw

SECRET = "patient-4711"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND
_watched: list[str] | None = None


def _watch(event: str, arguments: tuple) -> None:
    """An audit hook cannot be taken away again; it looks only while a test asks it to."""
    if _watched is None:
        return
    if event == "open":
        path, mode, flags = arguments
        writes = set(mode) & set("wax+") if isinstance(mode, str) else (flags or 0) & _WRITING
        if writes:
            _watched.append(f"{path} {mode}")
    elif event.startswith(("tempfile.", "os.mkdir", "os.rename", "socket.connect", "subprocess")):
        _watched.append(event)


@pytest.fixture
def watched():
    global _watched
    if not getattr(sys, "_facetell_watched", False):
        sys.addaudithook(_watch)
        sys._facetell_watched = True
    _watched = []
    yield _watched
    _watched = None


def test_the_watch_sees_spooled_uploads(watched):
    with tempfile.SpooledTemporaryFile(max_size=10) as file:
        file.write(b"x" * 11)
    assert watched


def test_no_upload_touches_the_disk_or_the_network(watched):
    app = make_app()
    large = encoded(photo(1, size_wh=(1300, 1000)))  # noise: 3.9 MB of PNG
    assert len(large) > 3 * 2**20
    watched.clear()
    assert post_parts(app, large, large).status_code == 200
    assert post_raw(app, large).status_code == 200
    assert post_raw(app, large[:-9000]).status_code == 422
    assert watched == []


def test_nothing_of_a_request_reaches_a_log(caplog, capfd):
    app = make_app(api_key=f"key-of-{SECRET}")
    key = {"x-api-key": f"key-of-{SECRET}"}
    form = {"content-type": "multipart/form-data; boundary=b"}
    with caplog.at_level(logging.DEBUG):
        for logger in ("httpx", "httpcore"):
            logging.getLogger(logger).disabled = True
        post_parts(app, png(), b"no", names=[f"{SECRET}.png"] * 2, headers=key)
        post_raw(app, SECRET.encode(), **key)
        post_raw(app, f"--b\r\n{SECRET}: {SECRET}\r\r\n".encode(), **key, **form)
        post_raw(app, f"--b\x00{SECRET}".encode(), **key, **form)
        post_raw(app, f"{SECRET}--b\r\n\r\n--b--\r\n{SECRET}".encode(), **key, **form)
        post_raw(app, png(), **{"x-api-key": SECRET, "user-agent": SECRET, "cookie": SECRET})
    out, err = capfd.readouterr()
    assert SECRET not in caplog.text + out + err
    assert "python_multipart" not in caplog.text
