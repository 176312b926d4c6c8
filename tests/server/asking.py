"""An app around a model without a network, and ways to ask it."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
from PIL import Image

from facetell.contract import Contract
from facetell.predictor import Prediction, softmax
from facetell.results import Detection
from facetell.runtime.analyzer import Analyzer
from facetell.server.app import create_app
from facetell.server.settings import Settings


class MeanModel:
    """Scores faces by their mean brightness; notes the size of each batch."""

    contract = Contract(name="mean", face_px=16, flip=False)

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.calls = 0
        self.open = threading.Event()
        self.open.set()

    def predict(self, faces: np.ndarray) -> Prediction:
        self.calls += 1
        assert self.open.wait(20)
        self.batches.append(len(faces))
        means = faces.mean((1, 2, 3))[:, None] / 255
        margins = (means * np.arange(7)[None]).astype(np.float32)
        return Prediction(margins, softmax(margins, 1.0))


class CountedFaces:
    """Finds as many faces as the upper left pixel's red says. Can be made to wait."""

    def __init__(self) -> None:
        self.calls = 0
        self.open = threading.Event()
        self.open.set()

    def detect(self, image: np.ndarray) -> tuple[Detection, ...]:
        self.calls += 1
        assert self.open.wait(20)
        return tuple(
            Detection(box_xyxy=(2.0 * i, 1.0, 2.0 * i + 20, 21.0), score=0.9)
            for i in range(image[0, 0, 0])
        )


def make_analyzer() -> Analyzer:
    return Analyzer(MeanModel(), detector=CountedFaces())


def make_app(analyzer: Analyzer | None = None, **settings: Any) -> Any:
    return create_app(analyzer or make_analyzer(), Settings(**settings))


def photo(seed: int = 0, faces: int = 1, size_wh: tuple[int, int] = (40, 30)) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)
    image[0, 0] = faces
    return image


def png(seed: int = 0, faces: int = 1, size_wh: tuple[int, int] = (40, 30)) -> bytes:
    return encoded(photo(seed, faces, size_wh))


def encoded(image: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


async def until(holds: Callable[[], Any]) -> None:
    """Waits for a condition, 20 s at most."""
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)


def with_client(
    app: Any, use: Callable[[httpx.AsyncClient], Awaitable[Any]], *, host: str = "localhost"
) -> Any:
    """What `use(client)` returns; requests stay in this process."""

    async def run() -> Any:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await use(client)

    return asyncio.run(run())


def ask(app: Any, method: str, path: str, *, host: str = "localhost", **request: Any) -> Any:
    """The answer to one request."""
    return with_client(app, lambda client: client.request(method, path, **request), host=host)


def post_raw(app: Any, data: Any, **headers: str) -> Any:
    headers = {"content-type": "image/png", **headers}
    return ask(app, "POST", "/v1/read", content=data, headers=headers)


def post_parts(app: Any, *images: bytes, names: list[str] | None = None, **request: Any) -> Any:
    names = names or [f"{i}.png" for i in range(len(images))]
    files = [("image", (n, data)) for n, data in zip(names, images, strict=True)]
    return ask(app, "POST", "/v1/read", files=files, **request)


class Talk:
    """The client's end of a WebSocket to an app in this process."""

    def __init__(self) -> None:
        self.to_app: asyncio.Queue[Any] = asyncio.Queue()
        self.from_app: asyncio.Queue[Any] = asyncio.Queue()

    async def next(self) -> Any:
        async with asyncio.timeout(20):
            return await self.from_app.get()

    async def send(self, **content: Any) -> None:
        await self.to_app.put({"type": "websocket.receive", **content})

    async def reading(self) -> dict[str, Any]:
        message = await self.next()
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])


@asynccontextmanager
async def talking(app: Any, **headers: str) -> AsyncIterator[Talk]:
    """A handshake is on its way; at the end the client is gone and the app is done."""
    talk = Talk()
    sent = {"host": "localhost", **headers}
    scope = {
        "type": "websocket", "path": "/v1/live", "query_string": b"", "subprotocols": [],
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "extensions": {"websocket.http.response": {}}, "app": app,
    }  # fmt: skip
    await talk.to_app.put({"type": "websocket.connect"})
    serving = asyncio.create_task(app(scope, talk.to_app.get, talk.from_app.put))
    try:
        yield talk
    finally:
        await talk.to_app.put({"type": "websocket.disconnect", "code": 1000})
        async with asyncio.timeout(20):
            await serving
