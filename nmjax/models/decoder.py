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
from nmjax.models.raw_settings import MAX_FREQ_HZ, MAX_GAIN_DB, MAX_Q, MIN_FREQ_HZ, MIN_Q, eq_from_raw

FIVE_BANDS_HZ = (62.0, 250.0, 1000.0, 4000.0, 12000.0)
TEN_BANDS_HZ = tuple(float(f) for f in np.geomspace(40.0, 14_000.0, 10))
INITIAL_FREQS_HZ = {len(freqs_hz): freqs_hz for freqs_hz in (FIVE_BANDS_HZ, TEN_BANDS_HZ)}  # by number of bands
_INITIAL_Q = 1.0
_INITIAL_GATE_LOGIT = 2.0
_HIDDEN_SIZE = 256
_GATE_HIDDEN_SIZE = 128
_HARD_MIN, _HARD_MAX, _HARD_TEMPERATURE = -0.1, 1.1, 2.0 / 3.0  # of the hard concrete distribution
HARD_GATE_LOGIT_SHIFT = -_HARD_TEMPERATURE * math.log(-_HARD_MIN / _HARD_MAX)  # see `nonzero_logit`


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def raw_from_freq(freq_hz: float, frequency_map: str) -> float:
    """The inverse of `freq_from_raw`, for a frequency strictly between 20 Hz and 20 kHz."""
    if frequency_map == "log":
        return _logit(math.log(freq_hz / MIN_FREQ_HZ) / math.log(MAX_FREQ_HZ / MIN_FREQ_HZ))
    return _logit((freq_hz - MIN_FREQ_HZ) / (MAX_FREQ_HZ - MIN_FREQ_HZ))


def soft_gate(logit: Float[Array, "batch bands"]) -> Float[Array, "batch bands"]:
    """sigmoid(logit): never quite 0, so a large gain evades a price of the gate."""
    return jax.nn.sigmoid(logit)


def hard_gate(
    logit: Float[Array, "batch bands"], uniform: Float[Array, "batch bands"] | None = None
) -> Float[Array, "batch bands"]:
    """A gate that can be exactly 0 and exactly 1: a sigmoid stretched to −0.1 … 1.1 and clipped.

    Source: Louizos, Welling, Kingma, "Learning sparse neural networks through L0 regularization" (2018), equations 10
    to 13.

    Args:
        logit: log α of each gate.
        uniform: Random numbers in (0, 1), with which clipped gates get gradients in the mean; None for inference.
    """
    if uniform is None:
        share = jax.nn.sigmoid(logit)
    else:
        share = jax.nn.sigmoid((logit + jnp.log(uniform) - jnp.log1p(-uniform)) / _HARD_TEMPERATURE)
    return jnp.clip(_HARD_MIN + (_HARD_MAX - _HARD_MIN) * share, 0.0, 1.0)


def nonzero_logit(logit: Float[Array, "batch bands"]) -> Float[Array, "batch bands"]:
    """The logit of the probability that a random `hard_gate` is not 0 (equation 12 of the same source)."""
    return logit + HARD_GATE_LOGIT_SHIFT


def initial_gate(kind: str) -> float:
    """The gate of an untrained decoder.

    Args:
        kind: `soft` or `hard`.
    """
    gate = hard_gate if kind == "hard" else soft_gate
    return float(gate(jnp.full((1, 1), _INITIAL_GATE_LOGIT))[0, 0])


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
        gate, price_logit = self._gate(logit)
        gain_db = jnp.clip(eq.gain_db / self.gain_divisor.value[None], -MAX_GAIN_DB, MAX_GAIN_DB)
        return eq.replace(gain_db=gain_db, gate=gate), price_logit

    def _gate(
        self, logit: Float[Array, "batch bands"]
    ) -> tuple[Float[Array, "batch bands"], Float[Array, "batch bands"]]:
        """The gates, and the logits whose sigmoids have a price: the soft gates, or P(≠ 0) of hard ones."""
        if self.gates == "soft":
            return soft_gate(logit), logit
        uniform = None
        if self.has_rng("gates"):
            uniform = jax.random.uniform(self.make_rng("gates"), logit.shape, minval=1e-6, maxval=1.0 - 1e-6)
        return hard_gate(logit, uniform), nonzero_logit(logit)
