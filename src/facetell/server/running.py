"""An app on a socket, until it is asked to stop."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from facetell.errors import InputError
from facetell.server.settings import Settings

__all__ = ["is_loopback", "read_key", "run"]

_BACKLOG = 512  # connections the system holds for us
_CONNECTIONS = 512  # open at a time; beyond it uvicorn answers 503


def run(
    app: FastAPI,
    settings: Settings,
    *,
    host: str,
    port: int,
    on_start: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGTERM or Ctrl+C, then finish what is there and refuse what comes.

    Args:
        app: from `create_app`.
        settings: those of the app; stop_s and max_frame_bytes are read.
        host: address or name to listen at.
        port: 0 takes a free one.
        on_start: called with the address once connections are taken.

    Raises:
        InputError: the address cannot be listened at.
    """
    listening = _listen(host, port)
    with listening:
        config = uvicorn.Config(
            app,
            log_config=None,  # warnings go to stderr, as everything's do
            log_level="warning",
            access_log=False,
            proxy_headers=False,  # nothing here asks who the client is
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=settings.max_frame_bytes,
            ws_max_queue=2,
            ws_per_message_deflate=False,  # images do not shrink, but bombs grow
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=settings.stop_s,
        )
        name = f"[{host}]" if ":" in host else host
        on_start(f"http://{name}:{listening.getsockname()[1]}/")
        _Server(config, app).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Tells the app at the signal, and does not raise it again: a stop asked for is no failure."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.state.is_stopping = True
        self.force_exit = self.should_exit  # asked twice: at once
        self.should_exit = True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_key(path: Path) -> str:
    """The API key in a file's first line; a name or an error never shows it.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InputError(
            f"{path}: expected a file with an API key, but it cannot be read ({reason}). "
            "Check the path and its permissions."
        ) from error
    return text.partition("\n")[0].strip()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise InputError(
            f"expected a free port at {host}, got {port} ({error.strerror or error}). "
            "Choose another with --port, or 0 for any."
        ) from error
    return listening
