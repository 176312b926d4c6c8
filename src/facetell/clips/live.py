"""A live source that does not wait -> its newest frames."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from facetell.clips.frames import Frame

__all__ = ["Newest"]

_WAIT_S = 20.0


class Newest:
    """The newest frames of a live source; frames that come while nobody looks are dropped.

    A thread takes frames as they come and keeps the last. Iterate once, and close it, best as a
    context manager.

    Attributes:
        dropped: frames that nobody looked at.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        self.dropped = 0
        self._frames = frames
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._take, name="facetell-live", daemon=True)
        self._thread.start()

    def _take(self) -> None:
        try:
            for frame in self._frames:
                with self._changed:
                    if self._ended:
                        return
                    self.dropped += self._frame is not None
                    self._frame = frame
                    self._changed.notify()
        except BaseException as error:  # goes on in the thread that looks
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._changed:
                while self._frame is None and not self._ended:
                    self._changed.wait(0.2)  # not for ever: Ctrl-C must get through
                frame, self._frame = self._frame, None
            if frame is None:
                if self._error is not None:
                    raise self._error
                return
            yield frame

    def close(self) -> None:
        """Stop taking frames, and wait for the one being taken.

        The source must not be closed while a frame is read from it: FFmpeg would crash. Sources
        give up after 15 seconds without a frame.
        """
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(timeout=_WAIT_S)

    def __enter__(self) -> Newest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
