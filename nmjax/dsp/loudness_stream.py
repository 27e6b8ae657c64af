"""A loudness and true-peak meter for streams in constant memory: `(chunk, state) → state`, readable at any time.

The relative gate depends on the mean of all blocks, so gating needs every block again once the mean is known. Instead
of the blocks the meter keeps a histogram of their loudness: bins of 0.01 LU from −70 to +50 LUFS (the last one also
counts louder blocks), each with a count and the sum of powers. Only blocks in the same bin as a gate, less than 0.01 LU
from it, can be gated differently than by `nmjax.dsp.loudness`.
"""

from __future__ import annotations

import dataclasses
import typing

import numpy as np
from jaxtyping import Float

from nmjax.dsp.loudness import (
    ABSOLUTE_GATE_LUFS,
    MOMENTARY_STEPS,
    RANGE_GATE_LU,
    RANGE_PERCENTILES,
    RELATIVE_GATE_LU,
    SHORT_TERM_STEPS,
    STEPS_PER_HOP,
    channel_weights,
    k_weight,
    lufs_to_power,
    percentile_index,
    power_to_lufs,
    samples_per_step,
    sliding_mean,
    weighted_energy,
)
from nmjax.dsp.numerics import amplitude_to_db
from nmjax.dsp.true_peak import TRUE_PEAK_OVERLAP, true_peak_amplitude
from nmjax.dsp.validation import check_audio, check_sample_rate, check_state, require
from nmjax.runtime.lazy_jax import Array, jax, jnp, register_dataclass

_BIN_LU = 0.01
_NUM_BINS = 12_000  # from −70 to +50 LUFS


@typing.no_type_check
@register_dataclass
@dataclasses.dataclass(frozen=True)
class MeterState:
    """Streaming state of a meter, made by `initial_meter_state`.

    Attributes:
        filter_state: `[batch, channel, 2, 2]`, of the K-weighting filters.
        open_samples: scalar, samples in the current, incomplete step of 20 ms.
        open_energy: `[batch]`, the sum of their K-weighted squares.
        step_count: scalar, complete steps so far.
        recent_powers: `[batch, 150]`, mean powers of the last 3 s of steps.
        max_momentary_power, max_short_term_power: `[batch]`.
        gating_histogram, range_histogram: `[2, batch, bins]`, counts and sums of powers of blocks of 400 ms and 3 s.
        tail: `[batch, 11, channel]`, the last samples, for the true-peak filter.
        max_true_peak, max_sample_peak: `[batch]`, amplitudes.
    """

    filter_state: Array
    open_samples: Array
    open_energy: Array
    step_count: Array
    recent_powers: Array
    max_momentary_power: Array
    max_short_term_power: Array
    gating_histogram: Array
    range_histogram: Array
    tail: Array
    max_true_peak: Array
    max_sample_peak: Array


@typing.no_type_check
@register_dataclass
@dataclasses.dataclass(frozen=True)
class MeterReading:
    """A meter's values in LUFS, LU, dBTP and dBFS, each `[batch]`; −inf without enough audio (the range: 0)."""

    integrated_lufs: Array
    momentary_lufs: Array
    max_momentary_lufs: Array
    short_term_lufs: Array
    max_short_term_lufs: Array
    loudness_range_lu: Array
    true_peak_db: Array
    sample_peak_db: Array


def initial_meter_state(batch_size: int, num_channels: int, dtype=np.float32) -> MeterState:
    """The state of a meter before the first chunk.

    Raises:
        ValueError: `num_channels` is not from 1 to 8.
    """
    channel_weights(num_channels)  # validates the number of channels
    zero_count = jnp.zeros((), jnp.int32)
    zeros, empty_histogram = jnp.zeros((batch_size,), dtype), jnp.zeros((2, batch_size, _NUM_BINS), dtype)
    return MeterState(
        filter_state=jnp.zeros((batch_size, num_channels, 2, 2), dtype),
        open_samples=zero_count,
        open_energy=zeros,
        step_count=zero_count,
        recent_powers=jnp.zeros((batch_size, SHORT_TERM_STEPS), dtype),
        max_momentary_power=zeros,
        max_short_term_power=zeros,
        gating_histogram=empty_histogram,
        range_histogram=empty_histogram,
        tail=jnp.zeros((batch_size, TRUE_PEAK_OVERLAP, num_channels), dtype),
        max_true_peak=zeros,
        max_sample_peak=zeros,
    )


def update_meter(
    audio: Float[Array, "batch time channel"], sample_rate: float, state: MeterState, num_valid: Array | None = None
) -> MeterState:
    """The state of the meter after the next chunk of the stream; the chunking does not change the reading.

    Args:
        audio: the chunk, any length above 0; 1 to 8 channels.
        sample_rate: Hz, above 3,364.
        state: from `initial_meter_state`, or returned for the previous chunk.
        num_valid: how many samples of the chunk to measure, from 0 to all (the default). The last chunk can be padded
            to the length of the others, to avoid a compilation; no chunk may follow a padded one.

    Raises:
        ValueError: audio of another rank, type, batch or number of channels than the state's; a sample rate out of its
            range (half of it must be above the K-weighting's shelf at 1,682 Hz).
    """
    check_audio(audio)
    check_sample_rate(sample_rate)
    batch, time, channels = audio.shape
    check_state(state.filter_state, (batch, channels, 2, 2))
    state_dtype = state.filter_state.dtype
    require(audio.dtype == state_dtype, "audio", f"{state_dtype}, as the meter's state", audio.dtype)
    num_valid = jnp.clip(jnp.asarray(time if num_valid is None else num_valid), 0, time)
    audio = jnp.where((jnp.arange(audio.shape[1]) < num_valid)[None, :, None], audio, 0.0)
    extended = jnp.concatenate([state.tail, audio], axis=1)
    k_weighted, filter_state = k_weight(audio, sample_rate, state.filter_state)
    return dataclasses.replace(
        _update_steps(state, weighted_energy(k_weighted), samples_per_step(sample_rate), num_valid),
        filter_state=filter_state,
        tail=jax.lax.dynamic_slice_in_dim(extended, num_valid, TRUE_PEAK_OVERLAP, axis=1),
        max_true_peak=jnp.maximum(state.max_true_peak, true_peak_amplitude(extended, sample_rate)),
        max_sample_peak=jnp.maximum(state.max_sample_peak, jnp.max(jnp.abs(audio), axis=(1, 2))),
    )


def _update_steps(
    state: MeterState, energy: Float[Array, "batch time"], step_length: int, num_valid: Array
) -> MeterState:
    """Update the state with the 20 ms steps that end in this chunk, and with the blocks that end with them."""
    batch, time = energy.shape
    max_steps = (step_length - 1 + time) // step_length
    aligned = jnp.zeros((batch, (max_steps + 1) * step_length), energy.dtype)
    aligned = jax.lax.dynamic_update_slice_in_dim(aligned, energy, state.open_samples, axis=1)
    step_energies = jnp.sum(aligned.reshape(batch, max_steps + 1, step_length), axis=2).at[:, 0].add(state.open_energy)
    num_closed = (state.open_samples + num_valid) // step_length
    powers = jnp.concatenate([state.recent_powers, step_energies[:, :max_steps] / step_length], axis=1)
    momentary = sliding_mean(powers[:, SHORT_TERM_STEPS + 1 - MOMENTARY_STEPS :], MOMENTARY_STEPS)
    short_term = sliding_mean(powers[:, 1:], SHORT_TERM_STEPS)
    step_number = state.step_count + 1 + jnp.arange(max_steps)  # steps so far at the end of each
    is_closed = jnp.arange(max_steps) < num_closed
    is_momentary, is_short = is_closed & (step_number >= MOMENTARY_STEPS), is_closed & (step_number >= SHORT_TERM_STEPS)
    is_hop_end = step_number % STEPS_PER_HOP == 0
    return dataclasses.replace(
        state,
        open_samples=(state.open_samples + num_valid) % step_length,
        open_energy=jnp.take(step_energies, num_closed, axis=1),
        step_count=state.step_count + num_closed,
        recent_powers=jax.lax.dynamic_slice_in_dim(powers, num_closed, SHORT_TERM_STEPS, axis=1),
        max_momentary_power=_running_max(state.max_momentary_power, momentary, is_momentary),
        max_short_term_power=_running_max(state.max_short_term_power, short_term, is_short & is_hop_end),
        gating_histogram=_add_to_histogram(state.gating_histogram, momentary, is_momentary & is_hop_end),
        range_histogram=_add_to_histogram(state.range_histogram, short_term, is_short & is_hop_end),
    )


def _running_max(current_max: Array, powers: Array, mask: Array) -> Array:
    return jnp.maximum(current_max, jnp.max(jnp.where(mask[None], powers, 0.0), axis=1, initial=0.0))


def _add_to_histogram(histogram: Array, powers: Array, mask: Array) -> Array:
    """Count each block above the absolute gate, and add its power, in the bin of its loudness."""
    counts = (mask[None] & (powers > lufs_to_power(ABSOLUTE_GATE_LUFS))).astype(histogram.dtype)
    position = (power_to_lufs(powers) - ABSOLUTE_GATE_LUFS) / _BIN_LU
    index = jnp.clip(jnp.nan_to_num(position, neginf=0.0), 0, _NUM_BINS - 1).astype(int)
    increment = jnp.stack([counts, counts * powers])
    return histogram.at[:, jnp.arange(histogram.shape[1])[:, None], index].add(increment)


def read_meter(state: MeterState, sample_rate: float) -> MeterReading:
    """The current values of the meter; the true peak is that of the stream followed by silence."""
    tail_peak = true_peak_amplitude(jnp.concatenate([state.tail, jnp.zeros_like(state.tail)], axis=1), sample_rate)
    return MeterReading(
        integrated_lufs=power_to_lufs(_histogram_mean_power(_gate_histogram(state.gating_histogram, RELATIVE_GATE_LU))),
        momentary_lufs=_recent_lufs(state, MOMENTARY_STEPS),
        max_momentary_lufs=power_to_lufs(state.max_momentary_power),
        short_term_lufs=_recent_lufs(state, SHORT_TERM_STEPS),
        max_short_term_lufs=power_to_lufs(state.max_short_term_power),
        loudness_range_lu=_histogram_range_lu(state.range_histogram),
        true_peak_db=amplitude_to_db(jnp.maximum(state.max_true_peak, tail_peak)),
        sample_peak_db=amplitude_to_db(state.max_sample_peak),
    )


def _recent_lufs(state: MeterState, num_steps: int) -> Array:
    """The loudness of the last `num_steps` steps; −inf if there are fewer."""
    power = jnp.mean(state.recent_powers[:, -num_steps:], axis=1)
    return power_to_lufs(jnp.where(state.step_count >= num_steps, power, 0.0))


def _gate_histogram(histogram: Array, relative_gate_lu: float) -> Array:
    """The histogram without the bins whose mean power is below the relative gate."""
    counts, powers = histogram
    threshold = _histogram_mean_power(histogram) * 10.0 ** (relative_gate_lu / 10.0)
    return jnp.where((powers > threshold[:, None] * counts)[None], histogram, 0.0)


def _histogram_mean_power(histogram: Array) -> Array:
    count, power = jnp.sum(histogram, axis=2)
    return power / jnp.maximum(count, 1.0)


def _histogram_range_lu(histogram: Array) -> Array:
    """The difference between the 95th and the 10th percentile of the gated blocks in LU; 0 if there are none."""
    counts, powers = _gate_histogram(histogram, RANGE_GATE_LU)
    cumulative_counts = jnp.cumsum(counts, axis=1)
    count = cumulative_counts[:, -1]
    loudness = power_to_lufs(powers / jnp.maximum(counts, 1.0))
    indices = (
        jnp.sum(cumulative_counts <= percentile_index(fraction, count)[:, None], axis=1)
        for fraction in RANGE_PERCENTILES
    )
    low, high = (jnp.take_along_axis(loudness, index[:, None], axis=1, mode="clip")[:, 0] for index in indices)
    return jnp.where(count > 0, high - low, 0.0)
