"""Decoders from z to the settings of the equaliser: five bands, or ten with gates."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from nmjax.models.layers import BiasInitDense
from nmjax.models.parameters import EqSettings

MIN_FREQ_HZ, MAX_FREQ_HZ = 20.0, 20_000.0
MAX_GAIN_DB = 12.0
MIN_Q, MAX_Q = 0.5, 5.0
_HIDDEN_SIZE = 256
FIVE_BANDS_HZ = (62.0, 250.0, 1000.0, 4000.0, 12000.0)
TEN_BANDS_HZ = tuple(float(f) for f in np.geomspace(40.0, 14_000.0, 10))
INITIAL_GATE = 1.0 / (1.0 + math.exp(-2.0))


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def freq_from_raw(raw: Float[Array, "batch bands"], frequency_map: str) -> Float[Array, "batch bands"]:
    """20 Hz to 20 kHz from an unbounded number: `log` 20·1000^sigmoid(r), or `linear` 20 + 19980·sigmoid(r).

    Raises:
        ValueError: another map.
    """
    fraction = jax.nn.sigmoid(raw)
    if frequency_map == "log":
        return MIN_FREQ_HZ * jnp.exp(fraction * math.log(MAX_FREQ_HZ / MIN_FREQ_HZ))
    if frequency_map != "linear":
        raise ValueError(f"frequency_map must be 'log' or 'linear'; it is '{frequency_map}'")
    return MIN_FREQ_HZ + (MAX_FREQ_HZ - MIN_FREQ_HZ) * fraction


def raw_from_freq(freq_hz: float, frequency_map: str) -> float:
    """The inverse of `frequency_of`, for a frequency inside (20 Hz, 20 kHz), the ends excluded."""
    if frequency_map == "log":
        return _logit(math.log(freq_hz / MIN_FREQ_HZ) / math.log(MAX_FREQ_HZ / MIN_FREQ_HZ))
    return _logit((freq_hz - MIN_FREQ_HZ) / (MAX_FREQ_HZ - MIN_FREQ_HZ))


class ParametricDecoder(nn.Module):
    """z → bands in physical units, gate 1.

    frequency_map: `log` or `linear`. dropout: rate after each hidden layer. start_hz: where the bands lie untrained.
    """

    frequency_map: str = "log"
    dropout: float = 0.2
    initial_freqs_hz: tuple[float, ...] = FIVE_BANDS_HZ

    def setup(self):
        self.hidden = [nn.Dense(_HIDDEN_SIZE), nn.Dense(_HIDDEN_SIZE)]
        self.dropout_layer = nn.Dropout(self.dropout)
        bands = len(self.initial_freqs_hz)
        self.frequency = BiasInitDense(tuple(raw_from_freq(f, self.frequency_map) for f in self.initial_freqs_hz))
        self.gain = BiasInitDense((0.0,) * bands)
        self.q = BiasInitDense((_logit((1.0 - MIN_Q) / (MAX_Q - MIN_Q)),) * bands)

    def __call__(
        self, z: Float[Array, "batch latent"], train: bool = False
    ) -> tuple[EqSettings, Float[Array, "batch bands"] | None]:
        """Settings, each `[batch, bands]`, and the gates' logits where there are gates. `train` turns dropout on."""
        x = z
        for dense in self.hidden:
            x = self.dropout_layer(nn.relu(dense(x)), deterministic=not train)
        gain_db = MAX_GAIN_DB * jnp.tanh(self.gain(x))
        eq = EqSettings(
            freq_hz=freq_from_raw(self.frequency(x), self.frequency_map),
            gain_db=gain_db,
            q=MIN_Q + (MAX_Q - MIN_Q) * jax.nn.sigmoid(self.q(x)),
            gate=jnp.ones_like(gain_db),
        )
        return eq, None


class AdaptiveDecoder(ParametricDecoder):
    """Ten bands, each with a soft gate from a selector; the rendered gain is gain_db · gate.

    The collection `carried` holds what each band's gain is divided by (1, or the gate's start value for a band that was
    copied from a decoder without gates, so that it sounds as before). It is not trained.
    """

    initial_freqs_hz: tuple[float, ...] = TEN_BANDS_HZ

    def setup(self):
        super().setup()
        bands = len(self.initial_freqs_hz)
        self.selector = nn.Dense(128)
        self.gate = BiasInitDense((2.0,) * bands)
        self.gain_divisor = self.variable("warm_start", "gain_divisor", jnp.ones, (bands,))

    def __call__(
        self, z: Float[Array, "batch latent"], train: bool = False
    ) -> tuple[EqSettings, Float[Array, "batch bands"] | None]:
        """Settings and the gates' logits, each `[batch, bands]`."""
        eq, _ = super().__call__(z, train)
        logit = self.gate(nn.relu(self.selector(z)))
        gain_db = jnp.clip(eq.gain_db / self.gain_divisor.value[None], -MAX_GAIN_DB, MAX_GAIN_DB)
        return eq.replace(gain_db=gain_db, gate=jax.nn.sigmoid(logit)), logit
