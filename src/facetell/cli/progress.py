"""Progress on stderr: a line that overwrites itself; nothing when piped."""

from __future__ import annotations

import sys
import time

import click

__all__ = ["Progress", "progress_line", "show_search"]

_EVERY_S = 0.2


class Progress:
    """How far a long work is, how fast, and how long it will take; use as a context manager.

    Args:
        total: pieces of work.
        done: pieces that an earlier call did; they tell nothing about the speed of this one.
        shown: False keeps silent; so does a stderr that is not a terminal.
    """

    def __init__(self, total: int, *, done: int = 0, shown: bool = True) -> None:
        self.total = total
        self.done = self._first = done
        self._shown = shown and sys.stderr.isatty()
        self._start = time.monotonic()
        self._last = 0.0  # when the line was written, 0 for never

    def step(self, pieces: int = 1) -> None:
        """One more piece is done, or several."""
        self.done += pieces
        if self._shown and time.monotonic() - self._last > _EVERY_S:
            self._write()

    def say(self, text: str) -> None:
        """A message of its own line; the progress goes on below it."""
        if self._last:
            click.echo("\r\x1b[K", err=True, nl=False)
        click.echo(text, err=True)

    def _write(self) -> None:
        now = time.monotonic()
        line = progress_line(self.done, self.total, self.done - self._first, now - self._start)
        click.echo(f"\r{line}\x1b[K", err=True, nl=False)
        self._last = now

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._last:
            self._write()
            click.echo(err=True)


def progress_line(done: int, total: int, fresh: int, seconds: float) -> str:
    """One line: share, count, rate and time left.

    Args:
        done: pieces done of total.
        total: all pieces.
        fresh: those of them done in the last seconds, which give the rate.
        seconds: for how long this call has worked.

    Example:
        >>> progress_line(250, 1000, 200, 8.0)
        ' 25%  250/1,000  25/s  0:30 left'
    """
    parts = [f"{done / max(total, 1):4.0%}", f"{done:,}/{total:,}"]
    if fresh and seconds > 0:
        rate = fresh / seconds
        parts += [f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"]
        parts += [f"{_clock((total - done) / rate)} left" if done < total else _clock(seconds)]
    return "  ".join(parts)


def _clock(seconds: float) -> str:
    """1:02, 1:02:03, or 2 days."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def show_search(phase: str, share: float) -> None:
    """How far the search for near-copies is; it takes minutes the first time."""
    if sys.stderr.isatty():
        click.echo(f"\r{phase} {share:4.0%}" + ("\n" if share >= 1 else ""), err=True, nl=False)
