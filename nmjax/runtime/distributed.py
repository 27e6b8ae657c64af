"""Training in several processes: initialization, the main process, barriers, a common stop."""

from __future__ import annotations

from nmjax.runtime.errors import BadInputError
from nmjax.runtime.lazy_jax import jax


def initialize(coordinator: str, num_processes: int | None = None, process_id: int | None = None) -> None:
    """Connect this process to the others; call it before anything else of JAX.

    Args:
        coordinator: `HOST:PORT` of the first process, or `auto` where JAX detects the cluster (Slurm, Open MPI,
            Kubernetes, Cloud TPU).
        num_processes: how many processes there are; needed unless `auto`.
        process_id: this process, 0 to num_processes − 1; needed unless `auto`.

    Raises:
        BadInputError: a number is missing or out of range, or the coordinator cannot be reached.
    """
    if coordinator != "auto" and (num_processes is None or process_id is None):
        raise BadInputError("--coordinator HOST:PORT needs --num-processes N and --process-id I, from 0 to N − 1.")
    if num_processes is not None and process_id is not None and not 0 <= process_id < num_processes:
        raise BadInputError(
            f"--process-id {process_id} is out of range; with {num_processes} processes use 0 to {num_processes - 1}."
        )
    try:
        jax.distributed.initialize(None if coordinator == "auto" else coordinator, num_processes, process_id)
    except (RuntimeError, ValueError) as error:
        raise BadInputError(
            f"Could not connect to the coordinator '{coordinator}' ({str(error).splitlines()[0]}). "
            "Check the address, and that all processes were started."
        ) from None


def is_main_process() -> bool:
    """Whether this process prints, and writes what is written once."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Wait for all processes; `name` appears in the error if one is missing."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


def should_stop(step: int, local_stop: bool) -> bool:
    """Whether the run stops after `step`.

    A single process stops if `local_stop` says so; of several, all stop at the same step after a SIGTERM to any.
    """
    if jax.process_count() == 1:
        return local_stop
    from jax.experimental import multihost_utils

    return multihost_utils.reached_preemption_sync_point(step)
