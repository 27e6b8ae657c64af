"""Work in a thread: its result, its errors, and its end before it is done."""

import contextlib
import threading

import numpy as np
import pytest

from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.early_work import EarlyWork
from nmjax.mastering.types import EarlyResult, RenderedTrack

SCAN = LoudnessScan([np.zeros((4800, 1), np.float32)], 48_000, 1)


def test_the_result_is_that_of_the_work_and_what_it_opened_is_closed_at_the_end():
    closed, result = [], EarlyResult(None, ["note"], RenderedTrack(list), None)

    def run(opened, until_stopped):
        opened.callback(closed.append, True)
        assert len(list(until_stopped(iter([np.zeros(1)] * 3)))) == 3
        return result

    with EarlyWork(SCAN, run) as work:
        assert work.result() is result and work.scan is SCAN and not closed
    assert closed


def test_an_error_is_raised_where_the_result_is_asked_for():
    def fail(opened, until_stopped):
        raise ValueError("no plan")

    with EarlyWork(SCAN, fail) as work, pytest.raises(ValueError, match="no plan"):
        work.result()


def test_work_that_is_not_needed_stops_at_the_next_chunk():
    started, read = threading.Event(), []

    def run(opened, until_stopped):
        def endless():
            while True:
                read.append(True)
                started.set()
                yield np.zeros(1)

        with contextlib.suppress(InterruptedError):
            for _ in until_stopped(endless()):
                pass

    with EarlyWork(SCAN, run):
        assert started.wait(10.0)
    count = len(read)
    assert count and count == len(read)
