"""Runs a batch on many cores or machines: Dask distributes the jobs, and this process keeps the manifest.

Each worker process loads the network once. Dask sends functions and results as pickles (see `dask_cluster`); settings,
checkpoints and manifests are never read as pickles.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console

from nmjax.batch.batch_summary import BatchSummary
from nmjax.batch.dask_cluster import MAX_RETRIES, check_installed, check_versions, open_client
from nmjax.batch.jobs import Job
from nmjax.batch.manifest import ManifestEntry
from nmjax.batch.runner import (
    BatchPlan,
    BatchRun,
    MasterFn,
    failed_entry,
    master_job,
    open_run,
    unexpected_error_message,
)
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError, CannotWriteError
from nmjax.runtime.text import to_printable

if TYPE_CHECKING:
    from distributed import Client

_TASKS_PER_THREAD = 4  # jobs submitted for each worker thread, so that no worker waits for this process
_ASK_EVERY_S = 1.0
_SCHEDULER_LOST = "The Dask scheduler was lost; restart it and run the same command again to continue."


@dataclasses.dataclass(frozen=True)
class _Task:
    """A submitted job. marker: file that the worker writes when the master is complete."""

    job: Job
    marker: Path


def run_dask(
    plan: BatchPlan,
    make_master: Callable[[], MasterFn],
    console: Console,
    scheduler: str | None = None,
    num_workers: int | None = None,
) -> BatchSummary:
    """Master all pending jobs on Dask's workers, as `run_sequential` does in this process.

    A job is tried again up to twice if its worker dies, or if it fails with an error other than BadInputError.

    Args:
        plan: the jobs.
        make_master: called once in each worker process. It is pickled, so it holds the path of a checkpoint and not
            its weights, and it is hashable: a frozen dataclass with `__call__`.
        console: shows progress and the summary.
        scheduler: address of a running scheduler, such as tcp://10.0.0.1:8786; all machines see the files under the
            same paths. None: worker processes on this machine.
        num_workers: number of these; by default half the CPU cores, since a track uses more than one.

    Raises:
        BadInputError: as `run_sequential`; Dask is missing, no scheduler or worker responds, or versions differ.
        KeyboardInterrupt: as `run_sequential`; no more jobs are begun.
    """
    check_installed()
    if scheduler and num_workers:
        raise BadInputError("--workers has no effect with --scheduler, which has workers of its own; leave it out.")
    plan = dataclasses.replace(plan, jobs=[job.absolute() for job in plan.jobs])
    with open_run(plan, console) as run:
        if not run.pending:
            return run.summary
        started_jobs: list[Job] = []
        try:
            with open_client(scheduler, num_workers or max(1, (os.cpu_count() or 2) // 2)) as client:
                check_versions(client)
                _distribute_jobs(client, run, make_master, started_jobs)
        finally:  # files of workers that were killed; the workers of a local cluster have ended by now
            atomic_files.remove_stale_temporaries(
                file for job in started_jobs for file in (*job.files, job.done_marker)
            )
    return run.summary


class _WorkerThreads:
    """The number of threads of all workers. The scheduler is asked once a second at most: with short jobs, a question
    after each would take longer than to submit it."""

    def __init__(self, client: Client):
        self._client, self._count, self._asked_at = client, 0, -math.inf

    def count(self) -> int:
        """Threads of all workers, as of a second ago at most."""
        if time.monotonic() - self._asked_at > _ASK_EVERY_S:
            self._count = sum(cast("dict[str, int]", self._client.nthreads()).values())
            self._asked_at = time.monotonic()
        return self._count


def _distribute_jobs(
    client: Client, run: BatchRun, make_master: Callable[[], MasterFn], started_jobs: list[Job]
) -> None:
    """Submit the jobs, a few at a time, and record each result as it arrives."""
    from distributed import as_completed

    pending = list(reversed(run.pending))
    running: dict[Any, _Task] = {}
    results, threads = as_completed(loop=client.loop, with_results=True, raise_errors=False), _WorkerThreads(client)
    try:
        while (pending or running) and not run.summary.stop_reason:
            num_free = max(1, _TASKS_PER_THREAD * threads.count()) - len(running)
            batch = [pending.pop() for _ in range(min(num_free, len(pending)))]
            if batch:
                run.start_jobs(batch)
                started_jobs += batch
            for job in batch:
                task = _Task(job, _marker_path(job))
                future = client.submit(
                    _run_task, task, run.options_digest, make_master, pure=False, retries=MAX_RETRIES
                )
                running[future.key] = task
                results.add(future)
            future, result = next(results)
            task = running.pop(future.key)
            _record_result(task.job, result, run)
            future.release()
            task.marker.unlink(missing_ok=True)
    except OSError:
        raise BadInputError(_SCHEDULER_LOST) from None
    finally:
        client.cancel(list(results.futures))


def _marker_path(job: Job) -> Path:
    marker = job.done_marker
    return marker.with_name(f".{marker.stem[:40]}-{secrets.token_hex(4)}{marker.suffix}")


def _record_result(job: Job, result: Any, run: BatchRun) -> None:
    """Record a task's result: its entry, its exception as (type, value, traceback), or that it was canceled."""
    if isinstance(result, ManifestEntry):
        run.finish_job(result)
        return
    if not isinstance(result, tuple):
        raise BadInputError(_SCHEDULER_LOST)
    error = result[1]
    if type(error).__name__ == "KilledWorker":
        num_crashes = error.allowed_failures + 1
        message = f"'{to_printable(job.track)}': {num_crashes} workers died while they mastered it; check their memory."
    else:
        message = str(error) if isinstance(error, BadInputError) else unexpected_error_message(error)
    run.finish_job(failed_entry(job, run.options_digest, message))
    if isinstance(error, CannotWriteError):
        run.summary.stop_reason = f"Stopped: {error}"


def _run_task(task: _Task, options_digest: str, make_master: Callable[[], MasterFn]) -> ManifestEntry:
    """Master a job in a worker.

    If a worker dies after its work and before its result was fetched, Dask gives the task to another worker, which
    then finds the result in the marker file.
    """
    if task.marker.exists():
        return ManifestEntry(**json.loads(task.marker.read_text(encoding="utf-8")))
    with _master_lock:
        master = _get_master(make_master)
    entry = master_job(task.job, options_digest, master)
    atomic_files.write_text(task.marker, json.dumps(vars(entry)))
    return entry


_master_lock = threading.Lock()  # the threads of a worker share one network


@functools.lru_cache(maxsize=1)
def _get_master(make_master: Callable[[], MasterFn]) -> MasterFn:
    return make_master()
