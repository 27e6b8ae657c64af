"""Degradation: the unmastered input made from mastered music by a random chain per excerpt, on the device.

The chain is an EQ (a low shelf, a high shelf and peaking filters), dynamics (an exponent on the envelope: expansion
undoes compression, mild compression imitates a flat mix) and stereo width.
"""

from __future__ import annotations

import math
import typing

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from nmjax.config import DegradeConfig
from nmjax.dsp.cascade import cascade, initial_state
from nmjax.dsp.gain import apply_gain_db, loudness_gain_db
from nmjax.dsp.numerics import db_to_amplitude
from nmjax.dsp.stft import mid_side
from nmjax.dsp.svf import Svf, high_shelf, low_shelf, peaking
from nmjax.models import MODEL_LUFS
from nmjax.training.damage import DamageDraws, damage_shapes
from nmjax.training.random_inputs import log_uniform, normal_from_uniform, per_example

_LOW_SHELF_HZ = (60.0, 400.0)
_HIGH_SHELF_HZ = (2_000.0, 10_000.0)
_PEAK_HZ = (60.0, 12_000.0)
_PEAK_Q = (0.5, 2.0)
_ENVELOPE_HOP = 441  # samples, 10 ms at the model's rate
_SMOOTHING_HOPS = 11  # length of the envelope's smoothing, 110 ms
_MAX_GAIN_DB = 9.0  # of the dynamics, in both directions
_COMPRESSION_SCALE = 0.4  # of compression relative to expansion: a mix is rarely more compressed than its master
_POWER_FLOOR = 1e-6  # added to the envelope, −60 dBFS


@typing.no_type_check
class DegradationDraws(struct.PyTreeNode):
    """Uniform numbers in [0, 1) for the degradation of each excerpt of a batch.

    Attributes:
        low_shelf_freq, high_shelf_freq, low_shelf_gain, high_shelf_gain: `[batch, 1]`.
        peak_freq, peak_gain, peak_q: `[batch, num_peaks]`.
        exponent: `[batch]`, the dynamics.
        side_gain: `[batch]`, the stereo width.
        level: `[batch]`, the common level of input and target.
        damage: clipping and saturation; None where the config has none.
    """

    low_shelf_freq: Array
    high_shelf_freq: Array
    low_shelf_gain: Array
    high_shelf_gain: Array
    peak_freq: Array
    peak_gain: Array
    peak_q: Array
    exponent: Array
    side_gain: Array
    level: Array
    damage: DamageDraws | None


def degradation_shapes(config: DegradeConfig) -> DegradationDraws:
    """Shapes of the draws for one excerpt, as `draw_uniforms` takes them."""
    shelf, peaks, scalar = per_example(1), per_example(config.num_peaks), per_example()
    return DegradationDraws(
        low_shelf_freq=shelf,
        high_shelf_freq=shelf,
        low_shelf_gain=shelf,
        high_shelf_gain=shelf,
        peak_freq=peaks,
        peak_gain=peaks,
        peak_q=peaks,
        exponent=scalar,
        side_gain=scalar,
        level=scalar,
        damage=damage_shapes() if config.damage_prob else None,
    )


def random_eq(draws: DegradationDraws, config: DegradeConfig, sample_rate: float) -> Svf:
    """The filters of each excerpt, `[batch, 2 + num_peaks]`: a low shelf, a high shelf and the peaking filters."""
    shelf_q = jnp.full_like(draws.low_shelf_freq, math.sqrt(0.5))
    filters = (
        low_shelf(
            log_uniform(draws.low_shelf_freq, _LOW_SHELF_HZ),
            config.shelf_std_db * normal_from_uniform(draws.low_shelf_gain),
            shelf_q,
            sample_rate,
        ),
        high_shelf(
            log_uniform(draws.high_shelf_freq, _HIGH_SHELF_HZ),
            config.shelf_std_db * normal_from_uniform(draws.high_shelf_gain),
            shelf_q,
            sample_rate,
        ),
        peaking(
            log_uniform(draws.peak_freq, _PEAK_HZ),
            config.peaking_std_db * normal_from_uniform(draws.peak_gain),
            _PEAK_Q[0] + (_PEAK_Q[1] - _PEAK_Q[0]) * draws.peak_q,
            sample_rate,
        ),
    )
    return jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), *filters)


def apply_eq(audio: Float[Array, "batch time channel"], filters: Svf) -> Float[Array, "batch time channel"]:
    """The signal through the filters, with zero initial state."""
    return cascade(audio, filters, initial_state(filters, audio.shape[0], audio.shape[2]))[0]


def expand_dynamics(
    audio: Float[Array, "batch time channel"], exponent: Float[Array, " batch"]
) -> Float[Array, "batch time channel"]:
    """The signal with the gain (envelope / mean envelope)^exponent, limited to ±9 dB.

    The envelope is the mean power of all channels in 10 ms, smoothed over 110 ms. The gain is interpolated linearly.

    Args:
        audio: Signals at the model's rate.
        exponent: Above 0 expands, below 0 compresses, 0 is the identity.
    """
    batch, time, _ = audio.shape
    hops = -(-time // _ENVELOPE_HOP)
    power = jnp.mean(jnp.pad(audio, ((0, 0), (0, hops * _ENVELOPE_HOP - time), (0, 0))) ** 2, axis=2)
    power = jnp.mean(power.reshape(batch, hops, _ENVELOPE_HOP), axis=2) + _POWER_FLOOR
    half_window = _SMOOTHING_HOPS // 2
    padded = jnp.pad(power, ((0, 0), (half_window, half_window)), mode="edge")
    envelope = sum(padded[:, i : i + hops] for i in range(_SMOOTHING_HOPS)) / _SMOOTHING_HOPS
    ratio_db = 10.0 * jnp.log10(envelope / jnp.mean(envelope, axis=1, keepdims=True))
    gain = db_to_amplitude(jnp.clip(exponent[:, None] * ratio_db, -_MAX_GAIN_DB, _MAX_GAIN_DB))
    next_gain = jnp.concatenate([gain[:, 1:], gain[:, -1:]], axis=1)
    ramp = (jnp.arange(_ENVELOPE_HOP) / _ENVELOPE_HOP)[None, None]
    gain = gain[:, :, None] * (1.0 - ramp) + next_gain[:, :, None] * ramp
    return audio * gain.reshape(batch, -1)[:, :time, None]


def scale_side(audio: Float[Array, "batch time 2"], side_db: Float[Array, " batch"]) -> Float[Array, "batch time 2"]:
    """Stereo with a gain of `side_db` on the side."""
    gain = jnp.stack([jnp.ones_like(side_db), db_to_amplitude(side_db)], axis=1)
    return mid_side(mid_side(audio) * gain[:, None, :])


def degrade_batch(
    target: Float[Array, "batch time channel"], draws: DegradationDraws, config: DegradeConfig, sample_rate: float
) -> Float[Array, "batch time channel"]:
    """Mastered excerpts → unmastered input, not yet at the model's level.

    Args:
        target: Mastered excerpts.
        draws: Random numbers of each excerpt.
        config: Strength of each degradation.
        sample_rate: Hz.
    """
    source = apply_eq(target, random_eq(draws, config, sample_rate))
    source = expand_dynamics(source, dynamics_exponent(draws, config))
    if target.shape[2] == 2:
        source = scale_side(source, side_gain_db(draws, config))
    return source


def dynamics_exponent(draws: DegradationDraws, config: DegradeConfig) -> Float[Array, " batch"]:
    """The exponent of each excerpt's dynamics, uniform from −0.4 to 1 times `config.expansion`."""
    return config.expansion * ((1.0 + _COMPRESSION_SCALE) * draws.exponent - _COMPRESSION_SCALE)


def side_gain_db(draws: DegradationDraws, config: DegradeConfig) -> Float[Array, " batch"]:
    """The gain of each excerpt's side."""
    return config.side_std_db * normal_from_uniform(draws.side_gain)


def level_offset_db(draws: DegradationDraws, config: DegradeConfig) -> Float[Array, " batch"]:
    """The level of each excerpt relative to its whole track."""
    return config.level_std_db * normal_from_uniform(draws.level)


def normalize_pair(
    source: Float[Array, "batch time channel"],
    target: Float[Array, "batch time channel"],
    offset_db: Float[Array, " batch"],
    sample_rate: float,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch time channel"]]:
    """Input and target at −20 LUFS + `offset_db` each.

    The offset imitates that inference normalizes a track as a whole: a section is louder or quieter than the track.
    """

    source_gain_db, target_gain_db = (_model_gain_db(audio, offset_db, sample_rate) for audio in (source, target))
    return apply_gain_db(source, source_gain_db), apply_gain_db(target, target_gain_db)


def normalize_damaged_pair(
    damaged: Float[Array, "batch time channel"],
    target: Float[Array, "batch time channel"],
    offset_db: Float[Array, " batch"],
    sample_rate: float,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch time channel"]]:
    """A clipped or saturated input at −20 LUFS + `offset_db`, and the target with the same gain.

    Clipping lowers the loudness, and its repair is to raise it again: samples below the ceiling stay as they are.
    """
    gain_db = _model_gain_db(damaged, offset_db, sample_rate)
    return apply_gain_db(damaged, gain_db), apply_gain_db(target, gain_db)


def _model_gain_db(
    audio: Float[Array, "batch time channel"], offset_db: Float[Array, " batch"], sample_rate: float
) -> Float[Array, " batch"]:
    """The gain that brings each signal to −20 LUFS + `offset_db`."""
    return loudness_gain_db(audio, sample_rate, MODEL_LUFS) + offset_db
