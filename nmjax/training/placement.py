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
from nmjax.errors import BadInputError


class Placement:
    """The mesh and the two ways to lie on it.

    Raises:
        BadInputError: the batch cannot be dealt out evenly.
    """

    def __init__(self, config: Config):
        devices, parts = jax.device_count(), config.train.accumulate
        if config.data.batch_size % (devices * parts):
            what = f"the {devices} device{'s' * (devices > 1)}" + f" times {parts} micro-batches" * (parts > 1)
            raise BadInputError(f"data.batch_size must be a multiple of {what}; it is {config.data.batch_size}.")
        # Auto axes: under Explicit ones, the default, reshapes and scans in the step would raise
        mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,))
        self.spread, self.copied = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())

    def rows(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """This process's rows of a batch → the batch over all devices."""
        return {name: jax.make_array_from_process_local_data(self.spread, x) for name, x in batch.items()}

    def copies(self, tree: Any) -> Any:
        """A tree of arrays that every process has → the same on every device."""
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(self.copied, np.asarray(x)), tree)

    def like(self, tree: Any) -> Any:
        """Shapes of a tree as a checkpoint's target."""
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.copied), tree)
