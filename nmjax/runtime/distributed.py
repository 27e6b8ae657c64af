"""Several processes that train as one: who speaks, who writes, and where everybody waits for everybody."""

from __future__ import annotations

import jax
from jax.experimental import multihost_utils

from nmjax.runtime.errors import BadInputError


def initialize(coordinator: str, num_processes: int | None = None, process_id: int | None = None) -> None:
    """Become one of several processes; must come before anything else of JAX.

    Args:
        coordinator: `HOST:PORT` of the first process, or `auto` where JAX finds the cluster by itself (Slurm, Open MPI,
            Kubernetes, Cloud TPU).
        processes, process: how many there are, and which this one is, from 0; needed unless `auto`.

    Raises:
        BadInputError: a number is missing or out of range, or the others cannot be reached.
    """
    if coordinator != "auto" and (num_processes is None or process_id is None):
        raise BadInputError("--coordinator HOST:PORT needs --processes N and --process I, from 0 to N − 1.")
    if num_processes is not None and process_id is not None and not 0 <= process_id < num_processes:
        raise BadInputError(
            f"--process {process_id} is not one of the {num_processes} processes, 0 to {num_processes - 1}."
        )
    try:
        jax.distributed.initialize(None if coordinator == "auto" else coordinator, num_processes, process_id)
    except (RuntimeError, ValueError) as error:
        raise BadInputError(
            f"The processes did not come together at '{coordinator}' ({str(error).splitlines()[0]}); "
            "check the address, and that all were started."
        ) from None


def is_main_process() -> bool:
    """Whether this process is the one that speaks, and writes what is written once."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Wait until all processes are here. `place` names it, for the message if one is missing."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def should_stop(step: int, local_stop: bool) -> bool:
    """Whether the run is to stop after `step`: `here` says so for this process; with several, a SIGTERM to any of them
    makes all stop at the same step."""
    return multihost_utils.reached_preemption_sync_point(step) if jax.process_count() > 1 else local_stop
