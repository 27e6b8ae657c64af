"""The same curve at another sample rate: bilinear bells change their shape near half the rate."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nmjax.dsp.equalizer import Bands, response_db
from nmjax.dsp.svf import MAX_FREQ_RATIO

FULL_WEIGHT_MAX_HZ = (
    16_000.0  # the curves agree up to here; above, up to 20 kHz, they are drawn together with less weight
)
_MAX_HZ = 20_000.0
_HIGH_FREQ_WEIGHT = 0.2
_NUM_POINTS = 240
_TOLERANCE_DB = 0.25  # of error; where the fit is worse, helping bands are added near the top
_EXTRA_BANDS_HZ = (14_000.0, 21_000.0, 9_000.0, 26_000.0)
_PROXIMITY_WEIGHT = (
    0.02  # dB of cost an e-fold that a frequency or Q moves, and a dB of gain: of equal fits the nearest
)


def convert_bands_to_rate(bands: Bands, from_rate: float, to_rate: float) -> Bands:
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
        num_bands = bands.freq_hz.shape[1]
        kinds = (bands.kind,) * num_bands if isinstance(bands.kind, str) else bands.kind
        fitted = [_fit_with_extra_bands(np.stack(row), kinds, from_rate, to_rate) for row in rows]
        max_bands = max(f.shape[1] for f in fitted)
        padded_arrays = (jnp.asarray(np.stack([_pad_bands(f, max_bands)[i] for f in fitted])) for i in range(3))
        return Bands(*padded_arrays, _pad_kinds(kinds, max_bands))


def _pad_kinds(kinds: tuple[str, ...], num_bands: int) -> str | tuple[str, ...]:
    """The kinds of `count` bands of which the first are given and the rest bells; one word where all are the same."""
    kinds = kinds + ("peaking",) * (num_bands - len(kinds))
    return kinds[0] if len(set(kinds)) == 1 else kinds


def _fit_with_extra_bands(
    reference: np.ndarray, kinds: tuple[str, ...], from_rate: float, to_rate: float
) -> np.ndarray:
    best, min_error_db = reference, np.inf
    for num_extra in (0, 2, 4):
        extra = [_EXTRA_BANDS_HZ[:num_extra], (0.0,) * num_extra, (1.0,) * num_extra]
        fitted, error_db = _fit_response(
            reference, np.concatenate([reference, extra], axis=1), kinds, from_rate, to_rate
        )
        if error_db < min_error_db:
            best, min_error_db = fitted, error_db
        if min_error_db <= _TOLERANCE_DB:
            break
    return best


def _fit_response(
    reference: np.ndarray, initial: np.ndarray, kinds: tuple[str, ...], from_rate: float, to_rate: float
) -> tuple[np.ndarray, float]:
    """Bands fitted to the curve of `row` from `start`, all `[freq_hz | gain_db | q, bands]`, and the largest error in
    dB."""
    from scipy.optimize import (
        least_squares,  # half a second of importing, which a file at the model's rate can do without
    )

    grid_hz = np.geomspace(20.0, min(_MAX_HZ, MAX_FREQ_RATIO * min(from_rate, to_rate)), _NUM_POINTS)
    weight = np.where(grid_hz <= FULL_WEIGHT_MAX_HZ, 1.0, _HIGH_FREQ_WEIGHT)
    target_db = np.asarray(
        _log_params_response_db(_to_log_params(reference), grid_hz, from_rate, _pad_kinds(kinds, reference.shape[1]))
    )
    fit_kinds = _pad_kinds(kinds, initial.shape[1])
    max_log_freq = np.log(MAX_FREQ_RATIO * to_rate)
    initial = _to_log_params(initial)
    initial[0] = np.minimum(initial[0], max_log_freq - 1e-3)

    def residuals(flat):
        x = flat.reshape(3, -1)
        return np.concatenate(
            [
                weight * (_log_params_response_db(x, grid_hz, to_rate, fit_kinds) - target_db),
                _PROXIMITY_WEIGHT * (x - initial).ravel(),
            ]
        )

    def jacobian(flat):
        response_jacobian = np.asarray(_response_jacobian(flat.reshape(3, -1), grid_hz, to_rate, fit_kinds)).reshape(
            len(grid_hz), -1
        )
        return np.concatenate([weight[:, None] * response_jacobian, _PROXIMITY_WEIGHT * np.eye(flat.size)])

    bounds = np.array([[np.log(5.0), max_log_freq], [-30.0, 30.0], [np.log(0.1), np.log(20.0)]])
    low, high = (np.repeat(bounds[:, i], initial.shape[1]) for i in (0, 1))
    scale = np.repeat([1.0, 10.0, 1.0], initial.shape[1])
    x = least_squares(residuals, initial.ravel(), jacobian, bounds=(low, high), x_scale=scale, max_nfev=60).x
    error_db = np.abs(residuals(x)[: len(grid_hz)][grid_hz <= FULL_WEIGHT_MAX_HZ]).max()
    log_freq, gain_db, log_q = x.reshape(3, -1)
    return np.stack([np.exp(log_freq), gain_db, np.exp(log_q)]), float(error_db)


@partial(jax.jit, static_argnums=(2, 3))
def _log_params_response_db(log_params, grid_hz, sample_rate, kinds):
    """dB at `grid_hz` of bands given as `[ln freq_hz | gain_db | ln q, bands]`."""
    return response_db(
        Bands(jnp.exp(log_params[:1]), log_params[1:2], jnp.exp(log_params[2:]), kinds), grid_hz, sample_rate
    )[0]


_response_jacobian = jax.jit(jax.jacfwd(_log_params_response_db), static_argnums=(2, 3))


def _to_log_params(params: np.ndarray) -> np.ndarray:
    return np.stack([np.log(params[0]), params[1], np.log(params[2])])


def _pad_bands(params: np.ndarray, num_bands: int) -> np.ndarray:
    """With bands at 0 dB behind, so that the rows of a batch have the same number."""
    neutral = np.array([[1000.0], [0.0], [1.0]])
    return np.concatenate([params, np.repeat(neutral, num_bands - params.shape[1], axis=1)], axis=1)
