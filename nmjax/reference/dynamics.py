"""A compressor that brings crest and loudness range towards a reference's: gradient descent through its own gain.

The features of a signal with a gain that moves slowly need the signal's power, loudness and peak by control point
alone: so of the rendering only the gain is computed, and its gradient.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp import Compressor, reduction_db
from nmjax.dsp.compressor import control_hop
from nmjax.dsp.loudness import energies, weighted
from nmjax.dsp.numerics import safe_log
from nmjax.models import SAMPLE_RATE
from nmjax.models.stages import settings_of
from nmjax.reference.descent import least

_STEPS, _RATE = 60, 0.2
_CREST_DB, _RANGE_LU = 0.5, 1.0  # of the error that counts as one
_STAY = 0.02  # of the cost of a raw number that moves by one
_ROWS = settings_of("compressor")
_FREE = [i for i, row in enumerate(_ROWS) if row.name not in ("knee_db", "makeup_db")]
_MOST_RAW = 4.0  # what lies at an end of its range would be infinite
_LEAST_SLOPE = 0.02  # with less nothing is compressed
_POWER_FLOOR = 1e-10
_SOUNDING_DB = 30.0


@dataclasses.dataclass(frozen=True)
class Change:
    """By how much the crest of excerpts changes, in the mean, and by how many dB more one that is a dB louder."""

    crest_db: float
    slope: float


@dataclasses.dataclass(frozen=True)
class Wanted:
    """By how much the median crest of 3 s is to change, and the loudness range, of `range_lu` so far."""

    crest_db: float
    more_range_lu: float
    range_lu: float


def fitted(audio: Float[Array, "blocks time channel"], there: Compressor | None, wanted: Wanted) -> Compressor | None:
    """A compressor (its fields `[1]`); what is there, or None, where it would do next to nothing.

    Args:
        audio: excerpts of the equalised track at the model's rate and level.
        there: where it starts from, and what the prior holds to.
        wanted: see there.
    """
    start = np.array([0.0 if there is None else row.raw_of(float(getattr(there, row.name)[0])) for row in _ROWS])
    start = np.clip(start, -_MOST_RAW, _MOST_RAW)
    raw, changes = _descended(audio, jnp.asarray(start, jnp.float32), jnp.array(dataclasses.astuple(wanted)))
    found = _compressor(raw)
    if abs(float(found.slope[0])) < _LEAST_SLOPE:
        return there
    return dataclasses.replace(found, makeup_db=jnp.clip(-changes[2], _ROWS[-1].low, _ROWS[-1].high)[None])


def _compressor(raw: Float[Array, "settings"], batch: int = 1) -> Compressor:
    """Without make-up."""
    values = [jnp.broadcast_to(row.of_raw(raw[i : i + 1]), (batch,)) for i, row in enumerate(_ROWS)]
    return dataclasses.replace(Compressor(*values), makeup_db=jnp.zeros(batch))


def changed(before: Float[Array, "blocks time channel"], after: Float[Array, "blocks time channel"]) -> Change:
    """What was done to excerpts at the model's rate."""
    return Change(*(float(x) for x in _changed(before, after)))


@jax.jit
def _changed(before, after):
    (crest_before, loud_before), (crest_after, loud_after) = (
        (_crest_db(jnp.max(jnp.abs(x), axis=2), jnp.mean(x**2, axis=2)), _loud_db(x)) for x in (before, after)
    )
    return _mean(crest_after - crest_before, loud_before), _slope(loud_before, loud_after - loud_before)


def _loud_db(audio: Array) -> Array:
    return _db(jnp.mean(energies(weighted(audio, SAMPLE_RATE)[0]), axis=1))


def _slope(loud_db: Array, more_db: Array) -> Array:
    """dB more a dB of loudness."""
    away = (loud_db - _mean(loud_db, loud_db)) * _sounds(loud_db)
    return jnp.sum(away * more_db) / (jnp.sum(away**2) + 1.0)


def _mean(values: Array, loud_db: Array) -> Array:
    """Over the excerpts that sound."""
    return jnp.sum(values * _sounds(loud_db)) / jnp.sum(_sounds(loud_db))


def _sounds(loud_db: Array) -> Array:
    """1 for the loudest and what is up to 30 dB below, else 0."""
    return jnp.float32(loud_db >= jnp.max(loud_db) - _SOUNDING_DB)


@jax.jit
def _descended(audio, start, wanted):
    """The raw numbers of least cost on the way, and what they change: crest, range, level."""
    blocks, hop = len(audio), control_hop(SAMPLE_RATE)
    whole = audio[:, : audio.shape[1] // hop * hop]
    by_hop = whole.reshape(blocks, -1, hop, whole.shape[2])
    power, peak = jnp.mean(by_hop**2, axis=(2, 3)), jnp.max(jnp.abs(by_hop), axis=(2, 3))
    loud = jnp.mean(energies(weighted(whole, SAMPLE_RATE)[0]).reshape(blocks, -1, hop), axis=2)
    free = jnp.zeros(len(_ROWS)).at[jnp.array(_FREE)].set(1.0)
    crest_before, loud_before = _crest_db(peak, power), _db(jnp.mean(loud, axis=1))

    def changes_of(raw):
        gain_db = -reduction_db(whole, _compressor(raw, blocks), SAMPLE_RATE)[0]
        gain = jnp.exp(gain_db * (np.log(10.0) / 20.0))
        crest_db = _mean(_crest_db(peak * gain, power * gain**2) - crest_before, loud_before)
        slope = _slope(loud_before, _db(jnp.mean(loud * gain**2, axis=1)) - loud_before)
        level_db = _db(jnp.mean(power * gain**2)) - _db(jnp.mean(power))
        return jnp.stack([crest_db, slope * wanted[2], level_db])

    def cost_of(moved):
        raw = start + free * moved
        crest_db, range_lu, _ = changes_of(raw)
        error = ((crest_db - wanted[0]) / _CREST_DB) ** 2 + ((range_lu - wanted[1]) / _RANGE_LU) ** 2
        return error + _STAY * jnp.sum(moved**2)

    best, _ = least(cost_of, jnp.zeros(len(_ROWS)), _STEPS, _RATE)
    raw = start + free * best
    return raw, changes_of(raw)


def _crest_db(peak: Array, power: Array) -> Array:
    return 2.0 * _db(jnp.max(peak, axis=1)) - _db(jnp.mean(power, axis=1))


def _db(power: Array) -> Array:
    return safe_log(power, _POWER_FLOOR) * (10.0 / np.log(10.0))
