import asyncio
import re

import pytest

pytest.importorskip("fastapi")

from asking import MeanModel, ask, make_analyzer, make_app, photo, png, talking, until

from facetell.runtime.analyzer import Analyzer

KEY = "0123456789abcdef-secret"


def make_whole() -> Analyzer:
    """Each frame is a face: what the follower does with several is told in its own tests."""
    return Analyzer(MeanModel(), detector="none")


def metric(app, name):
    text = ask(app, "GET", "/metrics", headers={"x-api-key": KEY}).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_each_frame_is_answered_with_its_reading_its_number_and_its_time():
    analyzer = make_whole()
    app = make_app(analyzer)

    async def run():
        async with talking(app) as talk:
            assert (await talk.next())["type"] == "websocket.accept"
            readings = []
            for _ in range(3):
                await talk.send(bytes=png(7))
                readings.append(await talk.reading())
            return readings

    readings = asyncio.run(run())
    assert [reading["source"] for reading in readings] == ["frame 1", "frame 2", "frame 3"]
    times = [reading["time_s"] for reading in readings]
    assert times == sorted(times)
    assert 0 <= times[0] < 0.1
    alone = analyzer.read(photo(7)).to_dict()
    for reading in readings:
        (face,), (expected,) = reading["faces"], alone["faces"]
        assert face["person"] == 1
        assert face["scores"] == pytest.approx(expected["scores"], abs=1e-6)
        assert reading.keys() == alone.keys()
    assert metric(app, 'facetell_live_frames_total{outcome="read"}') == 3


def test_late_frames_are_dropped_for_the_newest():
    analyzer = make_whole()
    app = make_app(analyzer)
    analyzer.model.open.clear()

    async def run():
        async with talking(app) as talk:
            await talk.next()
            await talk.send(bytes=png(0))
            await until(lambda: analyzer.model.calls)
            for i in range(1, 6):
                await talk.send(bytes=png(i))
            await until(talk.to_app.empty)
            analyzer.model.open.set()
            return [await talk.reading() for _ in range(2)]

    assert [reading["source"] for reading in asyncio.run(run())] == ["frame 1", "frame 6"]
    assert metric(app, 'facetell_live_frames_total{outcome="dropped"}') == 4


def test_a_broken_frame_says_why_and_the_next_is_read():
    async def run():
        async with talking(make_app(make_whole())) as talk:
            await talk.next()
            await talk.send(bytes=b"no image")
            broken = await talk.reading()
            await talk.send(bytes=png())
            return broken, await talk.reading()

    broken, good = asyncio.run(run())
    assert "got 8 bytes that are none of these" in broken["error"]
    assert (good["error"], len(good["faces"])) == (None, 1)


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ({"text": "hello"}, 1003, "expected image files as binary messages"),
        ({"bytes": b"x" * 1001}, 1009, "expected at most 1,000 bytes"),
        (None, 1001, "no frame for too long"),
    ],
)
def test_a_client_that_does_otherwise_is_told_and_closed(message, code, reason):
    app = make_app(max_frame_bytes=1000, live_idle_s=0.2)

    async def run():
        async with talking(app) as talk:
            await talk.next()
            if message:
                await talk.send(**message)
            return await talk.next()

    closed = asyncio.run(run())
    assert closed["type"] == "websocket.close"
    assert (closed["code"], closed["reason"]) == (code, reason)
    assert metric(app, "facetell_live_connections") == 0


def test_a_client_that_reads_no_answers_is_closed():
    app = make_app(live_idle_s=0.2)

    async def run():
        async with talking(app) as talk:
            await talk.next()
            talk.from_app._maxsize = 1
            await talk.from_app.put("what it does not read")
            await talk.send(bytes=png())
            for _ in range(5):
                await asyncio.sleep(0.1)
                await talk.send(bytes=png())
            await talk.next()
            return await talk.next()

    assert asyncio.run(run())["reason"] == "answers were not read"


@pytest.mark.parametrize(
    ("settings", "headers", "status"),
    [
        ({}, {"origin": "http://evil.example"}, 403),
        ({}, {"origin": "null"}, 403),
        ({}, {"host": "evil.example"}, 421),
        ({"api_key": KEY}, {}, 401),
        ({"api_key": KEY}, {"x-api-key": KEY[1:]}, 401),
        ({"api_key": KEY}, {"x-api-key": KEY}, None),
        ({}, {"origin": "http://localhost"}, None),
        ({"origins": ("https://faces.example",)}, {"origin": "https://faces.example"}, None),
    ],
)
def test_handshakes_are_refused_like_requests(settings, headers, status):
    async def run():
        async with talking(make_app(**settings), **headers) as talk:
            return await talk.next()

    first = asyncio.run(run())
    if status is None:
        assert first["type"] == "websocket.accept"
    else:
        assert (first["type"], first["status"]) == ("websocket.http.response.start", status)


def test_connections_are_bounded_and_their_places_are_given_back():
    app = make_app(max_live=2)

    async def run():
        async with talking(app) as one, talking(app) as two:
            await one.next(), await two.next()
            async with talking(app) as three:
                start, body = await three.next(), await three.next()
        async with talking(app) as four:
            return start, body, await four.next()

    start, body, again = asyncio.run(run())
    assert start["status"] == 503
    assert (b"retry-after", b"1") in start["headers"]
    assert b"at most 2 live connections" in body["body"]
    assert again["type"] == "websocket.accept"


def test_a_failure_ends_the_connection_and_gives_its_place_back(caplog):
    analyzer = make_analyzer()
    app = make_app(analyzer)

    def fail(image):
        raise RuntimeError

    analyzer.detector.detect = fail

    async def run():
        async with talking(app) as talk:
            await talk.next()
            await talk.send(bytes=png())
            return await talk.next()

    closed = asyncio.run(run())
    assert (closed["type"], closed["code"]) == ("websocket.close", 1011)
    assert "a request failed with RuntimeError" in caplog.text
    assert metric(app, "facetell_live_connections") == 0
