"""Decoders from z to equalizer settings: without gates, or with one soft gate per band."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from nmjax.models.layers import DEFAULT_PRECISION, BiasInitDense
from nmjax.models.parameters import EqSettings
from nmjax.models.raw_settings import (
    GATES,
    MAX_FREQ_HZ,
    MAX_Q,
    MIN_FREQ_HZ,
    MIN_Q,
    eq_from_raw,
    gated,
    hard_gate,
    price_logit,
)

FIVE_BANDS_HZ = (62.0, 250.0, 1000.0, 4000.0, 12000.0)
TEN_BANDS_HZ = tuple(float(f) for f in np.geomspace(40.0, 14_000.0, 10))
INITIAL_FREQS_HZ = {len(freqs_hz): freqs_hz for freqs_hz in (FIVE_BANDS_HZ, TEN_BANDS_HZ)}  # by number of bands
_INITIAL_Q = 1.0
_INITIAL_GATE_LOGIT = 2.0
_HIDDEN_SIZE = 256
_GATE_HIDDEN_SIZE = 128


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def raw_from_freq(freq_hz: float, frequency_map: str) -> float:
    """The inverse of `freq_from_raw`, for a frequency strictly between 20 Hz and 20 kHz."""
    if frequency_map == "log":
        return _logit(math.log(freq_hz / MIN_FREQ_HZ) / math.log(MAX_FREQ_HZ / MIN_FREQ_HZ))
    return _logit((freq_hz - MIN_FREQ_HZ) / (MAX_FREQ_HZ - MIN_FREQ_HZ))


def initial_gate(kind: str) -> float:
    """The gate of an untrained decoder.

    Args:
        kind: `soft` or `hard`.
    """
    return float(GATES[kind](jnp.full((1, 1), _INITIAL_GATE_LOGIT))[0, 0])


class ParametricDecoder(nn.Module):
    """z → equalizer bands in physical units; every gate is 1.

    Attributes:
        frequency_map: `log` or `linear`, see `freq_from_raw`.
        dropout: Dropout rate after each hidden layer.
        initial_freqs_hz: Frequencies of the bands before training, one per band.
        precision: Precision of float32 products, see `layers.DEFAULT_PRECISION`.
    """

    frequency_map: str = "log"
    dropout: float = 0.2
    initial_freqs_hz: tuple[float, ...] = FIVE_BANDS_HZ
    precision: str = DEFAULT_PRECISION

    def setup(self):
        self.hidden = [nn.Dense(_HIDDEN_SIZE, precision=self.precision) for _ in range(2)]
        self.drop = nn.Dropout(self.dropout)  # a submodule's name seeds its dropout masks
        bands = len(self.initial_freqs_hz)
        initial_raw_freqs = tuple(raw_from_freq(f, self.frequency_map) for f in self.initial_freqs_hz)
        self.frequency = BiasInitDense(initial_raw_freqs, self.precision)
        self.gain = BiasInitDense((0.0,) * bands, self.precision)
        self.q = BiasInitDense((_logit((_INITIAL_Q - MIN_Q) / (MAX_Q - MIN_Q)),) * bands, self.precision)

    def __call__(
        self, z: Float[Array, "batch latent"], train: bool = False
    ) -> tuple[EqSettings, Float[Array, "batch bands"] | None]:
        """The settings, each `[batch, bands]`, and the gate logits (None without gates). `train` enables dropout."""
        x = z
        for dense in self.hidden:
            x = self.drop(nn.relu(dense(x)), deterministic=not train)
        return eq_from_raw(self.frequency(x), self.gain(x), self.q(x), self.frequency_map), None


class AdaptiveDecoder(ParametricDecoder):
    """z → equalizer bands with gates; the rendered gain is gain_db · gate.

    Hard gates are random where the random stream `gates` is given, and in inference not.

    The variable collection `warm_start` holds a divisor of each band's gain. It is 1, except for a band copied from a
    decoder without gates: there it is the initial gate, so that the rendered gain does not change. It is not trained.

    Attributes:
        gates: `soft` (`soft_gate`) or `hard` (`hard_gate`).
    """

    initial_freqs_hz: tuple[float, ...] = TEN_BANDS_HZ
    gates: str = "soft"

    def setup(self):
        super().setup()
        bands = len(self.initial_freqs_hz)
        self.selector = nn.Dense(_GATE_HIDDEN_SIZE, precision=self.precision)
        self.gate = BiasInitDense((_INITIAL_GATE_LOGIT,) * bands, self.precision)
        self.gain_divisor = self.variable("warm_start", "gain_divisor", jnp.ones, (bands,))

    def __call__(
        self, z: Float[Array, "batch latent"], train: bool = False
    ) -> tuple[EqSettings, Float[Array, "batch bands"] | None]:
        """The settings and the logits of the gates' prices, each `[batch, bands]`."""
        eq, _ = super().__call__(z, train)
        logit = self.gate(nn.relu(self.selector(z)))
        gate = GATES[self.gates](logit)
        if self.gates == "hard" and self.has_rng("gates"):
            gate = hard_gate(
                logit, jax.random.uniform(self.make_rng("gates"), logit.shape, minval=1e-6, maxval=1.0 - 1e-6)
            )
        return gated(eq, gate, self.gain_divisor.value), price_logit(logit, self.gates)
