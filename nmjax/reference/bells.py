"""Bells that draw a curve: gradient descent on frequency, gain and Q, a bell more and a bell less at a time, as few as
will do."""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp import Bands, response_db
from nmjax.dsp.numerics import smooth_abs
from nmjax.models import SAMPLE_RATE
from nmjax.reference.descent import least

MOST_BANDS = 10
MOST_GAIN_DB = 12.0
_LOWEST_HZ, _HIGHEST_HZ = 20.0, 20_000.0
_Q = (0.5, 5.0)
_START_Q = 1.0
_STEPS, _RATE = 600, 0.05
_NEAR_DB = 0.25  # RMS of what is left; nearer than this nobody needs another bell
_LEAST_GAIN = 0.02  # by this share a bell must lower the cost
_OWN_GAIN_DB = 0.3  # that a bell costs as much as, so that two which lie on one another cost more than one
_UNHEARD_DB = 0.1  # a bell that moves nothing by so much is left out
_PEAK_OCTAVES = 0.33  # over which what is left is smoothed before the next bell is placed
_EMPTY = (1000.0, 0.0, _START_Q, 0.0)  # a slot that is not in use
_NEIGHBOUR_OCTAVES = 0.5  # nearer than this a bell is given the gain of one that is left out


@dataclasses.dataclass(frozen=True)
class _Drawing:
    """slots: frequency, gain, Q and whether in use, `[most]` each, those in use first. left_db: `[points]`."""

    slots: list[np.ndarray]
    left_db: np.ndarray
    cost: float

    @property
    def count(self) -> int:
        return int(self.slots[3].sum())


def drawn(
    start: Bands,
    freq_hz: Float[np.ndarray, "points"],
    wanted_db: Float[np.ndarray, "points"],
    weight: Float[np.ndarray, "points"],
    restraint: float = 0.0,
    most: int = MOST_BANDS,
) -> Bands:
    """Bells (`[1, bands]`, ±12 dB, Q 0.5 to 5, 20 Hz to 20 kHz) whose curve is near to a wanted one but for a constant.

    From those of `start` that do something on, bell after bell is put where most is left, and all descend together;
    until 0.25 dB RMS are left, or another bell would take less than a fiftieth off the cost, or there are `most`. Each
    time, whichever bells are worth less than that are left out.

    Args:
        start: `[1, bands]`; of more than `most` the strongest.
        freq_hz: evenly spaced in octaves.
        wanted_db: dB there.
        weight: how much each point counts.
        restraint: what a dB of a bell's gain costs, in dB² of the mean square.
    """
    given = [*(jnp.asarray(x, jnp.float32) for x in (freq_hz, wanted_db, weight)), restraint]
    best = _fewest(_descended(_slots(start, most), given), given)
    while best.count < most and np.average(best.left_db**2, weights=weight) > _NEAR_DB**2:
        slots = _with_another(best.slots, best.count, freq_hz, best.left_db, weight)
        found = _fewest(_descended(slots, given), given)
        if found.cost > (1.0 - _LEAST_GAIN) * best.cost:
            break
        best = found
    return _kept(best.slots)


def evenly(freq_hz: Float[np.ndarray, "points"], wanted_db: Float[np.ndarray, "points"], count: int) -> Bands:
    """`count` bells, evenly spaced to begin with and without restraint: about the best that so many can do."""
    start_hz = np.geomspace(56.0, 10_000.0, count)
    gain_db = np.interp(np.log(start_hz), np.log(freq_hz), wanted_db - np.mean(wanted_db))
    slots = [start_hz, gain_db, np.full(count, _START_Q), np.ones(count), freq_hz, wanted_db, np.ones(len(freq_hz))]
    found, _, _ = _fitted(*(jnp.asarray(x, jnp.float32) for x in slots), 0.0)
    return Bands(*(x[None] for x in found))


def _descended(slots: list[np.ndarray], given: list) -> _Drawing:
    found, left_db, cost = _fitted(*(jnp.asarray(x, jnp.float32) for x in slots), *given)
    return _Drawing([*(np.array(x, np.float64) for x in found), slots[3]], np.asarray(left_db, np.float64), float(cost))


def _fewest(drawing: _Drawing, given: list) -> _Drawing:
    """Without the bells that the others can do without, the least of them first."""
    while drawing.count > 1:
        fewer = [_descended(_without(drawing.slots, bell), given) for bell in range(drawing.count)]
        least_worse = min(fewer, key=lambda x: x.cost)
        if (1.0 - _LEAST_GAIN) * least_worse.cost > drawing.cost:
            break
        drawing = least_worse
    return drawing


def _without(slots: list[np.ndarray], bell: int) -> list[np.ndarray]:
    """The slots without a bell, whose gain its neighbour takes over."""
    slots = [values.copy() for values in slots]
    freq_hz, gain_db, _, used = slots
    away = np.where(used > 0.0, np.abs(np.log2(freq_hz / freq_hz[bell])), np.inf)
    away[bell] = np.inf
    nearest = np.argmin(away)
    if away[nearest] < _NEIGHBOUR_OCTAVES:
        gain_db[nearest] += gain_db[bell]
    for values, empty in zip(slots, _EMPTY, strict=True):
        values[bell:] = np.append(values[bell + 1 :], empty)
    return slots


def _slots(start: Bands, most: int) -> list[np.ndarray]:
    """Those bells of `start` that do something."""
    columns = [np.asarray(x, np.float64)[0] for x in (start.freq_hz, start.gain_db, start.q)]
    order = np.argsort(-np.abs(columns[1]), kind="stable")[:most]
    order = order[np.abs(columns[1][order]) >= _UNHEARD_DB]
    slots = [np.full(most, value) for value in _EMPTY]
    for slot, column in zip(slots, [*columns, np.ones_like(columns[0])], strict=True):
        slot[: len(order)] = column[order]
    return slots


def _with_another(
    slots: list[np.ndarray], slot: int, freq_hz: np.ndarray, left_db: np.ndarray, weight: np.ndarray
) -> list[np.ndarray]:
    """The slots with a new bell where the smoothed rest is largest."""
    octaves = np.log2(freq_hz)
    near = np.exp(-0.5 * ((octaves[:, None] - octaves) / _PEAK_OCTAVES) ** 2) * weight
    smooth_db = near @ left_db / near.sum(axis=1)
    there = int(np.argmax(np.abs(smooth_db) * np.sqrt(weight)))
    slots = [values.copy() for values in slots]
    for values, value in zip(slots, (freq_hz[there], smooth_db[there], _START_Q, 1.0), strict=True):
        values[slot] = value
    return slots


def _kept(slots: list[np.ndarray]) -> Bands:
    """The bells that move something, from low to high; at least one."""
    order = np.argsort(slots[0], kind="stable")
    order = order[np.abs(slots[1][order]) >= _UNHEARD_DB]
    if not len(order):
        return Bands(*(jnp.full((1, 1), x, jnp.float32) for x in (1000.0, 0.0, _START_Q)))
    return Bands(*(jnp.asarray(x[order][None], jnp.float32) for x in slots[:3]))


@partial(jax.jit, static_argnames="restraint")
def _fitted(
    freq_hz: Float[Array, "bands"],
    gain_db: Float[Array, "bands"],
    q: Float[Array, "bands"],
    used: Float[Array, "bands"],
    grid_hz: Float[Array, "points"],
    wanted_db: Float[Array, "points"],
    weight: Float[Array, "points"],
    restraint: float,
):
    """The bells after descending by Adam: (frequency, gain, Q), what is left in dB, and the cost."""

    def bands_of(raw):
        freq_hz = _LOWEST_HZ * (_HIGHEST_HZ / _LOWEST_HZ) ** jax.nn.sigmoid(raw[0])
        return freq_hz, used * MOST_GAIN_DB * jnp.tanh(raw[1]), _Q[0] + (_Q[1] - _Q[0]) * jax.nn.sigmoid(raw[2])

    def left_of(raw):
        bands = Bands(*(x[None] for x in bands_of(raw)))
        left = wanted_db - response_db(bands, grid_hz, SAMPLE_RATE)[0]
        return left - jnp.sum(weight * left) / jnp.sum(weight)

    def cost_of(raw):
        _, gain_db, q = bands_of(raw)
        modest = jnp.sum(smooth_abs(gain_db)) + jnp.sum(used * (_OWN_GAIN_DB + jnp.log(q) ** 2 / 4.0))
        return jnp.sum(weight * left_of(raw) ** 2) / jnp.sum(weight) + restraint * modest

    place = jnp.log(freq_hz / _LOWEST_HZ) / np.log(_HIGHEST_HZ / _LOWEST_HZ)
    gain = jnp.arctanh(jnp.clip(gain_db / MOST_GAIN_DB, -0.97, 0.97))
    raw = jnp.stack([_logit(place), gain, _logit((q - _Q[0]) / (_Q[1] - _Q[0]))])
    best, cost = least(cost_of, raw, _STEPS, _RATE)
    return bands_of(best), left_of(best), cost


def _logit(share: Array) -> Array:
    share = jnp.clip(share, 0.01, 0.99)
    return jnp.log(share / (1.0 - share))
