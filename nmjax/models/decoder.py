"""Decoders from z to the settings of the equaliser: five bands, or ten with gates."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from nmjax.models.layers import StartHead
from nmjax.models.settings import EqSettings

LOW_HZ, HIGH_HZ = 20.0, 20_000.0
MAX_GAIN_DB = 12.0
LOW_Q, HIGH_Q = 0.5, 5.0
_HIDDEN = 256
FIVE_BANDS_HZ = (62.0, 250.0, 1000.0, 4000.0, 12000.0)
TEN_BANDS_HZ = tuple(float(f) for f in np.geomspace(40.0, 14_000.0, 10))
GATE_START = 1.0 / (1.0 + math.exp(-2.0))


def _logit(share: float) -> float:
    return math.log(share / (1.0 - share))


def frequency_of(raw: Float[Array, "batch bands"], frequency_map: str) -> Float[Array, "batch bands"]:
    """20 Hz to 20 kHz from an unbounded number: `log` 20·1000^sigmoid(r), or `linear` 20 + 19980·sigmoid(r).

    Raises:
        ValueError: another map.
    """
    share = jax.nn.sigmoid(raw)
    if frequency_map == "log":
        return LOW_HZ * jnp.exp(share * math.log(HIGH_HZ / LOW_HZ))
    if frequency_map != "linear":
        raise ValueError(f"frequency_map must be 'log' or 'linear'; it is '{frequency_map}'")
    return LOW_HZ + (HIGH_HZ - LOW_HZ) * share


def raw_of_frequency(freq_hz: float, frequency_map: str) -> float:
    """The inverse of `frequency_of`, for a frequency inside (20 Hz, 20 kHz), the ends excluded."""
    if frequency_map == "log":
        return _logit(math.log(freq_hz / LOW_HZ) / math.log(HIGH_HZ / LOW_HZ))
    return _logit((freq_hz - LOW_HZ) / (HIGH_HZ - LOW_HZ))


class ParametricDecoder(nn.Module):
    """z → bands in physical units, gate 1.

    frequency_map: `log` or `linear`. dropout: rate after each hidden layer. start_hz: where the bands lie untrained.
    """

    frequency_map: str = "log"
    dropout: float = 0.2
    start_hz: tuple[float, ...] = FIVE_BANDS_HZ

    def setup(self):
        self.hidden = [nn.Dense(_HIDDEN), nn.Dense(_HIDDEN)]
        self.drop = nn.Dropout(self.dropout)
        bands = len(self.start_hz)
        self.frequency = StartHead(tuple(raw_of_frequency(f, self.frequency_map) for f in self.start_hz))
        self.gain = StartHead((0.0,) * bands)
        self.q = StartHead((_logit((1.0 - LOW_Q) / (HIGH_Q - LOW_Q)),) * bands)

    def __call__(
        self, z: Float[Array, "batch latent"], train: bool = False
    ) -> tuple[EqSettings, Float[Array, "batch bands"] | None]:
        """Settings, each `[batch, bands]`, and the gates' logits where there are gates. `train` turns dropout on."""
        x = z
        for dense in self.hidden:
            x = self.drop(nn.relu(dense(x)), deterministic=not train)
        gain_db = MAX_GAIN_DB * jnp.tanh(self.gain(x))
        eq = EqSettings(
            freq_hz=frequency_of(self.frequency(x), self.frequency_map),
            gain_db=gain_db,
            q=LOW_Q + (HIGH_Q - LOW_Q) * jax.nn.sigmoid(self.q(x)),
            gate=jnp.ones_like(gain_db),
        )
        return eq, None


class AdaptiveDecoder(ParametricDecoder):
    """Ten bands, each with a soft gate from a selector; the rendered gain is gain_db · gate.

    The collection `carried` holds what each band's gain is divided by (1, or the gate's start value for a band that was
    copied from a decoder without gates, so that it sounds as before). It is not trained.
    """

    start_hz: tuple[float, ...] = TEN_BANDS_HZ

    def setup(self):
        super().setup()
        bands = len(self.start_hz)
        self.selector = nn.Dense(128)
        self.gate = StartHead((2.0,) * bands)
        self.divisor = self.variable("carried", "gain_divisor", jnp.ones, (bands,))

    def __call__(
        self, z: Float[Array, "batch latent"], train: bool = False
    ) -> tuple[EqSettings, Float[Array, "batch bands"] | None]:
        """Settings and the gates' logits, each `[batch, bands]`."""
        eq, _ = super().__call__(z, train)
        logit = self.gate(nn.relu(self.selector(z)))
        gain_db = jnp.clip(eq.gain_db / self.divisor.value[None], -MAX_GAIN_DB, MAX_GAIN_DB)
        return eq.replace(gain_db=gain_db, gate=jax.nn.sigmoid(logit)), logit
