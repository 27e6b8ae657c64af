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

from nmjax import __version__, io
from nmjax.errors import BadInputError, CannotWriteError
from nmjax.inference.many.jobs import Job, shown
from nmjax.inference.many.manifest import Record
from nmjax.inference.many.runs import Master, Run, Summary, attempted, failure, started, unexpected

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 2
_AHEAD = 4  # tracks handed out for each thread, so that no worker waits for this process
_PATIENCE = 30  # s, for a scheduler and its first worker
_LOST = "The Dask scheduler was lost; start it again, and the same command goes on."


def run_dask(
    jobs: Sequence[Job],
    make_master: Callable[[], Master],
    manifest_path: Path,
    options: str,
    console: Console,
    scheduler: str | None = None,
    workers: int | None = None,
    force: bool = False,
) -> Summary:
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
    if scheduler and workers:
        raise BadInputError("--workers goes without --scheduler: a running scheduler has workers of its own.")
    jobs = [job.absolute() for job in jobs]
    with started(jobs, manifest_path, options, console, force) as run:
        if not run.todo:
            return run.summary
        begun: list[Job] = []
        try:
            with _client(scheduler, workers or max(1, (os.cpu_count() or 2) // 2)) as client:
                _check_versions(client)
                _work(client, run, make_master, begun)
        finally:  # of workers that were killed; those of a cluster of this machine have ended
            io.remove_leftovers(file for job in begun for file in (*job.files, job.receipt))
    return run.summary


def _work(client: Client, run: Run, make_master: Callable[[], Master], begun: list[Job]) -> None:
    """Hand out the jobs, a few at a time, and settle each as its result comes in."""
    from distributed import as_completed

    waiting, running = list(reversed(run.todo)), {}
    results = as_completed(loop=client.loop, with_results=True, raise_errors=False)
    try:
        while (waiting or running) and not run.summary.stopped:
            room = max(1, _AHEAD * sum(client.nthreads().values())) - len(running)
            batch = [waiting.pop() for _ in range(min(room, len(waiting)))]
            if batch:
                run.begin(batch)
                begun += batch
            for job in batch:
                receipt = job.receipt.with_name(f".{job.receipt.stem[:40]}-{secrets.token_hex(4)}{job.receipt.suffix}")
                arguments = (job, run.options, make_master, receipt)
                future = client.submit(_mastered, *arguments, pure=False, retries=RETRIES)
                running[future.key] = job, receipt
                results.add(future)
            future, found = next(results)
            job, receipt = running.pop(future.key)
            _settle(job, found, run)
            future.release()
            receipt.unlink(missing_ok=True)
    except OSError:
        raise BadInputError(_LOST) from None
    finally:
        client.cancel(list(results.futures))


def _settle(job: Job, found, run: Run) -> None:
    """found: the task's record; or its exception's type, value and traceback; or that it was cancelled."""
    if isinstance(found, Record):
        run.settle(found)
        return
    if not isinstance(found, tuple):
        raise BadInputError(_LOST)
    error = found[1]
    if type(error).__name__ == "KilledWorker":
        deaths = error.allowed_failures + 1
        sentence = f"'{shown(job.track)}': {deaths} workers died while they mastered it; look at their memory."
    else:
        sentence = str(error) if isinstance(error, BadInputError) else unexpected(error)
    run.settle(failure(job, run.options, sentence))
    if isinstance(error, CannotWriteError):
        run.summary.stopped = f"Stopped: {error}"


def _mastered(job: Job, options: str, make_master: Callable[[], Master], receipt: Path) -> Record:
    """The task, in a worker. Where one dies after its work and before its result has been fetched, Dask gives the task
    to another; the receipt tells it what was done."""
    if receipt.exists():
        return Record(**json.loads(receipt.read_text(encoding="utf-8")))
    with _one_at_a_time:
        master = _master(make_master)
    record = attempted(job, options, master)
    io.write_text(receipt, json.dumps(vars(record)))
    return record


_one_at_a_time = threading.Lock()  # a worker with several threads makes one model, too


@functools.lru_cache(maxsize=1)
def _master(make_master: Callable[[], Master]) -> Master:
    return make_master()


def _check_installed() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise BadInputError("Dask is missing; install it with: pip install 'nmjax[dask]'") from None
    logging.getLogger("distributed").setLevel(logging.ERROR)  # else it reports each connection wherever others log
    logging.getLogger("tornado.application").addFilter(_matters)


def _matters(record: logging.LogRecord) -> bool:
    return not (record.exc_info and _harmless(record.exc_info[1]))


def _harmless(error: BaseException | None) -> bool:
    """Whether it is one of two faults of Dask's own that spoil nothing: where Ctrl-C comes just after a call was made,
    a `future` is cancelled that has no value yet (distributed.utils.sync); and where a cluster closes while it starts
    a worker again, that one cannot be joined (distributed.process)."""
    if isinstance(error, NameError):
        return error.name == "future"
    return isinstance(error, AssertionError) and str(error) == "can only join a started process"


@contextlib.contextmanager
def _client(scheduler: str | None, workers: int) -> Iterator[Client]:
    """Of a running scheduler, or of a cluster of this machine that ends with it."""
    from distributed import Client

    if scheduler is None:
        with _local(workers) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
        return
    try:
        client = Client(scheduler, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError):  # a TimeoutError is an OSError; the other: an address that is none
        raise BadInputError(
            f"No Dask scheduler answers at '{scheduler}'; give its address, as tcp://HOST:8786."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError:
            raise BadInputError(
                f"The scheduler at '{scheduler}' has no workers; start some: dask worker {scheduler} --nthreads 1."
            ) from None
        yield client


@contextlib.contextmanager
def _local(workers: int) -> Iterator:
    """Worker processes of one thread each, which nobody outside of this machine can reach."""
    import dask.config
    from distributed import LocalCluster

    settings = {
        "distributed.scheduler.allowed-failures": RETRIES,
        "distributed.scheduler.worker-saturation": 1.0,  # a track that kills a worker takes no other with it
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with tempfile.TemporaryDirectory(prefix="nmjax-dask-") as folder, dask.config.set(settings):
        cluster = LocalCluster(
            host="127.0.0.1",
            n_workers=workers,
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
                if not _harmless(error):
                    raise


def dask_setup(_worker) -> None:
    """By this name Dask calls it in each new worker of this machine: a terminal's Ctrl-C is for the process that
    started them, which then ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _check_versions(client: Client) -> None:
    try:
        versions = set(client.run(_version).values())
    except Exception as error:  # what cannot be imported there comes back as it was raised
        raise BadInputError(
            f"The workers cannot run nmjax ({type(error).__name__}: {error}); "
            "install the same version on the scheduler and all workers."
        ) from None
    if versions != {__version__}:
        raise BadInputError(
            f"The workers run nmjax {', '.join(sorted(versions))}, here it is {__version__}; make them equal."
        )


def _version() -> str:
    return __version__
