"""The same curve at another sample rate: bilinear bells change their shape near half the rate."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nmjax.dsp.bands import Bands, response_db
from nmjax.dsp.svf import TOP_FREQUENCY

HELD_TO_HZ = 16_000.0  # the curves agree up to here; above, up to 20 kHz, they are drawn together with less weight
_HIGHEST_HZ = 20_000.0
_WEIGHT_ABOVE = 0.2
_POINTS = 240
_GOOD_DB = 0.25  # of error; where the fit is worse, helping bands are added near the top
_HELPERS_HZ = (14_000.0, 21_000.0, 9_000.0, 26_000.0)
_STAY = 0.02  # dB of cost an e-fold that a frequency or Q moves, and a dB of gain: of equal fits the nearest


def bands_at_rate(bands: Bands, from_rate: float, to_rate: float) -> Bands:
    """Bands that at `to_rate` draw the curve which `bands` draw at `from_rate`.

    A bell near half the lower rate may need more than one bell at the other: up to four are added behind the given
    ones where the fit is worse than 0.25 dB without. By least squares in dB over 20 Hz to 16 kHz (to 0.49 of the
    lower rate where that is less), in float64, one signal at a time. At the same rate the bands are returned as they
    are. The kinds stay; what is added is bells.

    Args:
        bands: arrays `[batch, bands]`, of any kinds.
        from_rate, to_rate: Hz.
    """
    if from_rate == to_rate:
        return bands
    with jax.enable_x64(True):
        rows = zip(*(np.asarray(x, np.float64) for x in (bands.freq_hz, bands.gain_db, bands.q)), strict=True)
        count = bands.freq_hz.shape[1]
        kinds = (bands.kind,) * count if isinstance(bands.kind, str) else bands.kind
        fitted = [_fit_with_helpers(np.stack(row), kinds, from_rate, to_rate) for row in rows]
        most = max(f.shape[1] for f in fitted)
        arrays = (jnp.asarray(np.stack([_padded(f, most)[i] for f in fitted])) for i in range(3))
        return Bands(*arrays, _with_bells(kinds, most))


def _with_bells(kinds: tuple[str, ...], count: int) -> str | tuple[str, ...]:
    """The kinds of `count` bands of which the first are given and the rest bells; one word where all are the same."""
    kinds = kinds + ("peaking",) * (count - len(kinds))
    return kinds[0] if len(set(kinds)) == 1 else kinds


def _fit_with_helpers(row: np.ndarray, kinds: tuple[str, ...], from_rate: float, to_rate: float) -> np.ndarray:
    best, least = row, np.inf
    for helpers in (0, 2, 4):
        extra = [_HELPERS_HZ[:helpers], (0.0,) * helpers, (1.0,) * helpers]
        found, error_db = _fit(row, np.concatenate([row, extra], axis=1), kinds, from_rate, to_rate)
        if error_db < least:
            best, least = found, error_db
        if least <= _GOOD_DB:
            break
    return best


def _fit(
    row: np.ndarray, start: np.ndarray, kinds: tuple[str, ...], from_rate: float, to_rate: float
) -> tuple[np.ndarray, float]:
    """Bands fitted to the curve of `row` from `start`, all `[freq_hz | gain_db | q, bands]`, and the largest error in
    dB."""
    from scipy.optimize import (
        least_squares,  # half a second of importing, which a file at the model's rate can do without
    )

    grid_hz = np.geomspace(20.0, min(_HIGHEST_HZ, TOP_FREQUENCY * min(from_rate, to_rate)), _POINTS)
    weight = np.where(grid_hz <= HELD_TO_HZ, 1.0, _WEIGHT_ABOVE)
    wanted = np.asarray(_curve(_logarithmic(row), grid_hz, from_rate, _with_bells(kinds, row.shape[1])))
    drawn = _with_bells(kinds, start.shape[1])
    highest = np.log(TOP_FREQUENCY * to_rate)
    start = _logarithmic(start)
    start[0] = np.minimum(start[0], highest - 1e-3)

    def misfit(flat):
        x = flat.reshape(3, -1)
        return np.concatenate([weight * (_curve(x, grid_hz, to_rate, drawn) - wanted), _STAY * (x - start).ravel()])

    def slope(flat):
        curve = np.asarray(_slope(flat.reshape(3, -1), grid_hz, to_rate, drawn)).reshape(len(grid_hz), -1)
        return np.concatenate([weight[:, None] * curve, _STAY * np.eye(flat.size)])

    ends = np.array([[np.log(5.0), highest], [-30.0, 30.0], [np.log(0.1), np.log(20.0)]])
    low, high = (np.repeat(ends[:, i], start.shape[1]) for i in (0, 1))
    scale = np.repeat([1.0, 10.0, 1.0], start.shape[1])
    x = least_squares(misfit, start.ravel(), slope, bounds=(low, high), x_scale=scale, max_nfev=60).x
    error_db = np.abs(misfit(x)[: len(grid_hz)][grid_hz <= HELD_TO_HZ]).max()
    freq, gain_db, q = x.reshape(3, -1)
    return np.stack([np.exp(freq), gain_db, np.exp(q)]), float(error_db)


@partial(jax.jit, static_argnums=(2, 3))
def _curve(x, grid_hz, rate, kinds):
    """dB at `grid_hz` of bands given as `[ln freq_hz | gain_db | ln q, bands]`."""
    return response_db(Bands(jnp.exp(x[:1]), x[1:2], jnp.exp(x[2:]), kinds), grid_hz, rate)[0]


_slope = jax.jit(jax.jacfwd(_curve), static_argnums=(2, 3))


def _logarithmic(row: np.ndarray) -> np.ndarray:
    return np.stack([np.log(row[0]), row[1], np.log(row[2])])


def _padded(row: np.ndarray, bands: int) -> np.ndarray:
    """With bands at 0 dB behind, so that the rows of a batch have the same number."""
    idle = np.array([[1000.0], [0.0], [1.0]])
    return np.concatenate([row, np.repeat(idle, bands - row.shape[1], axis=1)], axis=1)
