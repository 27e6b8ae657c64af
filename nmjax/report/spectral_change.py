"""What became of a sound: how its spectrum changed, what of it a curve explains, what a residual added."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from nmjax.report.track_analysis import FLOOR_DB, SignalAnalysis

_DYNAMIC_RANGE_DB = 80.0  # bands further below the loudest hold rounding noise and leakage rather than music
_MIN_CHANGE_DB = 0.05  # a smaller change has no share that anything explains


@dataclasses.dataclass(frozen=True)
class SpectralChange:
    """How a spectrum changed, and how much of that a curve explains.

    freq_hz: `[bands]`. change_db: `[bands]`, after − before − gain_db; NaN in bands that hold no music. gain_db: the
    gain that lies between change and curve. share: 0 to 1, None where nothing changed.
    """

    freq_hz: Float[np.ndarray, " bands"]
    change_db: Float[np.ndarray, " bands"]
    gain_db: float
    r_squared: float | None


def measure_spectral_change(
    before: SignalAnalysis, after: SignalAnalysis, response_db: Float[np.ndarray, " bands"]
) -> SpectralChange:
    """The change from `before` to `after`, band by band, beside a curve in dB at `before.freq_hz`.

    share = 1 − Σ(d − c − mean(d − c))² / Σ(d − mean d)², held within 0 and 1, over bands of equal width on a
    logarithmic axis, with d = after − before and c the curve, both in dB: the coefficient of determination of a curve
    that may be shifted. The means are taken out because a gain for the whole track, which delivery adds, changes no
    spectrum. Bands count that lie within 80 dB of the loudest one, before and after. A share of 0 says that the change
    would be no larger without the curve. None: less than 0.05 dB (root mean square) changed.
    """
    num_bands = min(len(before.freq_hz), len(after.freq_hz))
    before_db, after_db, eq_db = (
        before.total_db[:num_bands],
        after.total_db[:num_bands],
        np.asarray(response_db, np.float64)[:num_bands],
    )
    in_range = np.ones(num_bands, bool)
    for level in (before_db, after_db):
        in_range &= level > max(level.max(initial=FLOOR_DB) - _DYNAMIC_RANGE_DB, FLOOR_DB)
    change_db = np.where(in_range, after_db - before_db, np.nan)
    if not in_range.any():
        return SpectralChange(before.freq_hz[:num_bands], change_db, 0.0, None)
    gain_db = float(np.mean((change_db - eq_db)[in_range]))
    unexplained_power = np.mean((change_db - eq_db - gain_db)[in_range] ** 2)
    total_variance = np.var(change_db[in_range])
    r_squared = (
        float(np.clip(1.0 - unexplained_power / total_variance, 0.0, 1.0))
        if total_variance > _MIN_CHANGE_DB**2
        else None
    )
    return SpectralChange(before.freq_hz[:num_bands], change_db - gain_db, gain_db, r_squared)


@dataclasses.dataclass(frozen=True)
class ResidualSpectrum:
    """What the second network added. level_db: its mean square relative to that of the signal to which it is
    added, −inf where it is silent. freq_hz, signal_db, residual_db: `[bands]`, the spectra of both."""

    level_db: float
    freq_hz: Float[np.ndarray, " bands"]
    signal_db: Float[np.ndarray, " bands"]
    residual_db: Float[np.ndarray, " bands"]


def measure_residual(signal: SignalAnalysis, residual: SignalAnalysis) -> ResidualSpectrum:
    """The residual beside the signal to which it is added, both heard at one rate and one level."""
    is_silent = not np.isfinite(residual.rms_db) or not np.isfinite(signal.rms_db)
    level_db = -np.inf if is_silent else residual.rms_db - signal.rms_db
    return ResidualSpectrum(float(level_db), signal.freq_hz, signal.total_db, residual.total_db)
