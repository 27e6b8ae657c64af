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
from nmjax.dsp.level import gain_to_lufs_db, scaled_db
from nmjax.dsp.numerics import amplitude
from nmjax.dsp.spectral import mid_side
from nmjax.dsp.svf import Svf, high_shelf, low_shelf, peaking
from nmjax.models import MODEL_LUFS
from nmjax.training.chance import gaussian

_LOW_SHELF_HZ = (60.0, 400.0)
_HIGH_SHELF_HZ = (2_000.0, 10_000.0)
_BELL_HZ = (60.0, 12_000.0)
_BELL_Q = (0.5, 2.0)
_ENVELOPE_HOP = 441  # samples, 10 ms at the model's rate
_ENVELOPE_HOPS = 11  # smoothed over 110 ms
_MOST_GAIN_DB = 9.0  # of the dynamics, either way
_MILDER = 0.4  # compression beside expansion: what a master was made from is seldom the more compressed of the two
_QUIET = 1e-6  # power added to the envelope, −60 dBFS


def chances_needed(config: DegradeConfig) -> int:
    """Uniform numbers that one excerpt's chain takes: tone, dynamics, width, level."""
    return _tone_chances(config.bells) + 3


def _tone_chances(bells: int) -> int:
    return 4 + 3 * bells


def _log_uniform(chance: Array, bounds: tuple[float, float]) -> Array:
    low, high = (math.log(b) for b in bounds)
    return jnp.exp(low + (high - low) * chance)


def random_tone(
    chance: Float[Array, "batch numbers"], shelf_db: float, bell_db: float, bells: int, sample_rate: float
) -> Svf:
    """A tone curve for each row of chances: a low shelf, a high shelf, and bells; `[batch, 2 + bells]`."""
    low_hz, high_hz, low_db, high_db = (chance[:, i : i + 1] for i in range(4))
    bell_hz, bell_gain, bell_q = (chance[:, 4 + i * bells : 4 + (i + 1) * bells] for i in range(3))
    flat = jnp.full_like(low_hz, math.sqrt(0.5))
    q = _BELL_Q[0] + (_BELL_Q[1] - _BELL_Q[0]) * bell_q
    parts = (
        low_shelf(_log_uniform(low_hz, _LOW_SHELF_HZ), shelf_db * gaussian(low_db), flat, sample_rate),
        high_shelf(_log_uniform(high_hz, _HIGH_SHELF_HZ), shelf_db * gaussian(high_db), flat, sample_rate),
        peaking(_log_uniform(bell_hz, _BELL_HZ), bell_db * gaussian(bell_gain), q, sample_rate),
    )
    return jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), *parts)


def toned(audio: Float[Array, "batch time channel"], tone: Svf) -> Float[Array, "batch time channel"]:
    """The signal through the filters, from rest."""
    return cascade(audio, tone, initial_state(tone, audio.shape[0], audio.shape[2]))[0]


def envelope_powered(
    audio: Float[Array, "batch time channel"], exponent: Float[Array, "batch"]
) -> Float[Array, "batch time channel"]:
    """Gain (envelope / its mean)^exponent, at most ±9 dB: above 0 expands, below 0 compresses, 0 is the identity.

    The envelope is the power of all channels in 10 ms, smoothed over 110 ms; the gain is interpolated linearly.
    """
    batch, time, _ = audio.shape
    hops = -(-time // _ENVELOPE_HOP)
    power = jnp.mean(jnp.pad(audio, ((0, 0), (0, hops * _ENVELOPE_HOP - time), (0, 0))) ** 2, axis=2)
    power = jnp.mean(power.reshape(batch, hops, _ENVELOPE_HOP), axis=2) + _QUIET
    side = _ENVELOPE_HOPS // 2
    padded = jnp.pad(power, ((0, 0), (side, side)), mode="edge")
    smooth = sum(padded[:, i : i + hops] for i in range(_ENVELOPE_HOPS)) / _ENVELOPE_HOPS
    ratio_db = 10.0 * jnp.log10(smooth / jnp.mean(smooth, axis=1, keepdims=True))
    gain = amplitude(jnp.clip(exponent[:, None] * ratio_db, -_MOST_GAIN_DB, _MOST_GAIN_DB))
    following = jnp.concatenate([gain[:, 1:], gain[:, -1:]], axis=1)
    ramp = (jnp.arange(_ENVELOPE_HOP) / _ENVELOPE_HOP)[None, None]
    gain = gain[:, :, None] * (1.0 - ramp) + following[:, :, None] * ramp
    return audio * gain.reshape(batch, -1)[:, :time, None]


def widened(audio: Float[Array, "batch time 2"], side_db: Float[Array, "batch"]) -> Float[Array, "batch time 2"]:
    """The side louder or quieter by `side_db`."""
    gain = jnp.stack([jnp.ones_like(side_db), amplitude(side_db)], axis=1)
    return mid_side(mid_side(audio) * gain[:, None, :])


def faulty(
    target: Float[Array, "batch time channel"],
    chance: Float[Array, "batch numbers"],
    config: DegradeConfig,
    sample_rate: float,
) -> Float[Array, "batch time channel"]:
    """Mastered excerpts → their unmastered side, not yet at the model's level. `chance`: `chances_needed` of them."""
    tone = _tone_chances(config.bells)
    fault = random_tone(chance[:, :tone], config.shelf_db, config.bell_db, config.bells, sample_rate)
    source = envelope_powered(toned(target, fault), drawn_exponent(chance, config))
    if target.shape[2] == 2:
        source = widened(source, drawn_side_db(chance, config))
    return source


def drawn_exponent(chance: Float[Array, "batch numbers"], config: DegradeConfig) -> Float[Array, "batch"]:
    """The exponent of the dynamics in an excerpt's chain: uniform from −0.4 to 1 times the config's."""
    return config.dynamics * ((1.0 + _MILDER) * chance[:, _tone_chances(config.bells)] - _MILDER)


def drawn_side_db(chance: Float[Array, "batch numbers"], config: DegradeConfig) -> Float[Array, "batch"]:
    """The side's gain in an excerpt's chain."""
    return config.width_db * gaussian(chance[:, _tone_chances(config.bells) + 1])


def level_offset_db(chance: Float[Array, "batch numbers"], config: DegradeConfig) -> Float[Array, "batch"]:
    """How far an excerpt lies above or below the level of its whole track."""
    return config.level_db * gaussian(chance[:, _tone_chances(config.bells) + 2])


def at_level(
    source: Float[Array, "batch time channel"],
    target: Float[Array, "batch time channel"],
    offset_db: Float[Array, "batch"],
    sample_rate: float,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch time channel"]]:
    """Both sides at the model's −20 LUFS, then moved together by `offset_db`: a passage of a track that is levelled
    as a whole lies above or below it."""
    return tuple(scaled_db(x, gain_to_lufs_db(x, sample_rate, MODEL_LUFS) + offset_db) for x in (source, target))
