"""Where a run's arrays lie: batches spread over all devices of all processes, everything else on each of them.

One mesh axis, `data`. The step is one program over the mesh (`jit` with shardings), so a sum over the batch is the sum
over all devices, in BatchNorm too; it does what `pmap` was made for, without per-device code.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from nmjax.config import Config
from nmjax.runtime.errors import BadInputError


class DataSharding:
    """The mesh and the two ways to lie on it.

    Raises:
        BadInputError: the batch cannot be dealt out evenly.
    """

    def __init__(self, config: Config):
        devices, micro_batches = jax.device_count(), config.train.grad_accum_steps
        if config.data.batch_size % (devices * micro_batches):
            divisor = f"the {devices} device{'s' * (devices > 1)}" + f" times {micro_batches} micro-batches" * (
                micro_batches > 1
            )
            raise BadInputError(f"data.batch_size must be a multiple of {divisor}; it is {config.data.batch_size}.")
        # Auto axes: under Explicit ones, the default, reshapes and scans in the step would raise
        mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,))
        self.batch_sharding, self.replicated_sharding = (
            NamedSharding(mesh, PartitionSpec("data")),
            NamedSharding(mesh, PartitionSpec()),
        )

    def shard_batch(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """This process's rows of a batch → the batch over all devices."""
        return {name: jax.make_array_from_process_local_data(self.batch_sharding, x) for name, x in batch.items()}

    def replicate(self, tree: Any) -> Any:
        """A tree of arrays that every process has → the same on every device."""
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(self.replicated_sharding, np.asarray(x)), tree
        )

    def restore_targets(self, tree: Any) -> Any:
        """Shapes of a tree as a checkpoint's target."""
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.replicated_sharding), tree)
