"""A feed-forward compressor in the logarithmic domain with a soft knee and smooth branching ballistics.

    level in dB → overshoot above the threshold (soft knee) → envelope (attack, release) → gain

The gain in dB is makeup − slope·envelope with slope = 1 − 1/ratio. Ratio 1 is therefore the identity with a non-zero
gradient by the ratio, and a ratio below 1 expands upwards with the same ballistics.

The recursion runs at a control rate, one control point every `control_hop` samples (0.25 to 0.36 ms); the gain is
interpolated between the points. The reference, `compressor_per_sample`, has one step per sample. The level is the mean
power of all channels under a Hann window of eight points (2.9 ms at 44.1 kHz) that ends with the sample: short enough
for musical attack times, and long enough that no peak falls between two points
(`benchmarks/compressor_control_rate.py`).

Source: D. Giannoulis, M. Massberg, J. Reiss, "Digital Dynamic Range Compressor Design: A Tutorial and Analysis"
(JAES 60, 2012): eq. 4 (knee), eq. 17 (smooth branching), section 2.3 (ballistics in the log domain after the gain
computer).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
import typing

import numpy as np
from jaxtyping import Float

from nmjax.dsp.ballistics import ballistics, branching_envelope
from nmjax.dsp.block_recursion import HIGHEST_PRECISION
from nmjax.dsp.cascade import cascade
from nmjax.dsp.namespace import namespace
from nmjax.dsp.numerics import db_to_amplitude, safe_log
from nmjax.dsp.svf import high_pass
from nmjax.dsp.validation import check_audio, check_sample_rate, check_settings, check_state_tree, require
from nmjax.runtime.lazy_jax import Array, jnp, register_dataclass

COMPRESSOR_LIMITS = {
    "threshold_db": (-60.0, 0.0),
    "ratio": (0.5, 100.0),
    "attack_ms": (0.1, 200.0),
    "release_ms": (5.0, 2000.0),
    "knee_db": (0.0, 24.0),
    "makeup_db": (-24.0, 24.0),
}
STREAM_BLOCK = 64  # chunks of a stream start at multiples of it, at any sample rate from 8 to 192 kHz
_CONTROL_HOP = 16  # samples between control points at 44.1 and 48 kHz
_WINDOW_POINTS = 8  # length of the level's window in control points
_SINE_CREST_DB = 10.0 * math.log10(2.0)  # the level of a sine is that of its peak (dBFS of AES17)
_POWER_FLOOR = 1e-10  # −97 dB: below the lowest threshold and its knee
_MIN_KNEE_DB, _MIN_RATIO = 1e-3, 1e-2  # for traced values, which cannot be rejected


@typing.no_type_check
@register_dataclass
@dataclasses.dataclass(frozen=True)
class Compressor:
    """Settings of a compressor, each array `[batch]`.

    Attributes:
        threshold_db: −60 to 0, on a scale on which a steady sine reads its peak.
        ratio: 0.5 to 100. 1 is neutral; below 1 levels above the threshold are raised.
        attack_ms: 0.1 to 200, the time to 1 − 1/e of a rising step in dB.
        release_ms: 5 to 2000, the same for a falling step.
        knee_db: 0 to 24, the width of the knee.
        makeup_db: −24 to 24, added to the gain.
    """

    threshold_db: Array
    ratio: Array
    attack_ms: Array
    release_ms: Array
    knee_db: Array
    makeup_db: Array

    @property
    def slope(self) -> Array:
        """Gain reduction in dB per dB of overshoot, 1 − 1/ratio."""
        return 1.0 - 1.0 / namespace(self.ratio).maximum(self.ratio, _MIN_RATIO)


@typing.no_type_check
@register_dataclass
@dataclasses.dataclass(frozen=True)
class CompressorState:
    """Streaming state of a compressor.

    Attributes:
        recent_power: `[batch, 7·control_hop]`, the mean power of the last samples, for the level's window.
        overshoot_db: `[batch]`, the overshoot at the last control point.
        envelope_db: `[batch]`, the envelope at the last control point.
        sidechain_filter: `[batch, channel, 1, 2]`, the state of the side-chain high-pass.
    """

    recent_power: Array
    overshoot_db: Array
    envelope_db: Array
    sidechain_filter: Array


def control_hop(sample_rate: float) -> int:
    """Samples between control points: 16 at 44.1 and 48 kHz, 2 at 8 kHz, 64 at 192 kHz.

    A divisor of `STREAM_BLOCK` at every sample rate from 8 to 192 kHz.
    """
    check_sample_rate(sample_rate)
    return max(1, int(_CONTROL_HOP * 2.0 ** math.floor(math.log2(sample_rate / 44_100.0))))


def initial_compressor_state(
    batch_size: int, num_channels: int, sample_rate: float, dtype=np.float32
) -> CompressorState:
    """The state after silence."""
    zeros = np.zeros((batch_size,), dtype)
    recent_power = np.zeros((batch_size, (_WINDOW_POINTS - 1) * control_hop(sample_rate)), dtype)
    return CompressorState(
        recent_power=recent_power,
        overshoot_db=zeros,
        envelope_db=zeros,
        sidechain_filter=np.zeros((batch_size, num_channels, 1, 2), dtype),
    )


def overshoot_db(level_db: Float[Array, "batch points"], settings: Compressor) -> Float[Array, "batch points"]:
    """The overshoot of a level above the threshold in dB, at least 0, with a soft knee (Giannoulis et al., eq. 4)."""
    xp = namespace(level_db, settings.threshold_db)
    knee = xp.maximum(settings.knee_db, _MIN_KNEE_DB)[:, None]
    above_knee_start = level_db - settings.threshold_db[:, None] + 0.5 * knee
    within_knee = xp.clip(above_knee_start, 0.0, knee)
    return 0.5 * within_knee * within_knee / knee + xp.maximum(above_knee_start - knee, 0.0)


def static_curve_db(level_db: Float[Array, "batch points"], settings: Compressor) -> Float[Array, "batch points"]:
    """The output level for a constant input level, both in dB, with make-up gain."""
    check_settings(settings, COMPRESSOR_LIMITS, level_db.shape[0])
    return level_db - settings.slope[:, None] * overshoot_db(level_db, settings) + settings.makeup_db[:, None]


def compress(
    audio: Float[Array, "batch time channel"],
    settings: Compressor,
    sample_rate: float,
    state: CompressorState | None = None,
    sidechain_hz: float = 0.0,
) -> tuple[Float[Array, "batch time channel"], CompressorState]:
    """Compress audio with one gain for all channels, so the stereo image does not change.

    Args:
        audio: any length above 0, float32 or float64. All chunks of a stream but the last are multiples of
            `STREAM_BLOCK` long. NumPy computes where this and the settings are arrays of NumPy.
        settings: one row for each signal. With ratio 1 and 0 dB of make-up the output is bit-identical to the input.
        sample_rate: Hz.
        state: the state returned for the previous chunk; at rest if not given.
        sidechain_hz: corner of a high-pass (12 dB/octave) before the level detector; 0 disables it.

    Returns:
        the compressed signal, and the state after its last sample.

    Raises:
        ValueError: a setting out of its range or not `[batch]`; audio or a state of another shape; a rate that is not
            above 0; a side-chain frequency below 0 or not below half the rate.
    """
    envelope_db, state = _overshoot_envelope_db(audio, settings, sample_rate, state, sidechain_hz)
    gain_db = (
        settings.makeup_db.astype(audio.dtype)[:, None] - settings.slope.astype(audio.dtype)[:, None] * envelope_db
    )
    return _apply_control_gain(audio, db_to_amplitude(gain_db), control_hop(sample_rate)), state


def gain_reduction_db(
    audio: Float[Array, "batch time channel"],
    settings: Compressor,
    sample_rate: float,
    state: CompressorState | None = None,
    sidechain_hz: float = 0.0,
) -> tuple[Float[Array, "batch points"], CompressorState]:
    """The gain reduction of `compress` in dB, without make-up; negative where a ratio below 1 raises the level.

    Point p is the reduction after (p + 1)·`control_hop(sample_rate)` samples. Arguments, state and errors as in
    `compress`.
    """
    envelope_db, state = _overshoot_envelope_db(audio, settings, sample_rate, state, sidechain_hz)
    return settings.slope.astype(audio.dtype)[:, None] * envelope_db[:, 1:], state


def detector_level_db(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, "batch points"]:
    """The level that `gain_reduction_db` compares with the threshold at its points, from silence, in dB."""
    check_audio(audio)
    state = initial_compressor_state(audio.shape[0], audio.shape[2], sample_rate, audio.dtype)
    hop = control_hop(sample_rate)
    return sine_level_db(_windowed_power(_power_history(audio, state.recent_power, hop), hop))


def level_gain_reduction_db(
    level_db: Float[Array, "batch points"], settings: Compressor, sample_rate: float
) -> Float[Array, "batch points"]:
    """What `gain_reduction_db` returns for the audio of a `detector_level_db`, for many settings of the same audio."""
    check_settings(settings, COMPRESSOR_LIMITS, level_db.shape[0])
    rest = np.zeros((level_db.shape[0],), level_db.dtype)
    envelope_db = _envelope_db(level_db, rest, rest, settings, sample_rate)[1]
    return settings.slope[:, None] * envelope_db[:, 1:]


def level_window(hop: int, dtype) -> Float[np.ndarray, " window"]:
    """The Hann window of the level detector, oldest sample first, with sum 1; its ends are half a sample from 0."""
    positions = (np.arange(_WINDOW_POINTS * hop) + 0.5) / (_WINDOW_POINTS * hop)
    return (np.sin(np.pi * positions) ** 2 * (2.0 / (_WINDOW_POINTS * hop))).astype(dtype)


def sine_level_db(power: Array) -> Array:
    """The peak level in dBFS of a sine of that mean power."""
    return (10.0 / math.log(10.0)) * safe_log(power, _POWER_FLOOR) + _SINE_CREST_DB


def _overshoot_envelope_db(audio, settings, sample_rate, state, sidechain_hz) -> tuple[Array, CompressorState]:
    """The envelope in dB at the control points from sample 0 on, `[batch, points + 1]`, and the state."""
    check_audio(audio)
    batch, _, channels = audio.shape
    check_settings(settings, COMPRESSOR_LIMITS, batch)
    initial = initial_compressor_state(batch, channels, sample_rate, audio.dtype)
    state = initial if state is None else state
    check_state_tree(state, initial)
    nyquist_hz = sample_rate / 2
    requirement = f"0, or below half the rate ({nyquist_hz:g} Hz)"
    require(0.0 <= sidechain_hz < nyquist_hz, "sidechain_hz", requirement, sidechain_hz)
    settings = Compressor(*(getattr(settings, x.name).astype(audio.dtype) for x in dataclasses.fields(settings)))
    sidechain, filter_state = audio, state.sidechain_filter
    if sidechain_hz > 0.0:
        corner_hz, butterworth_q = (np.full((batch, 1), x, audio.dtype) for x in (sidechain_hz, math.sqrt(0.5)))
        sidechain, filter_state = cascade(
            audio, high_pass(corner_hz, butterworth_q, sample_rate), state.sidechain_filter
        )
    hop = control_hop(sample_rate)
    power = _power_history(sidechain, state.recent_power, hop)
    level_db = sine_level_db(_windowed_power(power, hop))
    overshoot, envelope_db = _envelope_db(level_db, state.overshoot_db, state.envelope_db, settings, sample_rate)
    recent_power = power[:, power.shape[1] - state.recent_power.shape[1] :]
    state = CompressorState(
        recent_power=recent_power,
        overshoot_db=overshoot[:, -1],
        envelope_db=envelope_db[:, -1],
        sidechain_filter=filter_state,
    )
    return envelope_db, state


def _power_history(audio: Array, recent_power: Array, hop: int) -> Array:
    """The mean power of the channels, after that of the last samples, up to a whole hop."""
    xp = namespace(audio, recent_power)
    # A mean over the last axis of two takes NumPy five times as long as this product.
    power = np.einsum("btc,btc->bt", audio, audio) / audio.shape[2] if xp is np else xp.mean(audio * audio, axis=2)
    power = xp.pad(power, ((0, 0), (0, -audio.shape[1] % hop)))
    return xp.concatenate([recent_power, power], axis=1)


def _envelope_db(
    level_db: Array, last_overshoot_db: Array, last_envelope_db: Array, settings: Compressor, sample_rate: float
) -> tuple[Array, Array]:
    """Overshoot and envelope in dB from the last point before the levels on, `[batch, points + 1]` each."""
    xp = namespace(level_db, settings.threshold_db)
    overshoot = xp.concatenate([last_overshoot_db[:, None], overshoot_db(level_db, settings)], axis=1)
    hop_ms = 1e3 * control_hop(sample_rate) / sample_rate
    coefficients = ballistics(settings.attack_ms, settings.release_ms, hop_ms)
    return overshoot, branching_envelope(overshoot, last_envelope_db, coefficients)


def _windowed_power(power: Float[Array, "batch time"], hop: int) -> Float[Array, "batch points"]:
    """The windowed mean power at the end of each hop from the eighth on.

    One matrix product gives the contributions of each hop to the eight windows that contain it; they are then summed.
    """
    batch, time = power.shape
    num_hops = time // hop
    window = level_window(hop, power.dtype).reshape(_WINDOW_POINTS, hop)
    hops = power.reshape(batch, num_hops, hop)
    if namespace(power) is np:
        contributions = np.moveaxis(window @ np.moveaxis(hops, 1, 2), 1, 0)
    else:
        contributions = jnp.einsum("bnj,wj->wbn", hops, window, precision=HIGHEST_PRECISION)
    windowed = (contributions[i, :, i : num_hops - _WINDOW_POINTS + 1 + i] for i in range(_WINDOW_POINTS))
    return functools.reduce(operator.add, windowed)


def _apply_control_gain(audio: Array, control_gain: Array, hop: int) -> Array:
    """The signal times a gain given at the control points, `[batch, points + 1]`, and interpolated between them.

    Between two equal gains the interpolated gain is exactly that gain.
    """
    batch, time, _ = audio.shape
    fraction = np.arange(1, hop + 1, dtype=audio.dtype)[None, None] / hop
    sample_gain = control_gain[:, :-1, None] + fraction * (control_gain[:, 1:] - control_gain[:, :-1])[:, :, None]
    return audio * sample_gain.reshape(batch, -1)[:, :time, None]
