"""The unmastered side, made from mastered music: a random chain for each excerpt, on the device.

Tone (a low and a high shelf and bells), dynamics (an exponent on the envelope: expansion undoes compression, mild
compression mimics a flat mix), width. All is drawn from one key an excerpt.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.config import DegradeConfig
from nmjax.dsp.cascade import cascade, initial_state
from nmjax.dsp.gain import apply_gain_db, loudness_gain_db
from nmjax.dsp.numerics import db_to_amplitude
from nmjax.dsp.stft import mid_side
from nmjax.dsp.svf import Svf, high_shelf, low_shelf, peaking
from nmjax.models import MODEL_LUFS
from nmjax.training.random_inputs import normal_from_uniform

_LOW_SHELF_HZ = (60.0, 400.0)
_HIGH_SHELF_HZ = (2_000.0, 10_000.0)
_PEAK_HZ = (60.0, 12_000.0)
_PEAK_Q = (0.5, 2.0)
_ENVELOPE_HOP = 441  # samples, 10 ms at the model's rate
_SMOOTHING_HOPS = 11  # smoothed over 110 ms
_MAX_GAIN_DB = 9.0  # of the dynamics, either way
_COMPRESSION_SCALE = (
    0.4  # compression beside expansion: what a master was made from is seldom the more compressed of the two
)
_POWER_FLOOR = 1e-6  # power added to the envelope, −60 dBFS


def num_uniforms(config: DegradeConfig) -> int:
    """Uniform numbers that one excerpt's chain takes: tone, dynamics, width, level."""
    return _num_eq_uniforms(config.num_peaks) + 3


def _num_eq_uniforms(num_peaks: int) -> int:
    return 4 + 3 * num_peaks


def _log_uniform(uniform: Array, bounds: tuple[float, float]) -> Array:
    low, high = (math.log(b) for b in bounds)
    return jnp.exp(low + (high - low) * uniform)


def random_eq(
    uniforms: Float[Array, "batch numbers"], shelf_db: float, peak_db: float, num_peaks: int, sample_rate: float
) -> Svf:
    """A tone curve for each row of chances: a low shelf, a high shelf, and bells; `[batch, 2 + bells]`."""
    low_hz, high_hz, low_db, high_db = (uniforms[:, i : i + 1] for i in range(4))
    peak_hz, peak_gain, peak_q = (uniforms[:, 4 + i * num_peaks : 4 + (i + 1) * num_peaks] for i in range(3))
    shelf_q = jnp.full_like(low_hz, math.sqrt(0.5))
    q = _PEAK_Q[0] + (_PEAK_Q[1] - _PEAK_Q[0]) * peak_q
    filters = (
        low_shelf(_log_uniform(low_hz, _LOW_SHELF_HZ), shelf_db * normal_from_uniform(low_db), shelf_q, sample_rate),
        high_shelf(
            _log_uniform(high_hz, _HIGH_SHELF_HZ), shelf_db * normal_from_uniform(high_db), shelf_q, sample_rate
        ),
        peaking(_log_uniform(peak_hz, _PEAK_HZ), peak_db * normal_from_uniform(peak_gain), q, sample_rate),
    )
    return jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), *filters)


def apply_eq(audio: Float[Array, "batch time channel"], filters: Svf) -> Float[Array, "batch time channel"]:
    """The signal through the filters, from rest."""
    return cascade(audio, filters, initial_state(filters, audio.shape[0], audio.shape[2]))[0]


def expand_dynamics(
    audio: Float[Array, "batch time channel"], exponent: Float[Array, " batch"]
) -> Float[Array, "batch time channel"]:
    """Gain (envelope / its mean)^exponent, at most ±9 dB: above 0 expands, below 0 compresses, 0 is the identity.

    The envelope is the power of all channels in 10 ms, smoothed over 110 ms; the gain is interpolated linearly.
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
    """The side louder or quieter by `side_db`."""
    gain = jnp.stack([jnp.ones_like(side_db), db_to_amplitude(side_db)], axis=1)
    return mid_side(mid_side(audio) * gain[:, None, :])


def degrade_batch(
    target: Float[Array, "batch time channel"],
    uniforms: Float[Array, "batch numbers"],
    config: DegradeConfig,
    sample_rate: float,
) -> Float[Array, "batch time channel"]:
    """Mastered excerpts → their unmastered side, not yet at the model's level. `chance`: `chances_needed` of them."""
    num_eq = _num_eq_uniforms(config.num_peaks)
    filters = random_eq(uniforms[:, :num_eq], config.shelf_std_db, config.peaking_std_db, config.num_peaks, sample_rate)
    source = expand_dynamics(apply_eq(target, filters), dynamics_exponent(uniforms, config))
    if target.shape[2] == 2:
        source = scale_side(source, side_gain_db(uniforms, config))
    return source


def dynamics_exponent(uniforms: Float[Array, "batch numbers"], config: DegradeConfig) -> Float[Array, " batch"]:
    """The exponent of the dynamics in an excerpt's chain: uniform from −0.4 to 1 times the config's."""
    return config.expansion * (
        (1.0 + _COMPRESSION_SCALE) * uniforms[:, _num_eq_uniforms(config.num_peaks)] - _COMPRESSION_SCALE
    )


def side_gain_db(uniforms: Float[Array, "batch numbers"], config: DegradeConfig) -> Float[Array, " batch"]:
    """The side's gain in an excerpt's chain."""
    return config.side_std_db * normal_from_uniform(uniforms[:, _num_eq_uniforms(config.num_peaks) + 1])


def level_offset_db(uniforms: Float[Array, "batch numbers"], config: DegradeConfig) -> Float[Array, " batch"]:
    """How far an excerpt lies above or below the level of its whole track."""
    return config.level_std_db * normal_from_uniform(uniforms[:, _num_eq_uniforms(config.num_peaks) + 2])


def normalize_pair(
    source: Float[Array, "batch time channel"],
    target: Float[Array, "batch time channel"],
    offset_db: Float[Array, " batch"],
    sample_rate: float,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch time channel"]]:
    """Both sides at the model's −20 LUFS, then moved together by `offset_db`: a passage of a track that is levelled
    as a whole lies above or below it."""
    return tuple(apply_gain_db(x, loudness_gain_db(x, sample_rate, MODEL_LUFS) + offset_db) for x in (source, target))
