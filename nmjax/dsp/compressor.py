"""The compressor: feed-forward, in the logarithmic domain, with a soft knee and smooth branching ballistics.

From a level in dB comes by how much it lies above the threshold (through the knee), and that overshoot is followed with
the attack time where it rises and the release time where it falls. The gain is −slope·followed + makeup in dB with
slope = 1 − 1/ratio, so that ratio 1 is the identity, the slope's gradient lives there, and a ratio below 1 expands
upwards with the same ballistics.

The recursion runs at a control rate, a point every `control_hop` samples (0.25 to 0.36 ms), and the gain is
interpolated between the points; `compress_per_sample` is the same with a step a sample. The level is the mean power of
all channels under a Hann window that ends with the sample, eight points long (2.9 ms at 44.1 kHz): short enough for any
attack that music needs, long enough for the points to miss nothing between them (`benchmarks/control_rate.py`).

Source: D. Giannoulis, M. Massberg, J. Reiss, "Digital Dynamic Range Compressor Design: A Tutorial and Analysis"
(JAES 60, 2012): eq. 4 (knee), 17 (smooth branching), section 2.3 (in the log domain, behind the gain computer).
"""

from __future__ import annotations

import dataclasses
import math
import typing

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp.block_recursion import HIGHEST_PRECISION, vary_like
from nmjax.dsp.cascade import cascade
from nmjax.dsp.numerics import db_to_amplitude, safe_log
from nmjax.dsp.svf import high_pass
from nmjax.dsp.validation import check_audio, check_sample_rate, check_settings, check_state, require

COMPRESSOR_LIMITS = {
    "threshold_db": (-60.0, 0.0),
    "ratio": (0.5, 100.0),
    "attack_ms": (0.1, 200.0),
    "release_ms": (5.0, 2000.0),
    "knee_db": (0.0, 24.0),
    "makeup_db": (-24.0, 24.0),
}
STREAM_BLOCK = 64  # pieces of a stream start at multiples of it, whatever the rate from 8 to 192 kHz
_CONTROL_HOP = 16  # samples from point to point at 44.1 and 48 kHz
_POINTS_PER_STEP = 4  # of the scan, so that an accelerator starts a kernel for 64 samples, not for 16
_WINDOW_POINTS = 8  # points that the level's window is long
_SINE_CREST_DB = 10.0 * math.log10(2.0)  # a sine's level is that of its peak (AES17's dBFS)
_POWER_FLOOR = 1e-10  # least power, −97 dB: below the lowest threshold and its knee
_MIN_KNEE_DB, _MIN_TIME_MS, _MIN_RATIO = 1e-3, 1e-3, 1e-2  # inside a trace nothing can be refused


@typing.no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Compressor:
    """Settings of a compressor, each array `[batch]`.

    threshold_db: −60 to 0, on a scale on which a steady sine reads its peak. ratio: 0.5 to 100; 1 is neutral, below 1
    what is above the threshold becomes louder. attack_ms, release_ms: 0.1 to 200 and 5 to 2000, the times to 1 − 1/e of
    a step in dB. knee_db: 0 to 24, the width of the bend. makeup_db: −24 to 24, added to the gain.
    """

    threshold_db: Array
    ratio: Array
    attack_ms: Array
    release_ms: Array
    knee_db: Array
    makeup_db: Array

    @property
    def slope(self) -> Array:
        """dB less for each dB above the threshold: 1 − 1/ratio."""
        return 1.0 - 1.0 / jnp.maximum(self.ratio, _MIN_RATIO)


@typing.no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class CompressorState:
    """What a stream's compressor remembers: the last powers, the last overshoot, what followed it, the side-chain's
    filter."""

    recent_power: Array  # [batch, 7 points]
    overshoot_db: Array  # [batch]
    envelope_db: Array  # [batch]
    sidechain_filter: Array  # [batch, channel, 1, 2]


def control_hop(sample_rate: float) -> int:
    """Samples from control point to control point: 16 at 44.1 and 48 kHz, 2 at 8 kHz, 64 at 192 kHz; a divisor of
    `HOP` from 8 to 192 kHz."""
    check_sample_rate(sample_rate)
    return max(1, int(_CONTROL_HOP * 2.0 ** math.floor(math.log2(sample_rate / 44_100.0))))


def initial_compressor_state(
    batch_size: int, num_channels: int, sample_rate: float, dtype=jnp.float32
) -> CompressorState:
    """At rest: before the signal there was silence."""
    zeros = jnp.zeros((batch_size,), dtype)
    recent_power = jnp.zeros((batch_size, (_WINDOW_POINTS - 1) * control_hop(sample_rate)), dtype)
    return CompressorState(recent_power, zeros, zeros, jnp.zeros((batch_size, num_channels, 1, 2), dtype))


def overshoot_db(level_db: Float[Array, "batch points"], settings: Compressor) -> Float[Array, "batch points"]:
    """By how much a level lies above the threshold, in dB ≥ 0, bent over the knee (Giannoulis et al., eq. 4)."""
    knee = jnp.maximum(settings.knee_db, _MIN_KNEE_DB)[:, None]
    above_knee_start = level_db - settings.threshold_db[:, None] + 0.5 * knee
    within_knee = jnp.clip(above_knee_start, 0.0, knee)
    return 0.5 * within_knee * within_knee / knee + jnp.maximum(above_knee_start - knee, 0.0)


def static_curve_db(level_db: Float[Array, "batch points"], settings: Compressor) -> Float[Array, "batch points"]:
    """Level out for a steady level in, both in dB, make-up included."""
    check_settings(settings, COMPRESSOR_LIMITS, level_db.shape[0])
    return level_db - settings.slope[:, None] * overshoot_db(level_db, settings) + settings.makeup_db[:, None]


def compress(
    audio: Float[Array, "batch time channel"],
    settings: Compressor,
    sample_rate: float,
    state: CompressorState | None = None,
    sidechain_hz: float = 0.0,
) -> tuple[Float[Array, "batch time channel"], CompressorState]:
    """The compressed signal; one gain for all channels, so the stereo image stays.

    Args:
        audio: any length above 0, float32 or float64. The pieces of a stream are multiples of `HOP` long, the last one
            is free.
        settings: one row for each signal. A ratio of 1 with a make-up of 0 dB is the identity to the bit.
        sample_rate: Hz.
        state: the state returned for the piece before; none starts at rest.
        sidechain_hz: the level is that of the signal above this frequency (12 dB an octave); 0 hears everything.

    Returns:
        the signal, and the state after it.

    Raises:
        ValueError: a setting out of its range or not `[batch]`; audio or a state of another shape; a rate that is not
            above 0; a side-chain frequency below 0 or not below half the rate.
    """
    envelope_db, state = _overshoot_envelope_db(audio, settings, sample_rate, state, sidechain_hz)
    gain_db = settings.makeup_db.astype(audio.dtype)[:, None] - _slope_column(settings, audio) * envelope_db
    return _apply_control_gain(audio, db_to_amplitude(gain_db), control_hop(sample_rate)), state


def gain_reduction_db(
    audio: Float[Array, "batch time channel"],
    settings: Compressor,
    sample_rate: float,
    state: CompressorState | None = None,
    sidechain_hz: float = 0.0,
) -> tuple[Float[Array, "batch points"], CompressorState]:
    """The gain reduction in dB that `compress` makes, without make-up; below 0 where a ratio below 1 makes it louder.

    Point p is the reduction after (p + 1)·`control_hop(sample_rate)` samples, the last one after the last. Arguments,
    state and errors as in `compress`.
    """
    envelope_db, state = _overshoot_envelope_db(audio, settings, sample_rate, state, sidechain_hz)
    return _slope_column(settings, audio) * envelope_db[:, 1:], state


def overshoot_per_sample_db(
    audio: Float[Array, "batch time channel"], settings: Compressor, sample_rate: float
) -> Float[Array, "batch time"]:
    """By how much the level lies above the threshold at each sample, in dB; what the recursion follows."""
    power = jnp.mean(audio * audio, axis=2)
    window = _level_window(control_hop(sample_rate), audio.dtype)
    level_power = jax.vmap(lambda p: jnp.convolve(p, window[::-1], precision=HIGHEST_PRECISION)[: p.shape[0]])(power)
    return overshoot_db(_sine_level_db(level_power), settings)


def compress_per_sample(
    audio: Float[Array, "batch time channel"], settings: Compressor, sample_rate: float
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch time"]]:
    """The recursion with a step a sample, from rest, as the reference; slow.

    Returns:
        the signal, and the gain in dB at each sample.
    """
    check_settings(settings, COMPRESSOR_LIMITS, audio.shape[0])
    settings = jax.tree.map(lambda x: x.astype(audio.dtype), settings)
    overshoot = overshoot_per_sample_db(audio, settings, sample_rate)
    attack, release = (-jnp.expm1(-1e3 / (t * sample_rate)) for t in (settings.attack_ms, settings.release_ms))

    def step(envelope, current):
        envelope = envelope + jnp.where(current > envelope, attack, release) * (current - envelope)
        return envelope, envelope

    _, envelope = jax.lax.scan(step, jnp.zeros_like(overshoot[:, 0]), overshoot.T)
    gain_db = settings.makeup_db[:, None] - settings.slope[:, None] * envelope.T
    return audio * db_to_amplitude(gain_db)[:, :, None], gain_db


def _slope_column(settings: Compressor, audio: Array) -> Array:
    return settings.slope.astype(audio.dtype)[:, None]


def _level_window(hop: int, dtype) -> Float[Array, " window"]:
    """The level's window, oldest sample first: Hann's, with the sum 1 and half a sample from its zeros."""
    positions = (np.arange(_WINDOW_POINTS * hop) + 0.5) / (_WINDOW_POINTS * hop)
    return jnp.asarray(np.sin(np.pi * positions) ** 2 * (2.0 / (_WINDOW_POINTS * hop)), dtype)


def _sine_level_db(power: Array) -> Array:
    return (10.0 / math.log(10.0)) * safe_log(power, _POWER_FLOOR) + _SINE_CREST_DB


def _overshoot_envelope_db(audio, settings, sample_rate, state, sidechain_hz) -> tuple[Array, CompressorState]:
    """What followed the overshoot at the control points from the start on, `[batch, points + 1]`, and the state."""
    check_audio(audio)
    batch, time, channels = audio.shape
    check_settings(settings, COMPRESSOR_LIMITS, batch)
    initial = initial_compressor_state(batch, channels, sample_rate, audio.dtype)
    state = initial if state is None else state
    jax.tree.map(lambda value, expected: check_state(value, expected.shape), state, initial)
    nyquist_hz = sample_rate / 2
    require(
        0.0 <= sidechain_hz < nyquist_hz, "sidechain_hz", f"0, or below half the rate ({nyquist_hz:g} Hz)", sidechain_hz
    )
    settings = jax.tree.map(lambda x: x.astype(audio.dtype), settings)
    sidechain, filter_state = audio, state.sidechain_filter
    if sidechain_hz > 0.0:
        corner_hz, butterworth_q = (jnp.full((batch, 1), x, audio.dtype) for x in (sidechain_hz, math.sqrt(0.5)))
        sidechain, filter_state = cascade(
            audio, high_pass(corner_hz, butterworth_q, sample_rate), state.sidechain_filter
        )
    hop = control_hop(sample_rate)
    power = jnp.pad(jnp.mean(sidechain * sidechain, axis=2), ((0, 0), (0, -time % hop)))
    power = jnp.concatenate([state.recent_power, power], axis=1)
    overshoot = overshoot_db(_sine_level_db(_windowed_power(power, hop)), settings)
    overshoot = jnp.concatenate([state.overshoot_db[:, None], overshoot], axis=1)
    envelope_db = _apply_ballistics(overshoot, state.envelope_db, settings, 1e3 * hop / sample_rate)
    recent_power = power[:, power.shape[1] - state.recent_power.shape[1] :]
    return envelope_db, CompressorState(recent_power, overshoot[:, -1], envelope_db[:, -1], filter_state)


def _windowed_power(power: Float[Array, "batch time"], hop: int) -> Float[Array, "batch points"]:
    """The windowed mean power at the end of each hop from the eighth on: each hop's share in the windows it lies in by
    one product, then the sum along the hops."""
    batch, time = power.shape
    num_hops = time // hop
    window = _level_window(hop, power.dtype).reshape(_WINDOW_POINTS, hop)
    contributions = jnp.einsum("bnj,wj->wbn", power.reshape(batch, num_hops, hop), window, precision=HIGHEST_PRECISION)
    return sum(contributions[i, :, i : num_hops - _WINDOW_POINTS + 1 + i] for i in range(_WINDOW_POINTS))


def _apply_ballistics(overshoot: Array, initial_envelope: Array, settings: Compressor, hop_ms: float) -> Array:
    """Smooth branching from point to point, exact for an overshoot that moves linearly in between.

    With x = hop/τ the solution of τ·y' = o − y over a hop is y + b·(o0 − y) + (1 − b/x)·(o1 − o0), b = 1 − e^(−x).
    Attack or release is decided by the hop's middle.
    """

    def coefficients(time_ms):
        x = hop_ms / jnp.maximum(time_ms, _MIN_TIME_MS)
        b = -jnp.expm1(-x)
        return b, 1.0 - b / x

    attack, release = coefficients(settings.attack_ms), coefficients(settings.release_ms)

    def step(envelope, endpoints):
        before, after = endpoints
        is_rising = 0.5 * (before + after) > envelope
        b, c = (
            jnp.where(is_rising, attack_coef, release_coef)
            for attack_coef, release_coef in zip(attack, release, strict=True)
        )
        envelope = envelope + b * (before - envelope) + c * (after - before)
        return envelope, envelope

    points = overshoot.T
    pairs = points[:-1], points[1:]
    _, envelope = jax.lax.scan(step, vary_like(initial_envelope, overshoot), pairs, unroll=_POINTS_PER_STEP)
    return jnp.concatenate([initial_envelope[:, None], envelope.T], axis=1)


def _apply_control_gain(audio: Array, control_gain: Array, hop: int) -> Array:
    """The signal with a gain given at the points `[batch, points + 1]`; written so that equal gains stay that gain."""
    batch, time, _ = audio.shape
    fraction = jnp.arange(1, hop + 1, dtype=audio.dtype)[None, None] / hop
    sample_gain = control_gain[:, :-1, None] + fraction * (control_gain[:, 1:] - control_gain[:, :-1])[:, :, None]
    return audio * sample_gain.reshape(batch, -1)[:, :time, None]
