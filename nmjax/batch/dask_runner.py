"""Runs a batch on many cores or machines: Dask distributes the jobs, and this process keeps the manifest.

Each worker process loads the network once. Dask sends functions and results as pickles, over connections on 127.0.0.1
unless a scheduler is named: whoever can reach a scheduler can run code on its workers. Settings, checkpoints and
manifests are never read as pickles.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console

from nmjax import __version__
from nmjax.batch.jobs import Job
from nmjax.batch.manifest import ManifestEntry
from nmjax.batch.runner import (
    BatchPlan,
    BatchRun,
    BatchSummary,
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

MAX_RETRIES = 2
_TASKS_PER_THREAD = 4  # jobs submitted for each worker thread, so that no worker waits for this process
TIMEOUT_S = 30  # for a scheduler and its first worker
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
            with _open_client(scheduler, num_workers or max(1, (os.cpu_count() or 2) // 2)) as client:
                _check_versions(client)
                _distribute_jobs(client, run, make_master, started_jobs)
        finally:  # files of workers that were killed; the workers of a local cluster have ended by now
            atomic_files.remove_stale_temporaries(
                file for job in started_jobs for file in (*job.files, job.done_marker)
            )
    return run.summary


def _distribute_jobs(
    client: Client, run: BatchRun, make_master: Callable[[], MasterFn], started_jobs: list[Job]
) -> None:
    """Submit the jobs, a few at a time, and record each result as it arrives."""
    from distributed import as_completed

    pending = list(reversed(run.pending))
    running: dict[Any, _Task] = {}
    results = as_completed(loop=client.loop, with_results=True, raise_errors=False)
    try:
        while (pending or running) and not run.summary.stop_reason:
            num_free = max(1, _TASKS_PER_THREAD * sum(cast("dict[str, int]", client.nthreads()).values())) - len(
                running
            )
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


def check_installed() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise BadInputError("Dask is missing; install it with: pip install 'nmjax[dask]'") from None
    logging.getLogger("distributed").setLevel(logging.ERROR)  # it reports every connection
    logging.getLogger("tornado.application").addFilter(_keep_log_record)


def _keep_log_record(record: logging.LogRecord) -> bool:
    return not (record.exc_info and _is_harmless(record.exc_info[1]))


def _is_harmless(error: BaseException | None) -> bool:
    """Whether an error is one of two known bugs of Dask without consequences.

    After Ctrl-C during a call, `distributed.utils.sync` cancels a `future` that is not assigned yet; and a cluster that
    closes while it restarts a worker cannot join that worker (`distributed.process`).
    """
    if isinstance(error, NameError):
        return error.name == "future"
    return isinstance(error, AssertionError) and str(error) == "can only join a started process"


@contextlib.contextmanager
def _open_client(scheduler: str | None, num_workers: int) -> Iterator[Client]:
    """A client of a running scheduler, or of a local cluster that is closed with it."""
    from distributed import Client

    if scheduler is None:
        with open_local_cluster(num_workers) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
        return
    try:
        client = Client(scheduler, timeout=TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError):  # TimeoutError is an OSError; ValueError: not an address
        raise BadInputError(
            f"No Dask scheduler responds at '{scheduler}'; give its address, such as tcp://HOST:8786."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=TIMEOUT_S)
        except TimeoutError:
            raise BadInputError(
                f"The scheduler at '{scheduler}' has no workers; start some: dask worker {scheduler} --nthreads 1."
            ) from None
        yield client


@contextlib.contextmanager
def open_local_cluster(num_workers: int) -> Iterator:
    """Worker processes of one thread each that other machines and users cannot reach."""
    import dask.config
    from distributed import LocalCluster

    dask_config = {
        "distributed.scheduler.allowed-failures": MAX_RETRIES,
        "distributed.scheduler.worker-saturation": 1.0,  # a track that kills its worker takes no queued track with it
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with tempfile.TemporaryDirectory(prefix="nmjax-dask-") as folder, dask.config.set(dask_config):
        cluster = LocalCluster(
            host="127.0.0.1",
            n_workers=num_workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,  # no limit; Dask would kill workers that exceed its own
            security=True,  # TLS with keys made for this run, so that other users of the machine have no access
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            local_directory=folder,
            preload=[__name__],
            silence_logs=logging.ERROR,
        )
        try:
            yield cluster
        finally:
            try:
                cluster.close()
            except AssertionError as error:
                if not _is_harmless(error):
                    raise


def dask_setup(_worker) -> None:
    """Ignore Ctrl-C in a worker, since the process that started it ends it; Dask calls a function of this name."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _check_versions(client: Client) -> None:
    try:
        versions = set(cast("dict[str, str]", client.run(_get_version)).values())
    except Exception as error:  # an import error of the worker arrives as it was raised
        raise BadInputError(
            f"The workers cannot run nmjax ({type(error).__name__}: {error}); "
            "install the same version on the scheduler and all workers."
        ) from None
    if versions != {__version__}:
        raise BadInputError(
            f"The workers run nmjax {', '.join(sorted(versions))}, this process {__version__}; "
            "install the same version on all machines."
        )


def _get_version() -> str:
    return __version__
