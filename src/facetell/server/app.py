"""The HTTP interface: routes, their limits in time, and their description."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Security, WebSocket, params
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import APIKeyHeader, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

import facetell
from facetell.contract import Contract
from facetell.results import Reading
from facetell.runtime.analyzer import Analyzer
from facetell.server.batcher import Batcher
from facetell.server.guard import Guard
from facetell.server.listing import LISTING_POLICY, list_operations
from facetell.server.live import Frame, Live, ReadFrame, follow
from facetell.server.metrics import Metrics
from facetell.server.refusal import Problem, Refused, problem_response
from facetell.server.settings import Settings
from facetell.server.site import page_routes
from facetell.server.uploads import PART, Held, Upload, is_multipart, receive_uploads

__all__ = ["Health", "Models", "Readings", "ServedModel", "create_app"]

_DESCRIPTION = """\
Faces in photos, and how they look to annotators: scores between 0 and 1 that sum to 1. \
A score does not say what a person feels.

In the European Union, inferring emotions at work or in education is prohibited \
(AI Act, Art. 5(1)(f)), and people exposed to emotion recognition must be told (Art. 50(3)).

Images stay in memory until they are answered; nothing of them is stored or logged. \
Frames of a camera go to the WebSocket /v1/live, one image file in each binary message."""

_IMAGE = {"type": "string", "format": "binary"}


@dataclass(frozen=True)
class Readings:
    """What was read from several images.

    Attributes:
        readings: one for each image, in their order.
    """

    readings: list[Reading]


@dataclass(frozen=True)
class ServedModel:
    """A model that answers here.

    Attributes:
        name: what readings call it.
        contract: what it takes, gives and was trained on.
    """

    name: str
    contract: Contract


@dataclass(frozen=True)
class Models:
    """The models that answer here."""

    models: list[ServedModel]


@dataclass(frozen=True)
class Health:
    """Whether the server takes requests: "ok" or "stopping"."""

    status: str


def create_app(
    analyzer: Analyzer,
    settings: Settings | None = None,
    *,
    page: Mapping[str, Path | bytes] | None = None,
) -> FastAPI:
    """An ASGI app that reads images with one analyzer.

    Args:
        analyzer: its model and detector are loaded already.
        settings: limits; None for the defaults.
        page: files of the page at "/", from `page_files`; None for an interface without one.

    Example:
        app = create_app(Analyzer(), Settings(api_key=key))

    Raises:
        InputError: the model reads windows of frames, not stills.
    """
    settings = settings or Settings()
    service = _Service(analyzer, settings)
    app = FastAPI(
        title="facetell",
        version=facetell.__version__,
        description=_DESCRIPTION,
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        lifespan=service.lifespan,
        redirect_slashes=False,
    )
    app.state.is_stopping = False
    app.add_exception_handler(HTTPException, _explain)
    _add_routes(app, service)
    app.router.routes.extend(page_routes(page) if page else [])
    app.add_middleware(
        Guard,
        settings=settings,
        metrics=service.metrics,
        is_stopping=lambda: bool(app.state.is_stopping),
    )
    if settings.origins:
        _allow_origins(app, settings.origins)
    return app


class _Service:
    """What the routes share: one queue, one set of counters."""

    def __init__(self, analyzer: Analyzer, settings: Settings) -> None:
        self.settings = settings
        self.analyzer = analyzer
        self.contract = analyzer.contract
        self.held = Held(settings.max_held_bytes)
        self.batcher = Batcher(analyzer, settings, on_batch=self._count_batch)
        self.metrics = Metrics(
            analyzer.contract.name,
            queued_images=lambda: self.batcher.images,
            held_bytes=lambda: self.held.taken_bytes,
        )
        self.live = Live(self._frame_reader, settings, self.metrics)

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        yield
        self.batcher.close()

    def _count_batch(self, faces: int) -> None:
        self.metrics.batch_faces.observe(faces)

    def _frame_reader(self) -> ReadFrame:
        follower = follow(self.analyzer, self.settings.max_pixels)

        async def read(frame: Frame) -> Reading:
            return await self.batcher.run(lambda: follower(frame))

        return read

    async def read(self, request: Request) -> Response:
        """Answers as soon as all images of the request are read.

        A raw image is answered with one reading; multipart/form-data, with one or more parts
        called `image`, with `{"readings": [...]}` in their order. `source` is the file name
        that was sent along, or empty. Among several images, one that cannot be read has an
        `error` in its reading; a request whose only image cannot be read is answered with 422.
        A photo without a face is an answer: `faces` is empty.
        """
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                with self.held.lease() as lease:
                    uploads = await receive_uploads(request, self.settings, lease)
                    readings = await _unless_gone(request, self.batcher, uploads)
        except TimeoutError as error:
            raise Refused(
                504,
                f"expected to be done within {self.settings.timeout_s:g} s, was not. "
                "Send fewer or smaller images, or try again when the server is less busy.",
                reason="time",
            ) from error
        self.metrics.count_images(readings)
        if len(readings) == 1 and readings[0].error is not None:
            raise Refused(422, readings[0].error, reason="image")
        if is_multipart(request):
            return JSONResponse({"readings": [reading.to_dict() for reading in readings]})
        return JSONResponse(readings[0].to_dict())

    async def list_models(self) -> Response:
        """Their contracts hold labels, calibration, protocol and licence."""
        model = {"name": self.contract.name, "contract": asdict(self.contract)}
        return JSONResponse({"models": [model]})

    async def tell_metrics(self) -> Response:
        """In Prometheus' text format; numbers only."""
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def _unless_gone(request: Request, batcher: Batcher, uploads: list[Upload]) -> list[Reading]:
    """Readings of the images, unless their sender hangs up first."""
    reading = asyncio.create_task(batcher.read(uploads))
    gone = asyncio.create_task(_hung_up(request))
    try:
        await asyncio.wait({reading, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            raise Refused(400, "the connection ended before the answer.", reason="gone")
        return reading.result()
    finally:
        reading.cancel()
        gone.cancel()
        await asyncio.wait({reading, gone})


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _add_routes(app: FastAPI, service: _Service) -> None:
    async def check_health() -> Response:
        """Asks for no API key; 503 while the server is stopping."""
        stopping = bool(app.state.is_stopping)
        status = "stopping" if stopping else "ok"
        return JSONResponse({"status": status}, 503 if stopping else 200)

    async def show_operations() -> Response:
        page = list_operations(app.openapi())
        return HTMLResponse(page, headers={"Content-Security-Policy": LISTING_POLICY})

    async def serve_live(socket: WebSocket) -> None:
        await service.live.serve(socket)

    keys = _describe_keys(service.settings)
    app.add_api_route(
        "/v1/read", service.read, methods=["POST"], operation_id="read",
        dependencies=keys,
        summary="Read the faces in one or several images.",
        openapi_extra={"requestBody": _body(service.settings.max_images)},
        responses={
            200: {"model": Reading | Readings, "description": "What was read."},
            **_problems(service, 400, 403, 413, 415, 421, 422, 503, 504),
        },
    )  # fmt: skip
    app.add_api_route(
        "/v1/models", service.list_models, methods=["GET"], operation_id="list_models",
        dependencies=keys,
        summary="The models that answer here.",
        responses={200: {"model": Models, "description": "One model."}, **_problems(service, 421)},
    )  # fmt: skip
    app.add_api_route(
        "/healthz", check_health, methods=["GET"], operation_id="check_health",
        summary="Whether the server takes requests.",
        responses={
            200: {"model": Health, "description": "It does."},
            503: {"model": Health, "description": "It is stopping."},
        },
    )  # fmt: skip
    app.add_api_route(
        "/metrics", service.tell_metrics, methods=["GET"], operation_id="tell_metrics",
        dependencies=keys,
        summary="What the server counted.", response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}},
                  "description": "Prometheus text."},
            **_problems(service, 421),
        },
    )  # fmt: skip
    app.add_api_route("/docs", show_operations, methods=["GET"], include_in_schema=False)
    app.add_api_websocket_route("/v1/live", serve_live)


def _body(max_images: int) -> dict[str, Any]:
    """The body of a request to read, for the description."""
    images = {"type": "array", "items": _IMAGE, "minItems": 1, "maxItems": max_images}
    form = {
        "type": "object",
        "properties": {PART: images},
        "required": [PART],
        "additionalProperties": False,
    }
    alone = ("image/jpeg", "image/png", "application/octet-stream")
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    content |= {kind: {"schema": _IMAGE} for kind in alone}
    return {"required": True, "content": content}


def _describe_keys(settings: Settings) -> list[params.Depends]:
    """Tells the description how keys are sent; it is the guard that checks them."""
    if settings.api_key is None:
        return []
    schemes = HTTPBearer(auto_error=False), APIKeyHeader(name="X-API-Key", auto_error=False)
    return [Security(scheme) for scheme in schemes]


_MEANING = {
    400: "The body is malformed.",
    401: "The API key is missing or wrong.",
    403: "Another site's page sent the request.",
    413: "The body is too large, or holds too many images.",
    415: "The body is no image and not multipart/form-data.",
    421: "The Host header names another server.",
    422: "The only image cannot be read.",
    503: "The server is full or stopping; Retry-After says when to try again.",
    504: "It took too long.",
}


def _problems(service: _Service, *statuses: int) -> dict[int | str, dict[str, Any]]:
    locked = (401,) if service.settings.api_key is not None else ()
    return {
        status: {"model": Problem, "description": _MEANING[status]}
        for status in sorted((*statuses, *locked))
    }


async def _explain(request: Request, error: Exception) -> Response:
    """The framework's own errors, in our form."""
    assert isinstance(error, HTTPException)
    texts = {
        404: "expected a path of this server, got another. /docs lists them.",
        405: "expected another method for this path. /docs lists them.",
    }
    response = problem_response(error.status_code, texts.get(error.status_code, error.detail))
    response.headers.update(error.headers or {})
    return response


def _allow_origins(app: FastAPI, origins: tuple[str, ...]) -> None:
    from starlette.middleware.cors import CORSMiddleware

    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "X-API-Key"],
    )
