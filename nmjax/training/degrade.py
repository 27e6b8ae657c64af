"""The unmastered side, made from mastered music: a random chain for each excerpt, on the device.

Tone (a low and a high shelf and bells), dynamics (an exponent on the envelope: expansion undoes compression, mild
compression mimics a flat mix), width. A second random tone, the style, is laid over input and target alike. All is
drawn from one key an excerpt.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from nmjax.config import DegradeConfig
from nmjax.dsp.cascade import cascade, initial_state
from nmjax.dsp.level import gain_to_lufs_db, scaled_db
from nmjax.dsp.numerics import amplitude
from nmjax.dsp.spectral import mid_side
from nmjax.dsp.svf import Svf, high_shelf, low_shelf, peaking
from nmjax.models import MODEL_LUFS

_LOW_SHELF_HZ = (60.0, 400.0)
_HIGH_SHELF_HZ = (2_000.0, 10_000.0)
_BELL_HZ = (60.0, 12_000.0)
_BELL_Q = (0.5, 2.0)
_MOST_SIGMAS = 2.5
_ENVELOPE_HOP = 441  # samples, 10 ms at the model's rate
_ENVELOPE_HOPS = 11  # smoothed over 110 ms
_MOST_GAIN_DB = 9.0  # of the dynamics, either way
_QUIET = 1e-6  # power added to the envelope, −60 dBFS


def _log_uniform(key: Array, bounds: tuple[float, float], shape: tuple[int, ...]) -> Array:
    low, high = (math.log(b) for b in bounds)
    return jnp.exp(jax.random.uniform(key, shape, minval=low, maxval=high))


def _gaussian_db(key: Array, sigma_db: float, shape: tuple[int, ...]) -> Array:
    return sigma_db * jax.random.truncated_normal(key, -_MOST_SIGMAS, _MOST_SIGMAS, shape)


def draw_tone(keys: Key[Array, "batch"], shelf_db: float, bell_db: float, bells: int, sample_rate: float) -> Svf:
    """A random tone curve for each key: a low shelf, a high shelf, and bells; `[batch, 2 + bells]`."""

    def draw(key):
        k = jax.random.split(key, 6)
        shelf_hz = jnp.concatenate([_log_uniform(k[0], _LOW_SHELF_HZ, (1,)), _log_uniform(k[1], _HIGH_SHELF_HZ, (1,))])
        bell_q = jax.random.uniform(k[5], (bells,), minval=_BELL_Q[0], maxval=_BELL_Q[1])
        bell = (_log_uniform(k[3], _BELL_HZ, (bells,)), _gaussian_db(k[4], bell_db, (bells,)), bell_q)
        return shelf_hz, _gaussian_db(k[2], shelf_db, (2,)), *bell

    shelf_hz, shelf_gain, bell_hz, bell_gain, bell_q = jax.vmap(draw)(keys)
    flat = jnp.full_like(shelf_hz[:, :1], math.sqrt(0.5))
    parts = (
        low_shelf(shelf_hz[:, :1], shelf_gain[:, :1], flat, sample_rate),
        high_shelf(shelf_hz[:, 1:], shelf_gain[:, 1:], flat, sample_rate),
        peaking(bell_hz, bell_gain, bell_q, sample_rate),
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


def make_pair(
    audio: Float[Array, "batch time channel"],
    keys: Key[Array, "batch"],
    config: DegradeConfig,
    sample_rate: float,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch time channel"]]:
    """Mastered excerpts → (input, target), not yet at the model's level."""
    style_key, tone_key, dynamics_key, width_key = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, 4))(keys), 1, 0)
    style = draw_tone(style_key, config.style_db, config.style_db, config.bells, sample_rate)
    tone = draw_tone(tone_key, config.shelf_db, config.bell_db, config.bells, sample_rate)
    target = toned(audio, style)
    exponent = jax.vmap(lambda k: jax.random.uniform(k, minval=-config.dynamics, maxval=config.dynamics))(dynamics_key)
    source = envelope_powered(toned(target, tone), exponent)
    if audio.shape[2] == 2:
        source = widened(source, jax.vmap(lambda k: _gaussian_db(k, config.width_db, ()))(width_key))
    return source, target


def at_level(
    source: Float[Array, "batch time channel"],
    target: Float[Array, "batch time channel"],
    offset_db: Float[Array, "batch"],
    sample_rate: float,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch time channel"]]:
    """Both sides at the model's −20 LUFS, then moved together by `offset_db`: a passage of a track that is levelled
    as a whole lies above or below it."""
    return tuple(scaled_db(x, gain_to_lufs_db(x, sample_rate, MODEL_LUFS) + offset_db) for x in (source, target))
