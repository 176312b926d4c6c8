"""A real server in a process of its own, on loopback."""

import asyncio
import contextlib
import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

import uvicorn
import websockets
from asking import make_app, png
from starting import serving, until_answered

from facetell.errors import InputError
from facetell.server.running import _Server, is_loopback, read_key, run
from facetell.server.settings import Settings

PHOTO = {"content": png(), "headers": {"content-type": "image/png"}}


def stop(process, how=signal.SIGTERM):
    process.send_signal(how)
    return process.wait(20), process.stderr.read()


def test_the_command_serves_photos_and_frames_and_stops_when_asked(tiny_model_path):
    with serving(tiny_model_path, "--detector", "none") as (url, process):
        assert until_answered(url).json() == {"status": "ok"}
        over_http = httpx.post(f"{url}/v1/read", **PHOTO).json()
        assert over_http["model"] == "tiny"
        assert len(over_http["faces"]) == 1

        async def talk():
            address = f"ws{url.removeprefix('http')}/v1/live"
            async with websockets.connect(address, origin=url) as connection:
                await connection.send(PHOTO["content"])
                live = json.loads(await connection.recv())
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(address, origin="http://evil.example")
            return live, refused.value.response.status_code

        live, status = asyncio.run(talk())
        assert (live["source"], live["time_s"]) == ("frame 1", 0.0)
        assert live["faces"][0]["label"] == over_http["faces"][0]["label"]
        assert status == 403
        code, said = stop(process, signal.SIGINT)
    assert code == 0
    assert "Art. 5(1)(f)" in said
    assert said.endswith("stopped\n")
    assert "Warning" not in said
    assert "Traceback" not in said


def test_a_server_that_is_told_to_stop_finishes_what_it_has(tiny_model_path):
    dark = {**PHOTO, "content": png(faces=0)}  # no face: its first pixel is dark, which is slow
    with (
        serving(tiny_model_path, "--detector", "none") as (url, process),
        ThreadPoolExecutor() as pool,
    ):
        until_answered(url)
        with httpx.Client() as kept:
            kept.get(f"{url}/healthz")
            answer = pool.submit(httpx.post, f"{url}/v1/read", **dark)
            while "facetell_queue_images 1.0" not in kept.get(f"{url}/metrics").text:
                assert not answer.done(), "the photo was to take two seconds"
            process.send_signal(signal.SIGTERM)
            time.sleep(0.05)
            with contextlib.suppress(httpx.TransportError):  # its connection may be closed
                assert kept.get(f"{url}/v1/models").status_code == 503
        assert answer.result().status_code == 200
        assert process.wait(20) == 0
        assert process.stderr.read().endswith("stopped\n")


def test_the_first_signal_refuses_new_work_and_the_second_ends_it_at_once():
    app = make_app()
    server = _Server(uvicorn.Config(app), app)
    server.handle_exit(signal.SIGTERM, None)
    assert (app.state.is_stopping, server.should_exit, server.force_exit) == (True, True, False)
    server.handle_exit(signal.SIGINT, None)
    assert server.force_exit


def test_an_open_live_connection_does_not_keep_a_server_from_stopping(tiny_model_path):
    async def talk(url, process):
        async with websockets.connect(f"ws{url.removeprefix('http')}/v1/live") as connection:
            await connection.send(PHOTO["content"])
            await connection.recv()
            process.send_signal(signal.SIGTERM)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await connection.recv()
            return closed.value.rcvd.code

    with serving(tiny_model_path, "--detector", "none") as (url, process):
        until_answered(url)
        assert asyncio.run(talk(url, process)) == 1012  # restarting
        assert process.wait(20) == 0


def test_a_taken_port_is_one_line_and_status_1(tiny_model_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"expected a free port at 127.0.0.1, got {port}"):
            run(make_app(), Settings(), host="127.0.0.1", port=port)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.168.0.7", False), ("faces.example", False)],
)  # fmt: skip
def test_loopback_is_told_from_other_addresses(host, expected):
    assert is_loopback(host) is expected


def test_a_key_is_the_first_line_of_its_file(tmp_path):
    (tmp_path / "key").write_text("  abc \nrest\n")
    assert read_key(tmp_path / "key") == "abc"
    with pytest.raises(InputError, match=r"expected a file with an API key, .* \(No such file"):
        read_key(tmp_path / "none")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="it is not text"):
        read_key(tmp_path / "bytes")
