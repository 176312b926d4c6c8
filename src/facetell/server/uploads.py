"""A request's body -> images in memory, bounded while it comes in. Nothing touches the disk.

Starlette's own form parser is not used: it spools parts above a megabyte into files.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from facetell.server.refusal import Refused
from facetell.server.settings import Settings

__all__ = ["PART", "Held", "Lease", "Upload", "is_multipart", "receive_uploads"]

#: What the parts of a multipart body are called.
PART = "image"
_RAW = "application/octet-stream"
_LONGEST_NAME = 255
# The parser would log the bytes it stumbles over; they are somebody's photo.
_SILENT = logging.Logger("facetell.server.multipart")
_SILENT.disabled = True


@dataclass(frozen=True, slots=True)
class Upload:
    """One image as it came: the file name its sender gave, "" without one, and its bytes."""

    name: str
    data: bytes


class Lease:
    """One request's share of what is held."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self.taken_bytes = 0

    def grow(self, more_bytes: int) -> None:
        """Count bytes that came in.

        Raises:
            Refused: 503, all requests together hold too much.
        """
        if self._held.taken_bytes + more_bytes > self._held.max_bytes:
            raise Refused(
                503,
                f"expected uploads of at most {self._held.max_bytes:,} bytes at a time over all "
                "clients, got more. Try again in a moment.",
                reason="memory",
            )
        self._held.taken_bytes += more_bytes
        self.taken_bytes += more_bytes


class Held:
    """How many bytes of uploads are in memory, over all requests."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.taken_bytes = 0

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """A share that is given back at the end."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            self.taken_bytes -= lease.taken_bytes


def is_multipart(request: Request) -> bool:
    """Whether the body may hold several images."""
    return _media_type(request)[0] == "multipart/form-data"


async def receive_uploads(request: Request, settings: Settings, lease: Lease) -> list[Upload]:
    """The images in a request, one or more; a raw body is one.

    Raises:
        Refused: too large, too many, of another type, or not multipart as it should be.
    """
    kind, boundary = _media_type(request)
    _check_headers(request, settings)
    body = _bounded(request, settings, lease)
    if kind == "multipart/form-data":
        return await _receive_parts(body, boundary, settings)
    if kind == _RAW or kind.startswith("image/"):
        return [Upload("", b"".join([chunk async for chunk in body]))]
    raise Refused(
        415,
        f"expected an image (image/jpeg, image/png, ..., {_RAW}) or multipart/form-data, got "
        f"{kind or 'no content type'!r}. Send the header Content-Type.",
        reason="type",
    )


def _media_type(request: Request) -> tuple[str, bytes]:
    """Type in lower case, and the boundary of a multipart one."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    return kind.decode("latin-1"), options.get(b"boundary", b"")


def _check_headers(request: Request, settings: Settings) -> None:
    declared = request.headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdecimal()):
        raise Refused(400, "expected a Content-Length in digits, got another.", reason="malformed")
    if len(declared) > 18 or int(declared) > settings.max_body_bytes:
        _refuse_size(settings.max_body_bytes, declared)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(
            415,
            "expected a body as it is, got one with Content-Encoding. Send it uncompressed.",
            reason="type",
        )


def _refuse_size(most: int, got: str) -> None:
    raise Refused(
        413,
        f"expected a body of at most {most:,} bytes, got {got}. "
        "Save the image smaller, or send fewer at a time.",
        reason="size",
    )


async def _bounded(request: Request, settings: Settings, lease: Lease) -> AsyncIterator[bytes]:
    """The body's chunks; whatever its headers claimed, they end at the limit."""
    try:
        async for chunk in request.stream():
            if lease.taken_bytes + len(chunk) > settings.max_body_bytes:
                _refuse_size(settings.max_body_bytes, "more")
            lease.grow(len(chunk))
            yield chunk
    except ClientDisconnect as error:
        raise Refused(400, "the connection ended before the body.", reason="gone") from error


async def _receive_parts(
    body: AsyncIterator[bytes], boundary: bytes, settings: Settings
) -> list[Upload]:
    try:
        parts = _Parts(boundary, settings.max_images)
        async for chunk in body:
            parts.feed(chunk)
    except FormParserError as error:
        raise _malformed(f"got another ({error})") from error
    return parts.finish()


def _malformed(got: str) -> Refused:
    return Refused(
        400, f"expected a multipart/form-data body, {got}. Send it again.", reason="malformed"
    )


class _Parts:
    """The images of a multipart body that comes in pieces."""

    def __init__(self, boundary: bytes, max_images: int) -> None:
        if not boundary:
            raise _malformed("got one whose Content-Type names no boundary")
        self._max_images = max_images
        self._uploads: list[Upload] = []
        self._data, self._field, self._value = bytearray(), bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": lambda data, a, b: self._field.extend(data[a:b]),
                "on_header_value": lambda data, a, b: self._value.extend(data[a:b]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._check_name,
                "on_part_data": lambda data, a, b: self._data.extend(memoryview(data)[a:b]),
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )
        self._parser.logger = _SILENT

    def feed(self, chunk: bytes) -> None:
        if not self._ended:  # what follows the last boundary is to be ignored, RFC 2046
            self._parser.write(chunk)

    def finish(self) -> list[Upload]:
        if not self._ended:
            raise _malformed("got one that ends in the middle")
        if not self._uploads:
            raise Refused(
                422, f"expected parts called {PART!r}, got none. Send an image.", reason="empty"
            )
        return self._uploads

    def _begin_part(self) -> None:
        if len(self._uploads) == self._max_images:
            raise Refused(
                413,
                f"expected at most {self._max_images} images in a request, got more. "
                "Send them in several requests.",
                reason="size",
            )
        self._headers = {}
        self._data = bytearray()

    def _end_header(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _disposition(self) -> dict[bytes, bytes]:
        value = self._headers.get(b"content-disposition", b"")
        return parse_options_header(value.decode("latin-1"))[1]

    def _check_name(self) -> None:
        if self._disposition().get(b"name") != PART.encode():
            raise Refused(
                422,
                f"expected parts called {PART!r}, got another name. "
                f"Call every image's part {PART!r}.",
                reason="malformed",
            )

    def _end_part(self) -> None:
        name = self._disposition().get(b"filename", b"").decode("utf-8", "replace")
        self._uploads.append(Upload(name[:_LONGEST_NAME], bytes(self._data)))
        self._data = bytearray()

    def _end(self) -> None:
        self._ended = True
