"""Around every request: who may ask, what the answer's headers say, and what is counted."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
import traceback
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facetell.server.metrics import Metrics
from facetell.server.refusal import Refused, problem_response
from facetell.server.settings import LOOPBACK, Settings

__all__ = ["Guard"]

_LOG = logging.getLogger("facetell.server")
#: Paths that ask for the API key, if there is one.
_LOCKED = ("/v1/", "/metrics")
_OWN_PATHS = ("/", "/docs", "/healthz", "/metrics", "/openapi.json", "/v1/models", "/v1/read",
              "/v1/live")  # fmt: skip
# Set where the answer itself does not say otherwise.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """ASGI middleware: Host, Origin and API key are checked before a byte of the body is read.

    Args:
        app: what lies inside.
        settings: api_key, hosts and origins are read.
        metrics: requests, times and refusals are counted here.
        is_stopping: whether new work is to be refused.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        metrics: Metrics,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._is_stopping = is_stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        start = time.perf_counter()
        try:
            self._check(scope)
            await self._app(scope, receive, answer.send)
        except Refused as refused:
            self._metrics.refused.labels(refused.reason).inc()
            await _answer_problem(answer, refused.status, str(refused), scope, receive)
        except Exception as error:
            _log_failure(error)
            text = "the server failed at this request. Its log names the place."
            await _answer_problem(answer, 500, text, scope, receive)
        finally:
            self._count(scope, answer, time.perf_counter() - start)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        _check_host(host, self._settings.hosts)
        if scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD"):
            _check_origin(headers.get("origin"), host, self._settings.origins)
        if scope["path"].startswith(_LOCKED) and self._settings.api_key is not None:
            _check_key(headers, self._settings.api_key)
        if scope["path"].startswith("/v1/") and self._is_stopping():
            raise Refused(503, "this server is stopping. Try again in a moment.", reason="stopping")

    def _count(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        # Other paths share a name: anybody could fill the memory with paths of their own.
        path = scope["path"] if scope["path"] in _OWN_PATHS else "other"
        self._metrics.requests.labels(path, str(answer.status or 499)).inc()
        if scope["type"] == "http":
            self._metrics.seconds.labels(path).observe(seconds)


class _Answer:
    """Passes an answer on, with our headers, and remembers its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.is_closed = False

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        elif message["type"] == "websocket.accept":
            self.status = 101
        self.is_closed = self.is_closed or message["type"] == "websocket.close"
        await self._send(message)


async def _answer_problem(
    answer: _Answer, status: int, text: str, scope: Scope, receive: Receive
) -> None:
    if answer.status:  # its beginning is out already
        if scope["type"] == "websocket" and not answer.is_closed:
            await answer.send({"type": "websocket.close", "code": 1011, "reason": ""})
        return
    response: JSONResponse = problem_response(status, text)
    if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
        await response(scope, receive, answer.send)
    else:
        await answer.send({"type": "websocket.close", "code": 1008, "reason": ""})


def _log_failure(error: Exception) -> None:
    # Its own text is left out: it may quote what was sent.
    where = "".join(traceback.format_tb(error.__traceback__))
    _LOG.error("a request failed with %s at\n%s", type(error).__name__, where.rstrip())


def _check_host(host: str, allowed: tuple[str, ...]) -> None:
    """Against DNS rebinding: another site's name that leads to this machine is not answered."""
    name = host[: host.rindex("]") + 1] if "]" in host else host.partition(":")[0]
    if "*" not in allowed and name.lower() not in (*LOOPBACK, *map(str.lower, allowed)):
        raise Refused(
            421,
            "expected a name of this server in the Host header, got another. "
            "Allow it with --allow-host.",
            reason="host",
        )


def _check_origin(origin: str | None, host: str, allowed: tuple[str, ...]) -> None:
    """Pages of other sites may not send anything here; programs send no Origin."""
    if origin is None or origin in allowed:
        return
    try:
        same = bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        same = False
    if not same:
        raise Refused(
            403,
            "expected a request from this server's own page, got one from another site. "
            "Allow that site with --allow-origin.",
            reason="origin",
        )


def _check_key(headers: Headers, key: str) -> None:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    given = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    # Digests have one length, and are compared in one time.
    if not hmac.compare_digest(_digest(given), _digest(key)):
        raise Refused(
            401,
            "expected the server's API key, got another or none. Send the header "
            "'Authorization: Bearer KEY' or 'X-API-Key: KEY'.",
            reason="key",
        )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
