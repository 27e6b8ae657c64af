"""Bands refitted to another sample rate: the response of bilinear filters depends on the rate near half of it."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nmjax.dsp.equalizer import Bands, response_db
from nmjax.dsp.least_squares import minimize_squares
from nmjax.dsp.svf import MAX_FREQ_RATIO

FULL_WEIGHT_MAX_HZ = 16_000.0  # the responses agree up to here; from here to 20 kHz they are fitted with less weight
_MAX_HZ = 20_000.0
_HIGH_FREQ_WEIGHT = 0.2
_NUM_POINTS = 240
_TOLERANCE_DB = 0.25  # of error; where the fit is worse, extra peaking filters are added
_EXTRA_BANDS_HZ = (14_000.0, 21_000.0, 9_000.0, 26_000.0)
# Proximity penalty: dB of cost per unit of ln f, ln Q and dB of gain. Of equal fits it selects the nearest.
_PROXIMITY_WEIGHT = 0.02


class _Fit(NamedTuple):
    params: np.ndarray  # [freq_hz | gain_db | q, bands]
    error_db: float  # largest error up to FULL_WEIGHT_MAX_HZ


def convert_bands_to_rate(bands: Bands, from_rate: float, to_rate: float) -> Bands:
    """Bands whose response at `to_rate` is that of `bands` at `from_rate`.

    A least-squares fit in dB over 20 Hz to 20 kHz (to 0.49 of the lower rate if that is less), with a fifth of the
    weight above 16 kHz, in float64, one signal at a time. A peaking filter near half the lower rate may need more than
    one at the other rate: where the error exceeds 0.25 dB, two or four peaking filters are appended. The given bands
    keep their kinds. If both rates are equal, `bands` is returned unchanged.

    Args:
        bands: arrays `[batch, bands]`, of any kinds.
        from_rate: sample rate of `bands`, Hz.
        to_rate: new sample rate, Hz.
    """
    if from_rate == to_rate:
        return bands
    with jax.enable_x64(True):
        rows = zip(*(np.asarray(x, np.float64) for x in (bands.freq_hz, bands.gain_db, bands.q)), strict=True)
        num_bands = bands.freq_hz.shape[1]
        kinds = (bands.kind,) * num_bands if isinstance(bands.kind, str) else bands.kind
        fitted = [_fit_with_extra_bands(np.stack(row), kinds, from_rate, to_rate) for row in rows]
        max_bands = max(f.shape[1] for f in fitted)
        freq_hz, gain_db, q = (jnp.asarray(x) for x in np.stack([_pad_bands(f, max_bands) for f in fitted], axis=1))
        return Bands(freq_hz=freq_hz, gain_db=gain_db, q=q, kind=_pad_kinds(kinds, max_bands))


def _pad_kinds(kinds: tuple[str, ...], num_bands: int) -> str | tuple[str, ...]:
    """The kinds of `num_bands` bands, peaking beyond the given ones; one string if all are equal."""
    kinds = kinds + ("peaking",) * (num_bands - len(kinds))
    return kinds[0] if len(set(kinds)) == 1 else kinds


def _pad_bands(params: np.ndarray, num_bands: int) -> np.ndarray:
    """Parameters with bands at 0 dB appended, so that all rows of a batch have the same number of bands."""
    neutral = np.array([[1000.0], [0.0], [1.0]])
    return np.concatenate([params, np.repeat(neutral, num_bands - params.shape[1], axis=1)], axis=1)


def _fit_with_extra_bands(
    reference: np.ndarray, kinds: tuple[str, ...], from_rate: float, to_rate: float
) -> np.ndarray:
    """The fit with the fewest extra bands whose error is within the tolerance, or else the best one."""
    best = _Fit(reference, np.inf)
    for num_extra in (0, 2, 4):
        extra = np.array([_EXTRA_BANDS_HZ[:num_extra], (0.0,) * num_extra, (1.0,) * num_extra])
        initial = np.concatenate([reference, extra], axis=1)
        fit = _fit_response(reference, initial, kinds=kinds, from_rate=from_rate, to_rate=to_rate)
        if fit.error_db < best.error_db:
            best = fit
        if best.error_db <= _TOLERANCE_DB:
            break
    return best.params


def _fit_response(
    reference: np.ndarray, initial: np.ndarray, *, kinds: tuple[str, ...], from_rate: float, to_rate: float
) -> _Fit:
    """Fit bands at `to_rate`, starting from `initial`, to the response of the `reference` bands at `from_rate`."""
    grid_hz = np.geomspace(20.0, min(_MAX_HZ, MAX_FREQ_RATIO * min(from_rate, to_rate)), _NUM_POINTS)
    weight = np.where(grid_hz <= FULL_WEIGHT_MAX_HZ, 1.0, _HIGH_FREQ_WEIGHT)
    target_db = np.asarray(
        _log_params_response_db(_to_log_params(reference), grid_hz, from_rate, _pad_kinds(kinds, reference.shape[1]))
    )
    fit_kinds = _pad_kinds(kinds, initial.shape[1])
    max_log_freq = np.log(MAX_FREQ_RATIO * to_rate)
    initial = _to_log_params(initial)
    initial[0] = np.minimum(initial[0], max_log_freq - 1e-3)

    def evaluate(flat):
        x = flat.reshape(3, -1)
        jacobian, fitted_db = _response_jacobian(x, grid_hz, to_rate, fit_kinds)
        jacobian = np.asarray(jacobian).reshape(len(grid_hz), -1)
        return (
            np.concatenate([weight * (fitted_db - target_db), _PROXIMITY_WEIGHT * (x - initial).ravel()]),
            np.concatenate([weight[:, None] * jacobian, _PROXIMITY_WEIGHT * np.eye(flat.size)]),
        )

    bounds = np.array([[np.log(5.0), max_log_freq], [-30.0, 30.0], [np.log(0.1), np.log(20.0)]])
    low, high = (np.repeat(bounds[:, i], initial.shape[1]) for i in (0, 1))
    x = minimize_squares(evaluate, initial.ravel(), low, high)
    error_db = np.abs(evaluate(x)[0][: len(grid_hz)][grid_hz <= FULL_WEIGHT_MAX_HZ]).max()
    log_freq, gain_db, log_q = x.reshape(3, -1)
    return _Fit(np.stack([np.exp(log_freq), gain_db, np.exp(log_q)]), float(error_db))


@partial(jax.jit, static_argnums=(2, 3))
def _log_params_response_db(log_params, grid_hz, sample_rate, kinds):
    """The response in dB at `grid_hz` of bands given as `[ln freq_hz | gain_db | ln q, bands]`."""
    log_freq, gain_db, log_q = log_params[:1], log_params[1:2], log_params[2:]
    return response_db(Bands(jnp.exp(log_freq), gain_db, jnp.exp(log_q), kinds), grid_hz, sample_rate)[0]


@partial(jax.jit, static_argnums=(2, 3))
def _response_jacobian(log_params, grid_hz, sample_rate, kinds):
    """The derivatives `[points, 3, bands]` of the response by `log_params`, and the response."""

    def response(log_params):
        value = _log_params_response_db(log_params, grid_hz, sample_rate, kinds)
        return value, value

    return jax.jacfwd(response, has_aux=True)(log_params)


def _to_log_params(params: np.ndarray) -> np.ndarray:
    return np.stack([np.log(params[0]), params[1], np.log(params[2])])
