import threading
import time

import numpy as np
import pytest

from facetell.clips.frames import Frame
from facetell.clips.live import Newest
from facetell.errors import ClipError


def frame(i: int) -> Frame:
    return Frame(i / 25, np.full((2, 2, 3), i, np.uint8))


def test_a_slow_reader_sees_the_newest_frames_and_the_rest_is_counted():
    looked = threading.Event()

    def camera():
        yield frame(0)
        looked.wait(5)
        for i in range(1, 50):
            yield frame(i)

    with Newest(camera()) as live:
        frames = iter(live)
        assert next(frames).time_s == 0
        looked.set()
        live._thread.join(5)
        assert next(frames).time_s == 49 / 25
        assert next(frames, None) is None
        assert live.dropped == 48


def test_a_fast_reader_misses_nothing():
    turn = threading.Semaphore(1)

    def camera():
        for i in range(20):
            turn.acquire(timeout=5)
            yield frame(i)

    seen = []
    with Newest(camera()) as live:
        for found in live:
            seen.append(found.time_s)
            turn.release()
    assert seen == [i / 25 for i in range(20)]
    assert live.dropped == 0


def test_what_goes_wrong_in_the_camera_is_raised_where_frames_are_read():
    def camera():
        yield frame(0)
        raise ClipError("unplugged")

    with Newest(camera()) as live, pytest.raises(ClipError, match="unplugged"):
        list(live)


def test_closing_ends_the_thread():
    def camera():
        for i in range(10**9):
            time.sleep(0.001)
            yield frame(i)

    with Newest(camera()) as live:
        next(iter(live))
    assert not live._thread.is_alive()
