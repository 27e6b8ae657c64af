"""The same measures of a stream, with memory that does not grow: `(piece, state) → state`, and a reading at any time.

Gating needs every block once more when the mean is known. Instead of the blocks a histogram of their loudness is kept,
in bins of 0.01 LU from −70 to +50 LUFS (the last one holds what is louder), each with its count and its power. So the
only blocks that can be counted wrongly are those that share the bin into which a gate falls, less than 0.01 LU from it.
"""

from __future__ import annotations

import dataclasses
import typing

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

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

_BIN_LU = 0.01
_NUM_BINS = 12_000  # from −70 to +50 LUFS


@typing.no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class MeterState:
    """What a stream's meter remembers; make one with `meter_state`.

    filters: the K-weighting's. filled: samples in the open step of 20 ms; open_energy: their sum. steps: whole ones so
    far; recent: the powers of the last 150. momentary_max, short_term_max: largest powers. gating, ranging: histograms
    of the loudness of blocks of 400 ms and of 3 s, counts and powers. tail: the last samples. true_peak, sample_peak:
    largest amplitudes.
    """

    filter_state: Array  # [batch, channel, 2, 2]
    open_samples: Array
    open_energy: Array  # [batch]
    step_count: Array
    recent_powers: Array  # [batch, 150]
    max_momentary_power: Array  # [batch]
    max_short_term_power: Array  # [batch]
    gating_histogram: Array  # [2, batch, bins]
    range_histogram: Array  # [2, batch, bins]
    tail: Array  # [batch, 11, channel]
    max_true_peak: Array  # [batch]
    max_sample_peak: Array  # [batch]


@typing.no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class MeterReading:
    """What a meter shows, each `[batch]`: LUFS (−inf: nothing yet), LU, dBTP and dBFS."""

    integrated_lufs: Array
    momentary_lufs: Array
    max_momentary_lufs: Array
    short_term_lufs: Array
    max_short_term_lufs: Array
    loudness_range_lu: Array
    true_peak_db: Array
    sample_peak_db: Array


def initial_meter_state(batch_size: int, num_channels: int, dtype=jnp.float32) -> MeterState:
    """A meter that has heard nothing of `batch` streams of 1 to 8 channels (a ValueError for others)."""
    channel_weights(num_channels)
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
    """The meter after the stream's next piece, of any length above 0; pieces in turn read as the whole.

    Args:
        audio: the piece; 1 to 8 channels.
        sample_rate: Hz, above 0.
        state: from `meter_state` or after the piece before.
        valid: how many samples of the piece count, from 0 to all of them (all if not given): the last piece of a stream
            may be padded to the size of the others, so that nothing is compiled anew. No piece may follow one that was
            padded.

    Raises:
        ValueError: audio of another rank, type, batch or number of channels than the state's; a rate that is not above
            0 (3,364 Hz: the K-weighting's shelf has to lie below half of it).
    """
    check_audio(audio)
    check_sample_rate(sample_rate)
    batch, time, channels = audio.shape
    check_state(state.filter_state, (batch, channels, 2, 2))
    require(
        audio.dtype == state.filter_state.dtype,
        "audio",
        f"{state.filter_state.dtype}, as the meter's state",
        audio.dtype,
    )
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
    """The steps of 20 ms that end in this piece, and the blocks that end with them."""
    batch, time = energy.shape
    max_steps = (step_length - 1 + time) // step_length
    aligned = jnp.zeros((batch, (max_steps + 1) * step_length), energy.dtype)
    aligned = jax.lax.dynamic_update_slice_in_dim(aligned, energy, state.open_samples, axis=1)
    step_energies = jnp.sum(aligned.reshape(batch, max_steps + 1, step_length), axis=2).at[:, 0].add(state.open_energy)
    num_closed = (state.open_samples + num_valid) // step_length
    powers = jnp.concatenate([state.recent_powers, step_energies[:, :max_steps] / step_length], axis=1)
    momentary = sliding_mean(powers[:, SHORT_TERM_STEPS + 1 - MOMENTARY_STEPS :], MOMENTARY_STEPS)
    short_term = sliding_mean(powers[:, 1:], SHORT_TERM_STEPS)
    step_number = state.step_count + 1 + jnp.arange(max_steps)  # how many steps there are when this one ends
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
    """Each block that lies above the absolute gate, in its bin: one more, and its power."""
    counts = (mask[None] & (powers > lufs_to_power(ABSOLUTE_GATE_LUFS))).astype(histogram.dtype)
    position = (power_to_lufs(powers) - ABSOLUTE_GATE_LUFS) / _BIN_LU
    index = jnp.clip(jnp.nan_to_num(position, neginf=0.0), 0, _NUM_BINS - 1).astype(int)
    increment = jnp.stack([counts, counts * powers])
    return histogram.at[:, jnp.arange(histogram.shape[1])[:, None], index].add(increment)


def read_meter(state: MeterState, sample_rate: float) -> MeterReading:
    """What the meter shows now. The true peak counts as if silence followed."""
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
    """Loudness of the last so many steps; −inf while there are fewer."""
    power = jnp.mean(state.recent_powers[:, -num_steps:], axis=1)
    return power_to_lufs(jnp.where(state.step_count >= num_steps, power, 0.0))


def _gate_histogram(histogram: Array, relative_gate_lu: float) -> Array:
    """The bins above the relative gate; each lies where the mean power of its blocks does."""
    counts, powers = histogram
    threshold = _histogram_mean_power(histogram) * 10.0 ** (relative_gate_lu / 10.0)
    return jnp.where((powers > threshold[:, None] * counts)[None], histogram, 0.0)


def _histogram_mean_power(histogram: Array) -> Array:
    count, power = jnp.sum(histogram, axis=2)
    return power / jnp.maximum(count, 1.0)


def _histogram_range_lu(histogram: Array) -> Array:
    """From the 10th to the 95th percentile of what passes the gates."""
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
