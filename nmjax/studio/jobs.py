"""Long work in threads: queued, with progress, cancelable; an error in one leaves the others alone."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from nmjax.audio.streams import AudioChunks
from nmjax.runtime.errors import BadInputError
from nmjax.studio.events import EventHub

_log = logging.getLogger(__name__)
_PROGRESS_STEP = 0.01  # smaller advances are not published
_MAX_FINISHED = 200  # jobs that stay listed


class JobCanceled(BaseException):
    """Raised in a job's thread where it is canceled; no `except Exception` on the way swallows it."""


class Job:
    """A piece of long work.

    Args:
        kind: "analysis", "reference" or "delivery".
        track: id of its track; None for several.
        hub: is told of changes.
    """

    def __init__(self, kind: str, track: str | None, hub: EventHub):
        self.id, self.kind, self.track = secrets.token_hex(8), kind, track
        self.state, self.message, self.result = "queued", "", None
        self.progress, self._published, self._hub = 0.0, 0.0, hub
        self._is_canceled = threading.Event()

    def to_dict(self) -> dict[str, Any]:
        """The job for JSON."""
        names = ("id", "kind", "track", "state", "progress", "message", "result")
        return {name: getattr(self, name) for name in names}

    def cancel(self) -> None:
        """Ask the job to stop; it does so at its next chunk of audio, or at once where it has not begun."""
        self._is_canceled.set()
        if self.state == "queued":
            self.state, self.message = "canceled", "Canceled."
            self.publish()

    def check(self) -> None:
        """Raises JobCanceled where the job was canceled."""
        if self._is_canceled.is_set():
            raise JobCanceled

    def pause(self, seconds: float) -> None:
        """Wait; raises JobCanceled where the job is canceled meanwhile."""
        self._is_canceled.wait(seconds)
        self.check()

    def advance(self, progress: float, message: str = "") -> None:
        """Report progress (0 to 1), and what is being done."""
        self.check()
        self.progress = min(1.0, max(self.progress, progress))
        changed = message and message != self.message
        self.message = message or self.message
        if changed or self.progress - self._published >= _PROGRESS_STEP:
            self.publish()

    def watch(self, chunks: AudioChunks, total_frames: int, start: float, end: float) -> Iterator[np.ndarray]:
        """The same chunks; progress moves from `start` to `end` over `total_frames` frames."""
        done = 0
        for chunk in chunks:
            self.check()
            yield chunk
            done += len(chunk)
            self.advance(start + (end - start) * min(1.0, done / max(1, total_frames)))

    def publish(self) -> None:
        """Tell all pages."""
        self._published = self.progress
        self._hub.publish("job", self.to_dict())

    def run(self, work: Callable[[Job], Any]) -> None:
        """Do the work in this thread, and note how it ended."""
        try:
            self.check()
            self.state = "running"
            self.publish()
            self.result = work(self)
            self.state, self.progress = "done", 1.0
        except JobCanceled:
            self.state, self.message = "canceled", "Canceled."
        except BadInputError as error:
            self.state, self.message = "failed", str(error)
        except MemoryError:
            self.state, self.message = "failed", "There is not enough memory; close other programs and try again."
        except Exception as error:
            _log.exception("A job of the studio failed")
            self.state, self.message = "failed", f"This did not work ({type(error).__name__}: {error})."
        self.publish()


class JobQueue:
    """Runs jobs in a few threads, in the order of their submission.

    Args:
        hub: is told of changes.
        workers: number of threads; as many again run short jobs.
    """

    def __init__(self, hub: EventHub, workers: int = 2):
        self._hub, self._lock = hub, threading.Lock()
        self._pool, self._short_pool = (
            ThreadPoolExecutor(workers, thread_name_prefix=f"studio-{name}") for name in ("job", "short-job")
        )
        self._jobs: dict[str, Job] = {}

    def submit(self, kind: str, track: str | None, work: Callable[[Job], Any], is_short: bool = False) -> Job:
        """Queue a job; `work(job)` returns its result. A short one does not wait for long ones."""
        return self.start(self.prepare(kind, track), work, is_short)

    def prepare(self, kind: str, track: str | None) -> Job:
        """A job that is listed and can be canceled, but not begun."""
        job = Job(kind, track, self._hub)
        with self._lock:
            finished = [x.id for x in self._jobs.values() if x.state not in ("queued", "running")]
            for old in finished[: max(0, len(finished) - _MAX_FINISHED)]:
                del self._jobs[old]
            self._jobs[job.id] = job
        return job

    def start(self, job: Job, work: Callable[[Job], Any], is_short: bool = False) -> Job:
        """Queue a prepared job, as `submit` does."""
        job.publish()
        (self._short_pool if is_short else self._pool).submit(job.run, work)
        return job

    def get(self, job_id: str) -> Job | None:
        """A job by its id."""
        with self._lock:
            return self._jobs.get(job_id)

    def jobs(self) -> list[Job]:
        """All jobs, the oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def cancel_track(self, track: str) -> None:
        """Cancel all jobs of a track."""
        for job in self.jobs():
            if job.track == track:
                job.cancel()

    def close(self) -> None:
        """Cancel everything, and wait until the threads have cleaned up."""
        for job in self.jobs():
            job.cancel()
        for pool in (self._short_pool, self._pool):
            pool.shutdown(wait=True, cancel_futures=True)
