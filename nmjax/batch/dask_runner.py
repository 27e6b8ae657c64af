"""Many tracks on many cores or machines: Dask hands them out, one model a worker, and this process keeps the manifest.

Dask moves functions and results between its processes as pickles, over connections on 127.0.0.1 unless a scheduler is
named: whoever can reach a scheduler can run code on its workers. Files (settings, checkpoints, manifests) are never
read as pickles.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from nmjax import __version__
from nmjax.batch.jobs import Job, to_printable
from nmjax.batch.manifest import ManifestEntry
from nmjax.batch.runner import (
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

if TYPE_CHECKING:
    from distributed import Client

MAX_RETRIES = 2
_TASKS_PER_THREAD = 4  # tracks handed out for each thread, so that no worker waits for this process
_TIMEOUT_S = 30  # s, for a scheduler and its first worker
_SCHEDULER_LOST = "The Dask scheduler was lost; start it again, and the same command goes on."


def run_dask(
    jobs: Sequence[Job],
    make_master: Callable[[], MasterFn],
    manifest_path: Path,
    options_digest: str,
    console: Console,
    scheduler: str | None = None,
    num_workers: int | None = None,
    force: bool = False,
) -> BatchSummary:
    """As `run_all`, by Dask's workers. A track whose worker dies, or fails in a way that is not the track's fault, is
    tried twice more.

    Args:
        make_master: the recipe; called once in each worker process. It is sent there, so it holds a checkpoint's path
            and not its weights, and it must be equal and hash equal to its copies: a frozen dataclass with `__call__`.
        scheduler: address of a running one, as tcp://10.0.0.1:8786; all machines see the files under the same paths.
            None: worker processes of this machine.
        workers: how many of these; half the cores by default, since a track uses more than one.

    Raises:
        BadInputError: as `run_all`; Dask is missing, no scheduler or worker answers, or another version is at work.
        KeyboardInterrupt: as `run_all`; nothing more is begun.
    """
    _check_installed()
    if scheduler and num_workers:
        raise BadInputError("--workers goes without --scheduler: a running scheduler has workers of its own.")
    jobs = [job.absolute() for job in jobs]
    with open_run(jobs, manifest_path, options_digest, console, force) as run:
        if not run.pending:
            return run.summary
        started_jobs: list[Job] = []
        try:
            with _open_client(scheduler, num_workers or max(1, (os.cpu_count() or 2) // 2)) as client:
                _check_versions(client)
                _distribute_jobs(client, run, make_master, started_jobs)
        finally:  # of workers that were killed; those of a cluster of this machine have ended
            atomic_files.remove_stale_temporaries(
                file for job in started_jobs for file in (*job.files, job.done_marker)
            )
    return run.summary


def _distribute_jobs(
    client: Client, run: BatchRun, make_master: Callable[[], MasterFn], started_jobs: list[Job]
) -> None:
    """Hand out the jobs, a few at a time, and settle each as its result comes in."""
    from distributed import as_completed

    pending, running = list(reversed(run.pending)), {}
    results = as_completed(loop=client.loop, with_results=True, raise_errors=False)
    try:
        while (pending or running) and not run.summary.stop_reason:
            num_free = max(1, _TASKS_PER_THREAD * sum(client.nthreads().values())) - len(running)
            batch = [pending.pop() for _ in range(min(num_free, len(pending)))]
            if batch:
                run.start_jobs(batch)
                started_jobs += batch
            for job in batch:
                marker = job.done_marker.with_name(
                    f".{job.done_marker.stem[:40]}-{secrets.token_hex(4)}{job.done_marker.suffix}"
                )
                task_args = (job, run.options_digest, make_master, marker)
                future = client.submit(_run_task, *task_args, pure=False, retries=MAX_RETRIES)
                running[future.key] = job, marker
                results.add(future)
            future, result = next(results)
            job, marker = running.pop(future.key)
            _record_result(job, result, run)
            future.release()
            marker.unlink(missing_ok=True)
    except OSError:
        raise BadInputError(_SCHEDULER_LOST) from None
    finally:
        client.cancel(list(results.futures))


def _record_result(job: Job, result, run: BatchRun) -> None:
    """found: the task's record; or its exception's type, value and traceback; or that it was cancelled."""
    if isinstance(result, ManifestEntry):
        run.finish_job(result)
        return
    if not isinstance(result, tuple):
        raise BadInputError(_SCHEDULER_LOST)
    error = result[1]
    if type(error).__name__ == "KilledWorker":
        num_crashes = error.allowed_failures + 1
        message = (
            f"'{to_printable(job.track)}': {num_crashes} workers died while they mastered it; look at their memory."
        )
    else:
        message = str(error) if isinstance(error, BadInputError) else unexpected_error_message(error)
    run.finish_job(failed_entry(job, run.options_digest, message))
    if isinstance(error, CannotWriteError):
        run.summary.stop_reason = f"Stopped: {error}"


def _run_task(job: Job, options_digest: str, make_master: Callable[[], MasterFn], marker: Path) -> ManifestEntry:
    """The task, in a worker. Where one dies after its work and before its result has been fetched, Dask gives the task
    to another; the receipt tells it what was done."""
    if marker.exists():
        return ManifestEntry(**json.loads(marker.read_text(encoding="utf-8")))
    with _master_lock:
        master = _get_master(make_master)
    entry = master_job(job, options_digest, master)
    atomic_files.write_text(marker, json.dumps(vars(entry)))
    return entry


_master_lock = threading.Lock()  # a worker with several threads makes one model, too


@functools.lru_cache(maxsize=1)
def _get_master(make_master: Callable[[], MasterFn]) -> MasterFn:
    return make_master()


def _check_installed() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise BadInputError("Dask is missing; install it with: pip install 'nmjax[dask]'") from None
    logging.getLogger("distributed").setLevel(logging.ERROR)  # else it reports each connection wherever others log
    logging.getLogger("tornado.application").addFilter(_keep_log_record)


def _keep_log_record(record: logging.LogRecord) -> bool:
    return not (record.exc_info and _is_harmless(record.exc_info[1]))


def _is_harmless(error: BaseException | None) -> bool:
    """Whether it is one of two faults of Dask's own that spoil nothing: where Ctrl-C comes just after a call was made,
    a `future` is cancelled that has no value yet (distributed.utils.sync); and where a cluster closes while it starts
    a worker again, that one cannot be joined (distributed.process)."""
    if isinstance(error, NameError):
        return error.name == "future"
    return isinstance(error, AssertionError) and str(error) == "can only join a started process"


@contextlib.contextmanager
def _open_client(scheduler: str | None, num_workers: int) -> Iterator[Client]:
    """Of a running scheduler, or of a cluster of this machine that ends with it."""
    from distributed import Client

    if scheduler is None:
        with _open_local_cluster(num_workers) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
        return
    try:
        client = Client(scheduler, timeout=_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError):  # a TimeoutError is an OSError; the other: an address that is none
        raise BadInputError(
            f"No Dask scheduler answers at '{scheduler}'; give its address, as tcp://HOST:8786."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_TIMEOUT_S)
        except TimeoutError:
            raise BadInputError(
                f"The scheduler at '{scheduler}' has no workers; start some: dask worker {scheduler} --nthreads 1."
            ) from None
        yield client


@contextlib.contextmanager
def _open_local_cluster(num_workers: int) -> Iterator:
    """Worker processes of one thread each, which nobody outside of this machine can reach."""
    import dask.config
    from distributed import LocalCluster

    dask_config = {
        "distributed.scheduler.allowed-failures": MAX_RETRIES,
        "distributed.scheduler.worker-saturation": 1.0,  # a track that kills a worker takes no other with it
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with tempfile.TemporaryDirectory(prefix="nmjax-dask-") as folder, dask.config.set(dask_config):
        cluster = LocalCluster(
            host="127.0.0.1",
            n_workers=num_workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,  # Dask would kill a worker at a limit that nobody chose
            security=True,  # TLS with keys of this run: other users of the machine cannot send code to the workers
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
    """By this name Dask calls it in each new worker of this machine: a terminal's Ctrl-C is for the process that
    started them, which then ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _check_versions(client: Client) -> None:
    try:
        versions = set(client.run(_get_version).values())
    except Exception as error:  # what cannot be imported there comes back as it was raised
        raise BadInputError(
            f"The workers cannot run nmjax ({type(error).__name__}: {error}); "
            "install the same version on the scheduler and all workers."
        ) from None
    if versions != {__version__}:
        raise BadInputError(
            f"The workers run nmjax {', '.join(sorted(versions))}, here it is {__version__}; make them equal."
        )


def _get_version() -> str:
    return __version__
