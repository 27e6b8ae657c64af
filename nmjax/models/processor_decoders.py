"""Decoders from z to the settings of the processors."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from nmjax.models.layers import DEFAULT_PRECISION, BiasInitDense
from nmjax.models.processors import PROCESSORS

_HIDDEN_SIZE = 64


class ProcessorDecoder(nn.Module):
    """z → settings of one processor; untrained, its initial settings.

    Attributes:
        processor: Name of a row of PROCESSORS.
        precision: Precision of float32 products, see `layers.DEFAULT_PRECISION`.
    """

    processor: str
    precision: str = DEFAULT_PRECISION

    @nn.compact
    def __call__(self, z: Float[Array, "batch latent"]) -> Any:
        processor = PROCESSORS[self.processor]
        hidden = nn.relu(nn.Dense(_HIDDEN_SIZE, precision=self.precision, name="hidden")(z))
        out = BiasInitDense((0.0,) * len(processor.settings), self.precision, name="settings")
        return processor.from_raw(out(hidden))


class ProcessorDecoders(nn.Module):
    """z of mid and of the side → settings of every processor, by name.

    Attributes:
        precision: Precision of float32 products, see `layers.DEFAULT_PRECISION`.
    """

    precision: str = DEFAULT_PRECISION

    @nn.compact
    def __call__(self, z: Float[Array, "batch latent"], z_side: Float[Array, "batch latent"]) -> dict[str, Any]:
        z_mid_side = jnp.concatenate([z, z_side], axis=1)
        return {
            name: ProcessorDecoder(name, self.precision, name=name)(z_mid_side if processor.uses_side else z)
            for name, processor in PROCESSORS.items()
        }
