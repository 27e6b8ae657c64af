"""Placement of arrays on devices: batches sharded over all devices of all processes, everything else replicated.

There is one mesh axis, `data`. The step is one program over the mesh (`jit` with shardings). So a sum over the batch,
such as that of BatchNorm, is a sum over all devices, as with `pmap`, but without per-device code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from nmjax.config import Config
from nmjax.runtime.errors import BadInputError

Result = TypeVar("Result")


def check_batch_size(config: Config) -> None:
    """Check that every device of every process gets the same number of rows of every micro-batch.

    Raises:
        BadInputError: The batch cannot be divided evenly among devices and micro-batches.
    """
    devices, micro_batches = jax.device_count(), config.train.grad_accum_steps
    if config.data.batch_size % (devices * micro_batches):
        divisor = f"the {devices} device{'s' * (devices > 1)}"
        divisor += f" times {micro_batches} micro-batches" * (micro_batches > 1)
        raise BadInputError(f"data.batch_size must be a multiple of {divisor}; it is {config.data.batch_size}.")


class DataSharding:
    """The device mesh with its two shardings: over the batch axis, and replicated.

    Raises:
        BadInputError: see `check_batch_size`.
    """

    def __init__(self, config: Config):
        check_batch_size(config)
        devices = jax.device_count()
        # Auto axes: with Explicit ones, the default, reshapes and scans in the step would raise.
        self.mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,))
        self.batch_sharding = NamedSharding(self.mesh, PartitionSpec("data"))
        self.replicated_sharding = NamedSharding(self.mesh, PartitionSpec())

    def on_mesh(self, function: Callable[..., Result]) -> Callable[..., Result]:
        """The function with the mesh set, so that `nmjax.dsp.fft` can distribute its transforms."""
        if self.mesh.size == 1:
            return function

        def call(*arguments: Any) -> Result:
            with jax.set_mesh(self.mesh):
                return function(*arguments)

        return call

    def shard_batch(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """This process's rows of a batch → the batch over all devices."""
        return {name: jax.make_array_from_process_local_data(self.batch_sharding, x) for name, x in batch.items()}

    def replicate(self, tree: Any) -> Any:
        """A tree of arrays that every process has → the same tree on every device."""
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(self.replicated_sharding, np.asarray(x)), tree
        )

    def restore_targets(self, tree: Any) -> Any:
        """Shapes, types and shardings of a tree, as the target of a checkpoint's restoration."""
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.replicated_sharding), tree)
