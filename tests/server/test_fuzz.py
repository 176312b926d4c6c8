"""Whatever comes in, the answer is JSON of a known status, and the server goes on."""

import asyncio
import io

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("fastapi")

from asking import MeanModel, make_app, photo, talking

from facetell.results import Reading
from facetell.runtime.analyzer import Analyzer

LIMIT = 20_000
APP = make_app(max_body_bytes=LIMIT, max_pixels=10_000, max_faces=5, max_images=3)
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "TGA", "ICO")
EASY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def in_format(name):
    out = io.BytesIO()
    Image.fromarray(photo(3, faces=2)).save(out, name)
    return out.getvalue()


SEEDS = [in_format(name) for name in FORMATS]


@st.composite
def damaged(draw):
    """An image file cut off, with bits flipped, bytes put in, or sizes blown up."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 8))):
        at = draw(st.integers(0, min(len(data) - 1, draw(st.sampled_from([64, len(data)])))))
        data[at] ^= 1 << draw(st.integers(0, 7))
    if draw(st.booleans()):
        at = draw(st.integers(0, 60))
        data[at : at + 4] = draw(st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"]))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


def sent(body, kind):
    """The answer, judged as every answer must be."""

    async def run():
        transport = httpx.ASGITransport(app=APP)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            headers = {"content-type": kind}
            answer = await client.post("/v1/read", content=body, headers=headers)
            health = await client.get("/metrics")
        return answer, health.text

    answer, metrics = asyncio.run(run())
    assert answer.status_code in (200, 400, 413, 415, 422)
    if answer.status_code != 200:
        assert list(answer.json()) == ["error"]
        assert len(answer.json()["error"]) < 1000
    assert "facetell_queue_images 0.0\n" in metrics
    assert "facetell_held_bytes 0.0\n" in metrics
    return answer


@given(data=st.one_of(damaged(), st.binary(max_size=300)))
@EASY
def test_raw_bodies_of_any_kind_are_read_or_refused(data):
    answer = sent(data, "image/jpeg")
    if answer.status_code == 200:
        reading = Reading.from_dict(answer.json())
        assert reading.error is None
        assert np.prod(reading.size_wh) <= 10_000


PIECES = st.sampled_from(
    [b"--b", b"--b--", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b":", b"--", b"\0", b"b", b"--c",
     b'Content-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n',
     b'Content-Disposition: form-data; name="other"\r\n\r\n', b'Content-Disposition: "',
     b"Content-Transfer-Encoding: base64\r\n", b"X: " + b"y" * 5000, b"A:b\r\n" * 20,
     b'\r\n--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n', SEEDS[0]]
)  # fmt: skip


@given(pieces=st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=12))
@EASY
def test_multipart_bodies_of_any_kind_are_read_or_refused(pieces):
    answer = sent(b"".join(pieces), "multipart/form-data; boundary=b")
    if answer.status_code == 200:
        assert 1 <= len(answer.json()["readings"]) <= 3


@given(images=st.lists(damaged(), min_size=1, max_size=4), cut=st.integers(0, 40), seed=st.data())
@EASY
def test_well_formed_multipart_bodies_have_one_reading_for_each_image(images, cut, seed):
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="n"\r\n\r\n'
    body = b"".join(head + image + b"\r\n" for image in images) + b"--b--"
    if seed.draw(st.booleans()):
        body = body[: len(body) - cut]
    else:
        cut = 0
    answer = sent(body, "multipart/form-data; boundary=b")
    if any(b"\r\n--b" in image for image in images) or cut:
        return
    if len(body) > LIMIT or len(images) > 3:
        assert answer.status_code == 413
    elif len(images) > 1:
        assert len(answer.json()["readings"]) == len(images)
    else:
        assert answer.status_code in (200, 422)


@given(kind=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=80))
@EASY
def test_content_types_of_any_kind_are_read_or_refused(kind):
    for value in (kind, f"multipart/form-data; boundary={kind}", f"image/{kind}"):
        sent(b"--b\r\n", value.encode("latin-1"))


@given(frames=st.lists(st.one_of(damaged(), st.binary(max_size=50)), max_size=5))
@settings(EASY, max_examples=40)
def test_frames_of_any_kind_are_answered(frames):
    async def run():
        async with talking(make_app(Analyzer(MeanModel(), detector="none"))) as talk:
            await talk.next()
            for frame in frames:
                await talk.send(bytes=frame)
                Reading.from_dict(await talk.reading())

    asyncio.run(run())
