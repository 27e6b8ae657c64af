"""Bands refitted to another sample rate: the response of bilinear filters depends on the rate near half of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.dsp.equalizer import Bands, response_db
from nmjax.dsp.least_squares import minimize_squares
from nmjax.dsp.svf import MAX_FREQ_RATIO, frequency_response

FULL_WEIGHT_MAX_HZ = 16_000.0  # the responses agree up to here; from here to 20 kHz they are fitted with less weight
_MAX_HZ = 20_000.0
_HIGH_FREQ_WEIGHT = 0.2
_NUM_POINTS = 240
_TOLERANCE_DB = 0.25  # of error; where the fit is worse, extra peaking filters are added
_EXTRA_BANDS_HZ = (14_000.0, 21_000.0, 9_000.0, 26_000.0)
# Proximity penalty: dB of cost per unit of ln f, ln Q and dB of gain. Of equal fits it selects the nearest.
_PROXIMITY_WEIGHT = 0.02
_DIFFERENCE = 1e-5  # of ln f, ln Q and dB
_NO_GAIN_DB = 1e-9
_SMALLEST_POWER = 1e-300  # of a notch at its center

Kinds = str | tuple[str, ...]


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
    rows = zip(*(np.asarray(x, np.float64) for x in (bands.freq_hz, bands.gain_db, bands.q)), strict=True)
    num_bands = bands.freq_hz.shape[1]
    kinds = (bands.kind,) * num_bands if isinstance(bands.kind, str) else bands.kind
    fitted = [_fit_with_extra_bands(np.stack(row), kinds, from_rate, to_rate) for row in rows]
    max_bands = max(f.shape[1] for f in fitted)
    freq_hz, gain_db, q = np.stack([_pad_bands(f, max_bands) for f in fitted], axis=1)
    return Bands(freq_hz=freq_hz, gain_db=gain_db, q=q, kind=_pad_kinds(kinds, max_bands))


def _pad_kinds(kinds: tuple[str, ...], num_bands: int) -> Kinds:
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
    reference_kinds = _pad_kinds(kinds, reference.shape[1])
    target_db = _log_params_response_db(_to_log_params(reference), grid_hz, from_rate, reference_kinds)
    fit_kinds = _pad_kinds(kinds, initial.shape[1])
    max_log_freq = np.log(MAX_FREQ_RATIO * to_rate)
    initial = _to_log_params(initial)
    initial[0] = np.minimum(initial[0], max_log_freq - 1e-3)

    def evaluate(flat):
        x = flat.reshape(3, -1)
        fitted_db = _log_params_response_db(x, grid_hz, to_rate, fit_kinds)
        jacobian = _response_jacobian(x, grid_hz, to_rate, fit_kinds)
        return (
            np.concatenate([weight * (fitted_db - target_db), _PROXIMITY_WEIGHT * (x - initial).ravel()]),
            np.concatenate([weight[:, None] * jacobian, _PROXIMITY_WEIGHT * np.eye(flat.size)]),
        )

    bounds = np.array([[np.log(5.0), max_log_freq], [-30.0, 30.0], [np.log(0.1), np.log(20.0)]])
    low, high = (np.repeat(bounds[:, i], initial.shape[1]) for i in (0, 1))
    x = minimize_squares(evaluate, initial.ravel(), low, high).params
    error_db = np.abs(evaluate(x)[0][: len(grid_hz)][grid_hz <= FULL_WEIGHT_MAX_HZ]).max()
    log_freq, gain_db, log_q = x.reshape(3, -1)
    gain_db = np.where(np.abs(gain_db) < _NO_GAIN_DB, 0.0, gain_db)  # a neutral band stays neutral
    return _Fit(np.stack([np.exp(log_freq), gain_db, np.exp(log_q)]), float(error_db))


def _log_params_response_db(
    log_params: Float[np.ndarray, "3 bands"], grid_hz: Float[np.ndarray, " points"], sample_rate: float, kinds: Kinds
) -> Float[np.ndarray, " points"]:
    """The response in dB at `grid_hz` of bands given as `[ln freq_hz | gain_db | ln q, bands]`."""
    return response_db(_bands(log_params, kinds), grid_hz, sample_rate)[0]


def _response_jacobian(
    log_params: Float[np.ndarray, "3 bands"], grid_hz: Float[np.ndarray, " points"], sample_rate: float, kinds: Kinds
) -> Float[np.ndarray, "points params"]:
    """The derivatives of the response by `log_params`, row by row, by central differences.

    A parameter changes the response of its own band alone, so all bands are moved at once.
    """
    columns = []
    for row in range(3):
        steps = np.zeros_like(log_params)
        steps[row] = _DIFFERENCE
        up, down = (_each_response_db(x, grid_hz, sample_rate, kinds) for x in (log_params + steps, log_params - steps))
        columns.append((up - down) / (2.0 * _DIFFERENCE))
    return np.concatenate(columns).T


def _each_response_db(
    log_params: Float[np.ndarray, "3 bands"], grid_hz: Float[np.ndarray, " points"], sample_rate: float, kinds: Kinds
) -> Float[np.ndarray, "bands points"]:
    svf = _bands(log_params, kinds).svf(sample_rate)
    responses = frequency_response(svf, grid_hz, sample_rate)[0]
    return 10.0 * np.log10(np.maximum(responses.real**2 + responses.imag**2, _SMALLEST_POWER))


def _bands(log_params: Float[np.ndarray, "3 bands"], kinds: Kinds) -> Bands:
    log_freq, gain_db, log_q = log_params[:, None]
    return Bands(np.exp(log_freq), gain_db, np.exp(log_q), kinds)


def _to_log_params(params: np.ndarray) -> np.ndarray:
    return np.stack([np.log(params[0]), params[1], np.log(params[2])])
