import asyncio
import io
import zlib

import httpx
import pytest
from PIL import Image

pytest.importorskip("fastapi")

from asking import ask, make_analyzer, make_app, png, post_parts, post_raw, until, with_client

from facetell.errors import InputError
from facetell.server.settings import Settings

KIND = {"content-type": "image/png"}


async def in_pieces(pieces, *, seen=None, pause_s=0.0):
    for piece in pieces:
        if seen is not None:
            seen.append(len(piece))
        await asyncio.sleep(pause_s)
        yield piece


def counted(app, name):
    lines = ask(app, "GET", "/metrics").text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(name))


def test_a_declared_size_is_refused_before_a_byte_is_read():
    app, seen = make_app(max_body_bytes=1000), []
    body = in_pieces([b"x" * 600] * 2, seen=seen)
    answer = ask(app, "POST", "/v1/read", content=body, headers={**KIND, "content-length": "1200"})
    assert answer.status_code == 413
    assert "at most 1,000 bytes, got 1200" in answer.json()["error"]
    assert seen == []


@pytest.mark.parametrize("size", ["-1", "1e3", "", "٣", "9" * 5000])
def test_odd_declared_sizes_are_refused(size):
    async def send():
        scope = {
            "type": "http", "method": "POST", "path": "/v1/read", "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-length", size.encode())],
        }  # fmt: skip
        sent = []

        async def keep(message):
            sent.append(message)

        await make_app(max_body_bytes=1000)(scope, None, keep)
        return sent[0]["status"]

    assert asyncio.run(send()) in (400, 413)


def test_a_size_that_was_not_declared_ends_at_the_limit():
    app, seen = make_app(max_body_bytes=1000), []
    body = in_pieces([b"x" * 300] * 50, seen=seen)
    answer = ask(app, "POST", "/v1/read", content=body, headers=KIND)
    assert answer.status_code == 413
    assert len(seen) <= 5  # httpx takes one ahead
    assert counted(app, "facetell_held_bytes") == 0


def test_the_limit_itself_is_allowed():
    data = png()
    assert post_raw(make_app(max_body_bytes=len(data)), data).status_code == 200
    assert post_raw(make_app(max_body_bytes=len(data) - 1), data).status_code == 413


def test_pixels_are_judged_by_the_header_before_decoding():
    app = make_app(max_pixels=1200)
    assert post_raw(app, png(size_wh=(40, 30))).status_code == 200
    answer = post_raw(app, png(size_wh=(40, 31)))
    assert answer.status_code == 422
    assert "at most 1,200 pixels, got 40 x 31" in answer.json()["error"]


def test_a_bomb_is_refused_unopened():
    claim = bytearray(png(size_wh=(8, 8)))
    claim[16:24] = (60_000).to_bytes(4, "big") * 2  # its header claims 3.6 thousand million pixels
    claim[29:33] = zlib.crc32(claim[12:29]).to_bytes(4, "big")
    flat = io.BytesIO()
    Image.new("L", (9000, 9000)).save(flat, "PNG")
    assert len(flat.getvalue()) < 100_000
    for data in (bytes(claim), flat.getvalue()):
        answer = post_raw(make_app(), data)
        assert answer.status_code == 422
        assert "pixels" in answer.json()["error"]


def test_images_with_more_faces_than_allowed_are_refused():
    app = make_app(max_faces=3)
    assert len(post_raw(app, png(faces=3)).json()["faces"]) == 3
    answer = post_raw(app, png(faces=4))
    assert answer.status_code == 422
    assert "image: expected at most 3 faces, got 4." in answer.json()["error"]


def test_more_images_than_allowed_are_refused():
    app = make_app(max_images=2)
    assert post_parts(app, png(), png()).status_code == 200
    answer = post_parts(app, png(), png(), png())
    assert answer.status_code == 413
    assert "at most 2 images" in answer.json()["error"]


def test_a_request_that_takes_too_long_is_ended_and_its_place_given_back():
    analyzer = make_analyzer()
    app = make_app(analyzer, timeout_s=0.2, workers=1)
    analyzer.detector.open.clear()

    async def use(client):
        late = await client.post("/v1/read", content=png(), headers=KIND)
        second = await client.post("/v1/read", content=png(), headers=KIND)
        during = (await client.get("/metrics")).text
        analyzer.detector.open.set()
        await asyncio.sleep(0.05)
        return late, second, during, await client.post("/v1/read", content=png(), headers=KIND)

    late, second, during, after = with_client(app, use)
    assert (late.status_code, second.status_code) == (504, 504)
    assert "done within 0.2 s, was not" in late.json()["error"]
    assert "facetell_queue_images 2.0" in during  # a thread is still at it
    assert after.status_code == 200
    assert analyzer.detector.calls == 2  # nobody waited for the second any more
    assert counted(app, "facetell_queue_images") == 0


def test_a_body_that_trickles_is_ended():
    app = make_app(timeout_s=0.2)
    body = in_pieces([b"x"] * 100, pause_s=0.05)
    assert ask(app, "POST", "/v1/read", content=body, headers=KIND).status_code == 504
    assert counted(app, "facetell_held_bytes") == 0


def test_a_full_queue_refuses_at_once_and_takes_again_when_there_is_room():
    analyzer = make_analyzer()
    app = make_app(analyzer, max_queue_images=3, max_images=3, workers=1)
    analyzer.detector.open.clear()

    async def use(client):
        def post():
            return client.post("/v1/read", content=png(), headers=KIND)

        first = [asyncio.create_task(post()) for _ in range(3)]
        await until(lambda: analyzer.detector.calls)
        await asyncio.sleep(0.05)
        refused = await asyncio.gather(*(post() for _ in range(20)))
        analyzer.detector.open.set()
        return refused, await asyncio.gather(*first), await post()

    refused, taken, after = with_client(app, use)
    assert {answer.status_code for answer in refused} == {503}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert "at most 3 images at a time" in refused[0].json()["error"]
    assert {answer.status_code for answer in [*taken, after]} == {200}
    assert counted(app, 'facetell_refused_total{reason="queue"}') == 20


def test_uploads_of_all_clients_together_are_bounded():
    app = make_app(max_body_bytes=10_000, max_held_bytes=10_000)
    go_on = asyncio.Event()

    async def slow():
        yield b"x" * 9_000
        await go_on.wait()

    async def use(client):
        first = asyncio.create_task(client.post("/v1/read", content=slow(), headers=KIND))
        await asyncio.sleep(0.1)
        second = await client.post("/v1/read", content=b"x" * 2_000, headers=KIND)
        go_on.set()
        await first
        return second, await client.post("/v1/read", content=png(), headers=KIND)

    refused, after = with_client(app, use)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "uploads of at most 10,000 bytes at a time over all" in refused.json()["error"]
    assert after.status_code == 200


def test_images_of_a_client_that_hung_up_are_not_read():
    analyzer = make_analyzer()
    app = make_app(analyzer, workers=1)
    analyzer.detector.open.clear()

    async def hang_up():
        messages = [{"type": "http.request", "body": png(), "more_body": False},
                    {"type": "http.disconnect"}]  # fmt: skip

        async def receive():
            await asyncio.sleep(0.02)
            return messages.pop(0) if len(messages) > 1 else messages[0]

        async def send(message):
            pass

        headers = [(b"host", b"localhost"), (b"content-type", b"image/png")]
        scope = {"type": "http", "method": "POST", "path": "/v1/read", "query_string": b"",
                 "headers": headers}  # fmt: skip
        await asyncio.gather(*(app(dict(scope), receive, send) for _ in range(3)))
        analyzer.detector.open.set()
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/v1/read", content=png(), headers=KIND)

    assert asyncio.run(hang_up()).status_code == 200
    assert analyzer.detector.calls == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_pixels": 0}, "max_pixels must be above 0, got 0"),
        ({"timeout_s": -1.0}, r"timeout_s must be above 0, got -1\.0"),
        ({"max_images": 65}, r"max_images must be at most max_queue_images \(64\), got 65"),
        ({"max_body_bytes": 2**40}, "max_body_bytes must be at most max_held_bytes"),
        ({"api_key": "short"}, "at least 16 printable ASCII characters without spaces, got 5"),
        ({"api_key": "grüße" * 9}, "printable ASCII"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Settings(**settings)
