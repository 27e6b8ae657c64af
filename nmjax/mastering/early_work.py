"""What follows the analysis of a track, done in a thread while its diagnosis is still measured.

It is done as if nothing were to be repaired, which holds for most tracks. Where the diagnosis finds something to
repair, it is stopped, and of no use. Measured on two cores, 210 s without a defect: 2.55 → 2.30 s of wall time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from nmjax.audio.streams import AudioChunks
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.types import EarlyResult


class EarlyWork:
    """Work in a thread; a context that stops it at its end, and closes what it has rendered.

    Args:
        scan: the measurements that the work relies on.
        run: does the work. It opens contexts in the first argument, and reads audio through the second one.
    """

    def __init__(
        self,
        scan: LoudnessScan,
        run: Callable[[contextlib.ExitStack, Callable[[AudioChunks], AudioChunks]], EarlyResult],
    ):
        self.scan = scan
        self._is_stopped, self._opened, self._pool = threading.Event(), contextlib.ExitStack(), ThreadPoolExecutor(1)
        self._result = self._pool.submit(run, self._opened, self._until_stopped)

    def _until_stopped(self, chunks: AudioChunks) -> AudioChunks:
        for chunk in chunks:
            if self._is_stopped.is_set():
                raise InterruptedError
            yield chunk

    def stop(self) -> None:
        """Ends the work at its next chunk of audio; its result is not needed."""
        self._is_stopped.set()

    def result(self) -> EarlyResult:
        """Waits for the result; raises what the work has raised."""
        return self._result.result()

    def __enter__(self) -> EarlyWork:
        return self

    def __exit__(self, *_) -> None:
        self.stop()
        self._pool.shutdown()
        self._opened.close()
