"""What a server allows: sizes, numbers and times, and who may ask."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from facetell.errors import InputError

__all__ = ["LOOPBACK", "MIN_KEY_LENGTH", "Settings"]

#: Names under which a browser on this machine knows it.
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
#: Characters of an API key; shorter ones can be guessed.
MIN_KEY_LENGTH = 16


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits of one server.

    Memory is bounded by `max_held_bytes` for uploads, and by `workers` times `max_pixels` times
    about 12 bytes for decoded photos.

    Attributes:
        max_body_bytes: largest request, bytes; counted as it comes in.
        max_images: most images in one request.
        max_pixels: largest image, pixels; judged by its header, before decoding.
        max_faces: most faces in one image.
        timeout_s: longest a request may take from its first to its last byte, s.
        max_queue_images: images waiting or in work, over all requests; beyond it, 503.
        max_held_bytes: uploads in memory, over all requests, bytes; beyond it, 503.
        workers: threads that decode images and find faces.
        max_live: open connections to /v1/live; beyond it, 503.
        max_frame_bytes: largest frame sent to /v1/live, bytes.
        live_idle_s: a live connection without a frame, or whose client reads no answers, for
            so long is closed, s.
        stop_s: longest that a stopping server waits for the requests it has, whole s.
        api_key: what clients must send, or None. It is never shown nor logged.
        hosts: names in the Host header, besides those of loopback, that are answered;
            "*" answers all.
        origins: other sites, as "https://example.org", whose pages may use the server.
    """

    max_body_bytes: int = 32 * 2**20
    max_images: int = 16
    max_pixels: int = 40_000_000
    max_faces: int = 100
    timeout_s: float = 30.0
    max_queue_images: int = 64
    max_held_bytes: int = 256 * 2**20
    workers: int = 2
    max_live: int = 8
    max_frame_bytes: int = 4 * 2**20
    live_idle_s: float = 30.0
    stop_s: int = 10
    api_key: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self) if f.type in ("int", "float")):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0, got {getattr(self, name)}.")
        self._check_order("max_images", "max_queue_images")
        self._check_order("max_body_bytes", "max_held_bytes")
        if self.api_key is not None:
            _check_key(self.api_key)

    def _check_order(self, part: str, whole: str) -> None:
        """A request that could never be admitted must not be allowed either."""
        if getattr(self, part) > getattr(self, whole):
            raise InputError(
                f"{part} must be at most {whole} ({getattr(self, whole):,}), "
                f"got {getattr(self, part):,}. Raise {whole} as well."
            )


def _check_key(key: str) -> None:
    if len(key) < MIN_KEY_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(  # says nothing of the key but its length
            f"expected an API key of at least {MIN_KEY_LENGTH} printable ASCII characters "
            f"without spaces, got {len(key)} characters. Make one with: openssl rand -hex 32"
        )
