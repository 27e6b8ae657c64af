"""The saturator: a smooth curve at four times the rate, mixed with the signal.

With g = 10^(drive/20) and t = tanh(g·x) the wet signal is c·(t + asymmetry/2·(t² − what is slow in it)), rising
everywhere; y = x + mix·(wet − x), so that mix 0 is the identity and a mix below 0 sharpens what the curve would round.

c keeps the level: of a Gaussian signal of −20 dBFS (RMS; music at the model's −20 LUFS lies there), exactly. What is
slow in t² (below 10 Hz, so all DC) is found by a low-pass and left out.
"""

from __future__ import annotations

import dataclasses
import typing

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp.cascade import cascade
from nmjax.dsp.numerics import db_to_amplitude
from nmjax.dsp.oversample import OVERSAMPLING_MARGIN, apply_oversampled
from nmjax.dsp.svf import low_pass
from nmjax.dsp.validation import check_audio, check_sample_rate, check_settings, check_state

SATURATOR_LIMITS = {"drive_db": (0.0, 24.0), "mix": (-0.5, 1.0), "asymmetry": (0.0, 1.0)}
SATURATOR_LATENCY = OVERSAMPLING_MARGIN  # samples by which the stream's form is late
REFERENCE_RMS = 0.1  # −20 dBFS: a Gaussian signal of this level keeps it
_DC_FILTER_HZ, _DC_FILTER_Q = 10.0, 0.5
_HERMITE_NODES, _HERMITE_WEIGHTS = np.polynomial.hermite_e.hermegauss(64)  # for means over a Gaussian signal


@typing.no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Saturator:
    """Settings of a saturator, each array `[batch]`.

    drive_db: 0 to 24, the gain into the curve. mix: −0.5 to 1, the curve's share; 0 is neutral. asymmetry: 0 (odd
    harmonics only) to 1 (as much even ones as the curve still rises everywhere).
    """

    drive_db: Array
    mix: Array
    asymmetry: Array


@typing.no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SaturatorState:
    """What a stream's saturator remembers: the last samples, and the filter that finds what is slow."""

    tail: Array  # [batch, 2·SATURATOR_LATENCY, channel]
    dc_filter: Array  # [batch, channel, 1, 2]


def initial_saturator_state(batch_size: int, num_channels: int, dtype=jnp.float32) -> SaturatorState:
    """Before the signal there was silence."""
    return SaturatorState(
        jnp.zeros((batch_size, 2 * OVERSAMPLING_MARGIN, num_channels), dtype),
        jnp.zeros((batch_size, num_channels, 1, 2), dtype),
    )


def saturate(
    audio: Float[Array, "batch time channel"], settings: Saturator, sample_rate: float
) -> Float[Array, "batch time channel"]:
    """The saturated signal, not late; before and after it is silence.

    Args:
        audio: any length above 0, float32 or float64, at the model's level (`LEVEL_RMS`).
        settings: one row for each signal. mix 0 is the identity to the bit.
        sample_rate: Hz.

    Raises:
        ValueError: a setting out of its range or not `[batch]`; audio of another rank or type; a rate that is not above
            0.
    """
    check_audio(audio)
    return saturate_stream(jnp.pad(audio, ((0, 0), (0, OVERSAMPLING_MARGIN), (0, 0))), settings, sample_rate)[0][
        :, OVERSAMPLING_MARGIN:
    ]


def saturate_stream(
    audio: Float[Array, "batch time channel"],
    settings: Saturator,
    sample_rate: float,
    state: SaturatorState | None = None,
) -> tuple[Float[Array, "batch time channel"], SaturatorState]:
    """The next piece of a stream, as long as what came in and `SATURATOR_LATENCY` samples late (its start is silence).

    Pieces may have any length; at the end as many zeros bring out the rest. Errors as in `saturate`, and for a state of
    another shape.
    """
    check_audio(audio)
    initial = initial_saturator_state(audio.shape[0], audio.shape[2], audio.dtype)
    state = initial if state is None else state
    jax.tree.map(lambda value, expected: check_state(value, expected.shape), state, initial)
    extended = jnp.concatenate([state.tail, audio], axis=1)
    y, dc_filter = _mix_wet_dry(extended, settings, sample_rate, state.dc_filter)
    return y, SaturatorState(extended[:, audio.shape[1] :], dc_filter)


def level_compensation(settings: Saturator) -> Float[Array, " batch"]:
    """c: what brings the curve's output back to the level of a Gaussian input of `LEVEL_RMS`."""
    nodes, weights = (
        jnp.asarray(x, settings.drive_db.dtype)[None]
        for x in (_HERMITE_NODES, _HERMITE_WEIGHTS / _HERMITE_WEIGHTS.sum())
    )
    squared_output = jnp.tanh(db_to_amplitude(settings.drive_db)[:, None] * REFERENCE_RMS * nodes) ** 2
    power = jnp.sum(weights * squared_output, axis=1)
    square_variance = jnp.sum(weights * (squared_output - power[:, None]) ** 2, axis=1)
    return REFERENCE_RMS / jnp.sqrt(power + (0.5 * settings.asymmetry) ** 2 * square_variance)


def _mix_wet_dry(padded: Array, settings: Saturator, sample_rate: float, dc_filter: Array) -> tuple[Array, Array]:
    """The mix of a signal that has `REACH` samples more on either side, and the slow filter's state."""
    check_sample_rate(sample_rate)
    batch, time, channels = padded.shape
    check_settings(settings, SATURATOR_LIMITS, batch)
    settings = jax.tree.map(lambda x: x.astype(padded.dtype), settings)
    row_params = [jnp.repeat(x, channels) for x in (db_to_amplitude(settings.drive_db), 0.5 * settings.asymmetry)]

    def waveshaper(x):
        gain, half_asymmetry = (r.reshape(-1, *[1] * (x.ndim - 1)) for r in row_params)
        t = jnp.tanh(gain * x)
        even = half_asymmetry * t * t
        return t + even, even

    def unflatten_channels(x):
        return jnp.moveaxis(x.reshape(batch, channels, -1), 1, 2)

    shaped, even_terms = apply_oversampled(jnp.moveaxis(padded, 2, 1).reshape(batch * channels, time), waveshaper)
    corner_hz, q = (jnp.full((batch, 1), x, padded.dtype) for x in (_DC_FILTER_HZ, _DC_FILTER_Q))
    dc, dc_filter = cascade(unflatten_channels(even_terms), low_pass(corner_hz, q, sample_rate), dc_filter)
    wet = level_compensation(settings)[:, None, None] * (unflatten_channels(shaped) - dc)
    dry = padded[:, OVERSAMPLING_MARGIN : time - OVERSAMPLING_MARGIN]
    return dry + settings.mix[:, None, None] * (wet - dry), dc_filter
