"""Frames over a WebSocket -> readings, newest first: a late answer is worth less than none."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from starlette.websockets import WebSocket, WebSocketDisconnect

from facetell.errors import FacetellError
from facetell.images import read_image
from facetell.results import Reading
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.follower import Follower
from facetell.server.metrics import Metrics
from facetell.server.refusal import Refused
from facetell.server.settings import Settings

__all__ = ["Frame", "Live", "follow"]

_GOING_AWAY, _WRONG_TYPE, _POLICY, _TOO_BIG = 1001, 1003, 1008, 1009


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of a connection.

    Attributes:
        number: 1 for the first that came, those dropped counted.
        time_s: when it came, seconds since the first.
        data: an image file.
    """

    number: int
    time_s: float
    data: bytes


ReadFrame = Callable[[Frame], Awaitable[Reading]]


def follow(analyzer: Analyzer, max_pixels: int) -> Callable[[Frame], Reading]:
    """A function that reads the frames of one connection, in their order, for steady results.

    Its readings are called "frame 1" and so on; one that cannot be read has an error.
    """
    follower = Follower(analyzer)

    def read(frame: Frame) -> Reading:
        try:
            image = read_image(frame.data, max_pixels=max_pixels)
            reading = follower.read(image, frame.time_s)
        except FacetellError as error:
            reading = Reading(
                source="", size_wh=(0, 0), faces=(), model=analyzer.contract.name,
                error=str(error), time_s=frame.time_s,
            )  # fmt: skip
        return replace(reading, source=f"frame {frame.number}")

    return read


class Live:
    """Serves live connections, a bounded number at a time.

    Args:
        make_reader: called once a connection, for a function that reads its frames.
        settings: max_live, max_frame_bytes and live_idle_s are read.
        metrics: connections and frames are counted here.
    """

    def __init__(
        self, make_reader: Callable[[], ReadFrame], settings: Settings, metrics: Metrics
    ) -> None:
        self._make_reader = make_reader
        self._settings = settings
        self._metrics = metrics
        self._open = 0

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from its handshake to its end.

        Raises:
            Refused: 503 before the handshake, too many are open.
        """
        if self._open >= self._settings.max_live:
            raise Refused(
                503,
                f"expected at most {self._settings.max_live} live connections, got more. "
                "Close another one, or try again later.",
                reason="live",
            )
        self._open += 1
        self._metrics.live.inc()
        try:
            await socket.accept()
            with suppress(WebSocketDisconnect):
                await self._converse(socket)
        finally:
            self._open -= 1
            self._metrics.live.dec()

    async def _converse(self, socket: WebSocket) -> None:
        newest: asyncio.Queue[Frame] = asyncio.Queue(maxsize=1)
        receiving = asyncio.create_task(self._receive(socket, newest))
        answering = asyncio.create_task(self._answer(socket, newest))
        try:
            done, _ = await asyncio.wait(
                {receiving, answering}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in (receiving, answering):
                task.cancel()
            await asyncio.gather(receiving, answering, return_exceptions=True)
        for task in done:
            code, reason = task.result()
            await socket.close(code, reason)

    async def _receive(self, socket: WebSocket, newest: asyncio.Queue[Frame]) -> tuple[int, str]:
        """Keeps the newest frame, until there is a reason to end."""
        number, first_s = 0, 0.0
        while True:
            try:
                async with asyncio.timeout(self._settings.live_idle_s):
                    message = await socket.receive()
            except TimeoutError:
                return _GOING_AWAY, "no frame for too long"
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            data = message.get("bytes")
            if data is None:
                return _WRONG_TYPE, "expected image files as binary messages"
            if len(data) > self._settings.max_frame_bytes:
                return _TOO_BIG, f"expected at most {self._settings.max_frame_bytes:,} bytes"
            number += 1
            now_s = time.monotonic()
            first_s = first_s or now_s
            if newest.full():
                newest.get_nowait()
                self._metrics.frames.labels("dropped").inc()
            newest.put_nowait(Frame(number, now_s - first_s, data))

    async def _answer(self, socket: WebSocket, newest: asyncio.Queue[Frame]) -> tuple[int, str]:
        read = self._make_reader()
        while True:
            frame = await newest.get()
            try:
                reading = await read(frame)
            except Refused:  # the server is full: this frame is late already
                self._metrics.frames.labels("dropped").inc()
                continue
            self._metrics.frames.labels("broken" if reading.error else "read").inc()
            try:
                async with asyncio.timeout(self._settings.live_idle_s):
                    await socket.send_text(json.dumps(reading.to_dict()))
            except TimeoutError:
                return _POLICY, "answers were not read"
