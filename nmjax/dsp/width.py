"""Stereo width in two bands: a gain on the side signal, (left − right)/2, below and above a crossover.

    side' = low·LP(side) + high·(side − LP(side))

The two bands sum to the side exactly for any low-pass. The change side' − side is added to left and subtracted from
right, so with width 1, and for a mono signal, the output is bit-identical to the input.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import numpy as np
from jaxtyping import Float

from nmjax.dsp.block_filter import filter_blocks
from nmjax.dsp.cascade import cascade
from nmjax.dsp.namespace import namespace
from nmjax.dsp.numerics import log10_or_neg_inf
from nmjax.dsp.svf import low_pass
from nmjax.dsp.validation import check_audio, check_sample_rate, check_settings, check_state, require
from nmjax.runtime.lazy_jax import Array, jnp, register_dataclass

WIDTH_LIMITS = {"low": (0.0, 2.0), "high": (0.0, 2.0)}
CROSSOVER_HZ = 200.0
_CROSSOVER_Q = 0.5  # two equal real poles: of all second-order low-passes, side − LP(side) overshoots least (1.25 dB)


@typing.no_type_check
@register_dataclass
@dataclasses.dataclass(frozen=True)
class Width:
    """Factors on the side, each array `[batch]`, from 0 (mono) to 2; 1 is neutral.

    Attributes:
        low: factor below the crossover.
        high: factor above the crossover.
    """

    low: Array
    high: Array


def widen(
    audio: Float[Array, "batch time channel"],
    settings: Width,
    sample_rate: float,
    state: Float[Array, "batch 1 1 2"] | None = None,
    crossover_hz: float = CROSSOVER_HZ,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch 1 1 2"]]:
    """Change the stereo width; the mid, (left + right)/2, does not change.

    Args:
        audio: any length above 0. Only stereo has a side: any other number of channels is returned unchanged. NumPy
            computes where this and the settings are arrays of NumPy.
        settings: one row for each signal.
        sample_rate: Hz.
        state: the state returned for the previous chunk; at rest if not given.
        crossover_hz: above 0 and below half the sample rate.

    Returns:
        the signal, and the state after its last sample: consecutive chunks give the same as one call.

    Raises:
        ValueError: a setting out of its range or not `[batch]`; audio or a state of another shape; a rate that is not
            above 0; a crossover out of its range.
    """
    check_audio(audio)
    check_sample_rate(sample_rate)
    batch, _, channels = audio.shape
    check_settings(settings, WIDTH_LIMITS, batch)
    nyquist_hz = sample_rate / 2
    requirement = f"above 0 and below half the rate ({nyquist_hz:g} Hz)"
    require(0.0 < crossover_hz < nyquist_hz, "crossover_hz", requirement, crossover_hz)
    state = np.zeros((batch, 1, 1, 2), audio.dtype) if state is None else state
    check_state(state, (batch, 1, 1, 2))
    if channels != 2:
        return audio, state
    low, high = (x.astype(audio.dtype)[:, None, None] for x in (settings.low, settings.high))
    side = 0.5 * (audio[:, :, :1] - audio[:, :, 1:])
    corner_hz, q = (np.full((batch, 1), x, audio.dtype) for x in (crossover_hz, _CROSSOVER_Q))
    xp = namespace(audio, low, state)
    apply_filter: Any = filter_blocks if xp is np else cascade
    low_side, state = apply_filter(side, low_pass(corner_hz, q, sample_rate), state)
    side_delta = (high - 1.0) * side + (low - high) * low_side
    return audio + xp.concatenate([side_delta, -side_delta], axis=2), state


def mono_compatibility_db(audio: Float[Array, "batch time channel"]) -> Float[Array, " batch"]:
    """Level change of the mono sum in dB: the power of the channels' mean over the channels' mean power.

    0 for mono and for silence, −3 for two uncorrelated channels, −inf for channels that cancel.
    """
    check_audio(audio)
    mono_power, channel_power = jnp.mean(jnp.mean(audio, axis=2) ** 2, axis=1), jnp.mean(audio**2, axis=(1, 2))
    is_silent = channel_power == 0.0
    return 10.0 * log10_or_neg_inf(jnp.where(is_silent, 1.0, mono_power) / jnp.where(is_silent, 1.0, channel_power))
