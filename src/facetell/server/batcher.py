"""Images of many clients -> readings: decoded side by side, their faces scored together.

No timer: while the model is at work, faces gather; when it is free, it takes all that are
there, up to a batch. An idle server answers at once, a busy one fills its batches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from facetell.errors import FacetellError
from facetell.results import Reading
from facetell.runtime.analyzer import Analyzer, Prepared
from facetell.runtime.session import BATCH
from facetell.server.refusal import Refused
from facetell.server.settings import Settings
from facetell.server.uploads import Upload

__all__ = ["Batcher", "broken_reading"]

_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class _Job:
    """One image on its way; nobody may be waiting for it any more."""

    upload: Upload
    wanted: bool = True


class Batcher:
    """Reads images for many requests at once, and refuses what it cannot take.

    Args:
        analyzer: decodes, finds and scores.
        settings: workers, max_queue_images, max_pixels and max_faces are read.
        on_batch: called with the number of faces in each call of the model.
    """

    def __init__(
        self,
        analyzer: Analyzer,
        settings: Settings,
        *,
        on_batch: Callable[[int], None] = lambda faces: None,
    ) -> None:
        self._analyzer = analyzer
        self._settings = settings
        self._on_batch = on_batch
        self._open()
        self._ready: deque[tuple[Prepared, asyncio.Future[Reading]]] = deque()
        self._scoring = False
        self._tasks: set[asyncio.Task[Any]] = set()  # the loop itself keeps weak ones only
        self.images = 0

    async def read(self, uploads: Sequence[Upload]) -> list[Reading]:
        """Readings in the order of the images; a broken image's says why.

        Raises:
            Refused: 503, the queue has no room for them.
        """
        self._check_room(len(uploads))
        jobs = [_Job(upload) for upload in uploads]
        work = [self._start(self._admitted(self._read_one(job))) for job in jobs]
        try:
            # Shielded: a thread cannot be stopped, and its place is taken until it is done.
            return await asyncio.gather(*map(asyncio.shield, work))
        finally:
            for job in jobs:
                job.wanted = False

    async def run(self, function: Callable[[], _Answer]) -> _Answer:
        """One image's worth of other work, in the same threads and the same queue.

        Raises:
            Refused: 503, the queue has no room for it.
        """
        self._check_room(1)
        work = asyncio.get_running_loop().run_in_executor(self._finders, function)
        return await asyncio.shield(self._start(self._admitted(work)))

    def close(self) -> None:
        """Start nothing of what waits; what runs in a thread runs to its end."""
        self._finders.shutdown(wait=False, cancel_futures=True)
        self._scorer.shutdown(wait=False, cancel_futures=True)
        self._open()  # an app may be started again; threads are made when they are needed

    def _open(self) -> None:
        self._finders = ThreadPoolExecutor(self._settings.workers, "facetell-find")
        self._scorer = ThreadPoolExecutor(1, "facetell-score")

    def _check_room(self, images: int) -> None:
        if self.images + images > self._settings.max_queue_images:
            raise Refused(
                503,
                f"expected at most {self._settings.max_queue_images} images at a time over all "
                "clients, got more. Try again in a moment.",
                reason="queue",
            )
        self.images += images

    async def _admitted(self, work: Awaitable[_Answer]) -> _Answer:
        try:
            return await work
        finally:
            self.images -= 1

    def _start(self, work: Coroutine[Any, Any, _Answer]) -> asyncio.Task[_Answer]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also where its request is gone

    async def _read_one(self, job: _Job) -> Reading:
        loop = asyncio.get_running_loop()
        prepared = await loop.run_in_executor(self._finders, self._prepare, job)
        if not prepared.detections:
            return prepared.reading
        reading: asyncio.Future[Reading] = loop.create_future()
        self._ready.append((prepared, reading))
        if not self._scoring:
            self._scoring = True
            self._start(self._score_ready())
        return await reading

    def _prepare(self, job: _Job) -> Prepared:
        try:
            if not job.wanted:
                raise FacetellError("nobody waits for this image any more.")
            prepared = self._analyzer.prepare(
                job.upload.data,
                max_pixels=self._settings.max_pixels,
                max_faces=self._settings.max_faces,
            )
            return replace(prepared, reading=replace(prepared.reading, source=job.upload.name))
        except FacetellError as error:
            model = self._analyzer.contract.name
            return Prepared(reading=broken_reading(job.upload.name, model, str(error)))

    async def _score_ready(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._ready:
                batch = self._take_batch()
                prepared = [photo for photo, _ in batch]
                self._on_batch(sum(len(photo.detections) for photo in prepared))
                work = loop.run_in_executor(self._scorer, self._analyzer.score, prepared)
                _hand_out(await _outcome(work), [reading for _, reading in batch])
        finally:
            self._scoring = False

    def _take_batch(self) -> list[tuple[Prepared, asyncio.Future[Reading]]]:
        """As many images as have BATCH faces together; one at least."""
        batch: list[tuple[Prepared, asyncio.Future[Reading]]] = []
        faces = 0
        while self._ready and (not batch or faces + len(self._ready[0][0].detections) <= BATCH):
            faces += len(self._ready[0][0].detections)
            batch.append(self._ready.popleft())
        return batch


def broken_reading(source: str, model: str, error: str) -> Reading:
    """What stands for an image that could not be read."""
    return Reading(source=source, size_wh=(0, 0), faces=(), model=model, error=error)


async def _outcome(work: Awaitable[tuple[Reading, ...]]) -> tuple[Reading, ...] | Exception:
    try:
        return await work
    except Exception as error:  # a model that fails: the requests of this batch hear of it
        return error


def _hand_out(
    outcome: tuple[Reading, ...] | Exception, waiting: list[asyncio.Future[Reading]]
) -> None:
    if isinstance(outcome, Exception):
        for future in waiting:
            future.set_exception(outcome)
        return
    for future, reading in zip(waiting, outcome, strict=True):
        future.set_result(reading)
