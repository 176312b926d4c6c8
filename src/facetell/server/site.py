"""The page's files as routes. They compute in the browser; nothing of a photo comes back here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from facetell.server.static import CONTENT_TYPES

__all__ = ["PAGE_POLICY", "page_routes"]

#: Content-Security-Policy of the page and of its workers: its own files and the user's, no others.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "connect-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-cache",  # asked anew each time, sent anew only if it has changed
    "Content-Security-Policy": PAGE_POLICY,
    "Cross-Origin-Embedder-Policy": "require-corp",  # with COOP: threads for WebAssembly
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
}
_INDEX = "index.html"


def page_routes(files: Mapping[str, Path | bytes]) -> list[BaseRoute]:
    """One route for each file of the page, and "/" for its index.

    Args:
        files: from `static.page_files`.
    """
    routes = [_route(f"/{name}", name, content) for name, content in files.items()]
    return [_route("/", _INDEX, files[_INDEX]), *routes]


def _route(path: str, name: str, content: Path | bytes) -> BaseRoute:
    data = content if isinstance(content, bytes) else content.read_bytes()
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    kind = CONTENT_TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")
    headers = {**_HEADERS, "ETag": tag}

    async def send(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        if isinstance(content, bytes):
            return Response(content, media_type=kind, headers=headers)
        return FileResponse(content, media_type=kind, headers=headers)

    return Route(path, send, methods=["GET"], include_in_schema=False)
