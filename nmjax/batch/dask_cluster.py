"""Dask's client and worker processes: started, checked, and closed without noise.

Dask sends functions and results as pickles, over connections on 127.0.0.1 unless a scheduler is named: whoever can
reach a scheduler can run code on its workers.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from nmjax import __version__
from nmjax.runtime.errors import BadInputError

if TYPE_CHECKING:
    from distributed import Client

MAX_RETRIES = 2  # of a job whose worker died
TIMEOUT_S = 30  # for a scheduler and its first worker


def check_installed() -> None:
    """Raises BadInputError without Dask; silences its harmless messages."""
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
def open_client(scheduler: str | None, num_workers: int) -> Iterator[Client]:
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


def check_versions(client: Client) -> None:
    """Raises BadInputError unless all workers run this version."""
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
