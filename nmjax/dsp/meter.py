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

from nmjax.dsp.arguments import check_audio, check_rate, check_state, require
from nmjax.dsp.loudness import (
    ABSOLUTE_GATE,
    MOMENTARY_STEPS,
    RANGE_GATE,
    RANGE_SHARES,
    RELATIVE_GATE,
    SHORT_STEPS,
    STEPS_A_HOP,
    channel_weights,
    energies,
    loudness_of_power,
    power_of_loudness,
    rank_at,
    sliding_mean,
    step_samples,
    weighted,
)
from nmjax.dsp.numerics import decibels
from nmjax.dsp.true_peak import REACH, true_peak_within

_BIN_LU = 0.01
_BINS = 12_000  # from −70 to +50 LUFS


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

    filters: Array  # [batch, channel, 2, 2]
    filled: Array
    open_energy: Array  # [batch]
    steps: Array
    recent: Array  # [batch, 150]
    momentary_max: Array  # [batch]
    short_term_max: Array  # [batch]
    gating: Array  # [2, batch, bins]
    ranging: Array  # [2, batch, bins]
    tail: Array  # [batch, 11, channel]
    true_peak: Array  # [batch]
    sample_peak: Array  # [batch]


@typing.no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Reading:
    """What a meter shows, each `[batch]`: LUFS (−inf: nothing yet), LU, dBTP and dBFS."""

    integrated: Array
    momentary: Array
    momentary_max: Array
    short_term: Array
    short_term_max: Array
    loudness_range: Array
    true_peak_db: Array
    sample_peak_db: Array


def meter_state(batch: int, channels: int, dtype=jnp.float32) -> MeterState:
    """A meter that has heard nothing of `batch` streams of 1 to 8 channels (a ValueError for others)."""
    channel_weights(channels)
    count = jnp.zeros((), jnp.int32)
    still, bins = jnp.zeros((batch,), dtype), jnp.zeros((2, batch, _BINS), dtype)
    return MeterState(
        filters=jnp.zeros((batch, channels, 2, 2), dtype),
        filled=count,
        open_energy=still,
        steps=count,
        recent=jnp.zeros((batch, SHORT_STEPS), dtype),
        momentary_max=still,
        short_term_max=still,
        gating=bins,
        ranging=bins,
        tail=jnp.zeros((batch, REACH, channels), dtype),
        true_peak=still,
        sample_peak=still,
    )


def metered(
    audio: Float[Array, "batch time channel"], sample_rate: float, state: MeterState, valid: Array | None = None
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
    check_rate(sample_rate)
    batch, time, channels = audio.shape
    check_state(state.filters, (batch, channels, 2, 2))
    require(audio.dtype == state.filters.dtype, "audio", f"{state.filters.dtype}, as the meter's state", audio.dtype)
    valid = jnp.clip(jnp.asarray(time if valid is None else valid), 0, time)
    audio = jnp.where((jnp.arange(audio.shape[1]) < valid)[None, :, None], audio, 0.0)
    joined = jnp.concatenate([state.tail, audio], axis=1)
    heard, filters = weighted(audio, sample_rate, state.filters)
    return dataclasses.replace(
        _with_steps(state, energies(heard), step_samples(sample_rate), valid),
        filters=filters,
        tail=jax.lax.dynamic_slice_in_dim(joined, valid, REACH, axis=1),
        true_peak=jnp.maximum(state.true_peak, true_peak_within(joined, sample_rate)),
        sample_peak=jnp.maximum(state.sample_peak, jnp.max(jnp.abs(audio), axis=(1, 2))),
    )


def _with_steps(state: MeterState, energy: Float[Array, "batch time"], step: int, valid: Array) -> MeterState:
    """The steps of 20 ms that end in this piece, and the blocks that end with them."""
    batch, time = energy.shape
    most = (step - 1 + time) // step
    laid = jnp.zeros((batch, (most + 1) * step), energy.dtype)
    laid = jax.lax.dynamic_update_slice_in_dim(laid, energy, state.filled, axis=1)
    sums = jnp.sum(laid.reshape(batch, most + 1, step), axis=2).at[:, 0].add(state.open_energy)
    closed = (state.filled + valid) // step
    powers = jnp.concatenate([state.recent, sums[:, :most] / step], axis=1)
    momentary = sliding_mean(powers[:, SHORT_STEPS + 1 - MOMENTARY_STEPS :], MOMENTARY_STEPS)
    short = sliding_mean(powers[:, 1:], SHORT_STEPS)
    number = state.steps + 1 + jnp.arange(most)  # how many steps there are when this one ends
    ended = jnp.arange(most) < closed
    is_momentary, is_short = ended & (number >= MOMENTARY_STEPS), ended & (number >= SHORT_STEPS)
    hop_ends = number % STEPS_A_HOP == 0
    return dataclasses.replace(
        state,
        filled=(state.filled + valid) % step,
        open_energy=jnp.take(sums, closed, axis=1),
        steps=state.steps + closed,
        recent=jax.lax.dynamic_slice_in_dim(powers, closed, SHORT_STEPS, axis=1),
        momentary_max=_larger(state.momentary_max, momentary, is_momentary),
        short_term_max=_larger(state.short_term_max, short, is_short & hop_ends),
        gating=_counted(state.gating, momentary, is_momentary & hop_ends),
        ranging=_counted(state.ranging, short, is_short & hop_ends),
    )


def _larger(so_far: Array, powers: Array, which: Array) -> Array:
    return jnp.maximum(so_far, jnp.max(jnp.where(which[None], powers, 0.0), axis=1, initial=0.0))


def _counted(bins: Array, powers: Array, which: Array) -> Array:
    """Each block that lies above the absolute gate, in its bin: one more, and its power."""
    counts = (which[None] & (powers > power_of_loudness(ABSOLUTE_GATE))).astype(bins.dtype)
    place = (loudness_of_power(powers) - ABSOLUTE_GATE) / _BIN_LU
    index = jnp.clip(jnp.nan_to_num(place, neginf=0.0), 0, _BINS - 1).astype(int)
    added = jnp.stack([counts, counts * powers])
    return bins.at[:, jnp.arange(bins.shape[1])[:, None], index].add(added)


def reading(state: MeterState, sample_rate: float) -> Reading:
    """What the meter shows now. The true peak counts as if silence followed."""
    after = true_peak_within(jnp.concatenate([state.tail, jnp.zeros_like(state.tail)], axis=1), sample_rate)
    return Reading(
        integrated=loudness_of_power(_mean(_gated(state.gating, RELATIVE_GATE))),
        momentary=_now(state, MOMENTARY_STEPS),
        momentary_max=loudness_of_power(state.momentary_max),
        short_term=_now(state, SHORT_STEPS),
        short_term_max=loudness_of_power(state.short_term_max),
        loudness_range=_range(state.ranging),
        true_peak_db=decibels(jnp.maximum(state.true_peak, after)),
        sample_peak_db=decibels(state.sample_peak),
    )


def _now(state: MeterState, steps: int) -> Array:
    """Loudness of the last so many steps; −inf while there are fewer."""
    power = jnp.mean(state.recent[:, -steps:], axis=1)
    return loudness_of_power(jnp.where(state.steps >= steps, power, 0.0))


def _gated(bins: Array, relative_gate: float) -> Array:
    """The bins above the relative gate; each lies where the mean power of its blocks does."""
    counts, powers = bins
    threshold = _mean(bins) * 10.0 ** (relative_gate / 10.0)
    return jnp.where((powers > threshold[:, None] * counts)[None], bins, 0.0)


def _mean(bins: Array) -> Array:
    count, power = jnp.sum(bins, axis=2)
    return power / jnp.maximum(count, 1.0)


def _range(bins: Array) -> Array:
    """From the 10th to the 95th percentile of what passes the gates."""
    counts, powers = _gated(bins, RANGE_GATE)
    so_far = jnp.cumsum(counts, axis=1)
    count = so_far[:, -1]
    loudness = loudness_of_power(powers / jnp.maximum(counts, 1.0))
    places = (jnp.sum(so_far <= rank_at(share, count)[:, None], axis=1) for share in RANGE_SHARES)
    low, high = (jnp.take_along_axis(loudness, place[:, None], axis=1, mode="clip")[:, 0] for place in places)
    return jnp.where(count > 0, high - low, 0.0)
