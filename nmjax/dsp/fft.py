"""Fourier transforms of batches that are distributed over devices.

XLA's partitioner does not know that the rows of a batch are transformed independently: it gathers the whole batch on
every device. So where the caller has set a mesh (`jax.set_mesh`), each device is told to transform its own rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Complex, Float

from nmjax.dsp.namespace import namespace
from nmjax.runtime import fast_fft
from nmjax.runtime.lazy_jax import Array, jax, jnp


def rfft(x: Float[Array, "batch ..."], size: int | None = None, axis: int = -1) -> Complex[Array, "batch ..."]:
    """`jnp.fft.rfft` along an axis other than the first, each device for its own rows of the batch; or without JAX."""
    if namespace(x) is np:
        return fast_fft.rfft(x, axis) if size is None else np.fft.rfft(x, size, axis)
    return _on_own_rows(partial(jnp.fft.rfft, n=size, axis=axis), x)


def irfft(x: Complex[Array, "batch ..."], size: int, axis: int = -1) -> Float[Array, "batch ..."]:
    """`jnp.fft.irfft` along an axis other than the first, each device for its own rows of the batch."""
    return _on_own_rows(partial(jnp.fft.irfft, n=size, axis=axis), x)


def _on_own_rows(transform: Callable[[Array], Array], x: Array) -> Array:
    """The transform of a batch; of one that cannot be divided evenly among the devices, as XLA does it."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1 or x.shape[0] % mesh.size:
        return transform(x)
    rows = jax.sharding.PartitionSpec(mesh.axis_names)
    return jax.shard_map(transform, in_specs=rows, out_specs=rows)(x)
