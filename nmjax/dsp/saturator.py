"""A saturator: a smooth nonlinearity at four times the sample rate, mixed with the dry signal.

With g = 10^(drive_db/20) and t = tanh(g·x):

    wet = c·(t + asymmetry/2·(t² − LP(t²)))
    y = x + mix·(wet − x)

The curve t + asymmetry/2·t² rises everywhere. LP is a low-pass at 10 Hz; subtracting it removes DC. The factor c keeps
the level of a Gaussian signal at −20 dBFS RMS, near the model's level of −20 LUFS. Mix 0 is the identity; a negative
mix expands the peaks that the curve would round.
"""

from __future__ import annotations

import dataclasses
import typing

import numpy as np
from jaxtyping import Float

from nmjax.dsp.cascade import cascade
from nmjax.dsp.numerics import db_to_amplitude
from nmjax.dsp.oversample import OVERSAMPLING_MARGIN, apply_oversampled
from nmjax.dsp.svf import low_pass
from nmjax.dsp.validation import check_audio, check_sample_rate, check_settings, check_state_tree
from nmjax.runtime.lazy_jax import Array, jax, jnp, register_dataclass

SATURATOR_LIMITS = {"drive_db": (0.0, 24.0), "mix": (-0.5, 1.0), "asymmetry": (0.0, 1.0)}
SATURATOR_LATENCY = OVERSAMPLING_MARGIN  # of `saturate_stream`, in samples
REFERENCE_RMS = 0.1  # −20 dBFS: a Gaussian signal at this level keeps its level
_DC_FILTER_HZ, _DC_FILTER_Q = 10.0, 0.5
_HERMITE_NODES, _HERMITE_WEIGHTS = np.polynomial.hermite_e.hermegauss(64)  # means over a Gaussian signal


@typing.no_type_check
@register_dataclass
@dataclasses.dataclass(frozen=True)
class Saturator:
    """Settings of a saturator, each array `[batch]`.

    Attributes:
        drive_db: 0 to 24, the gain before the nonlinearity.
        mix: −0.5 to 1, the proportion of the wet signal; 0 is neutral.
        asymmetry: 0 (odd harmonics only) to 1 (the largest even part for which the curve rises everywhere).
    """

    drive_db: Array
    mix: Array
    asymmetry: Array


@typing.no_type_check
@register_dataclass
@dataclasses.dataclass(frozen=True)
class SaturatorState:
    """Streaming state of a saturator.

    Attributes:
        tail: `[batch, 2·SATURATOR_LATENCY, channel]`, the last input samples.
        dc_filter: `[batch, channel, 1, 2]`, the state of the 10 Hz low-pass.
    """

    tail: Array
    dc_filter: Array


def initial_saturator_state(batch_size: int, num_channels: int, dtype=np.float32) -> SaturatorState:
    """The state after silence."""
    return SaturatorState(
        tail=np.zeros((batch_size, 2 * OVERSAMPLING_MARGIN, num_channels), dtype),
        dc_filter=np.zeros((batch_size, num_channels, 1, 2), dtype),
    )


def saturate(
    audio: Float[Array, "batch time channel"], settings: Saturator, sample_rate: float
) -> Float[Array, "batch time channel"]:
    """Saturate audio, latency-compensated, with silence before and after it.

    Args:
        audio: any length above 0, float32 or float64, at the model's level (about `REFERENCE_RMS`).
        settings: one row for each signal. With mix 0 the output is bit-identical to the input.
        sample_rate: Hz.

    Raises:
        ValueError: a setting out of its range or not `[batch]`; audio of another rank or type; a rate that is not above
            0.
    """
    check_audio(audio)
    padded = jnp.pad(audio, ((0, 0), (0, OVERSAMPLING_MARGIN), (0, 0)))
    return saturate_stream(padded, settings, sample_rate)[0][:, OVERSAMPLING_MARGIN:]


def saturate_stream(
    audio: Float[Array, "batch time channel"],
    settings: Saturator,
    sample_rate: float,
    state: SaturatorState | None = None,
) -> tuple[Float[Array, "batch time channel"], SaturatorState]:
    """Saturate the next chunk of a stream; the output is delayed by `SATURATOR_LATENCY` samples.

    Chunks may have any length. `SATURATOR_LATENCY` zeros after the last chunk flush the end of the signal.

    Args:
        audio: the chunk.
        settings: one row for each signal.
        sample_rate: Hz.
        state: the state returned for the previous chunk; at rest if not given.

    Returns:
        output of the chunk's length, and the state after it.

    Raises:
        ValueError: as `saturate`; a state of another shape.
    """
    check_audio(audio)
    initial = initial_saturator_state(audio.shape[0], audio.shape[2], audio.dtype)
    state = initial if state is None else state
    check_state_tree(state, initial)
    extended = jnp.concatenate([state.tail, audio], axis=1)
    y, dc_filter = _mix_wet_dry(extended, settings, sample_rate, state.dc_filter)
    return y, SaturatorState(tail=extended[:, audio.shape[1] :], dc_filter=dc_filter)


def level_compensation(settings: Saturator) -> Float[Array, " batch"]:
    """The factor c that restores the level of a Gaussian input of `REFERENCE_RMS`, by Gauss-Hermite quadrature."""
    nodes, weights = (
        jnp.asarray(x, settings.drive_db.dtype)[None]
        for x in (_HERMITE_NODES, _HERMITE_WEIGHTS / _HERMITE_WEIGHTS.sum())
    )
    squared_output = jnp.tanh(db_to_amplitude(settings.drive_db)[:, None] * REFERENCE_RMS * nodes) ** 2
    power = jnp.sum(weights * squared_output, axis=1)
    square_variance = jnp.sum(weights * (squared_output - power[:, None]) ** 2, axis=1)
    return REFERENCE_RMS / jnp.sqrt(power + (0.5 * settings.asymmetry) ** 2 * square_variance)


def _mix_wet_dry(padded: Array, settings: Saturator, sample_rate: float, dc_filter: Array) -> tuple[Array, Array]:
    """The output for a signal with `OVERSAMPLING_MARGIN` samples of context on either side, and the filter's state."""
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
