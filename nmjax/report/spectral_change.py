"""The change of a spectrum, how much of it an equalizer explains, and what a residual added."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from nmjax.report.track_analysis import SignalAnalysis, in_range_mask

_MIN_CHANGE_DB = 0.05  # RMS; a smaller change has no R²


@dataclasses.dataclass(frozen=True)
class SpectralChange:
    """The change of a spectrum beside the response of an equalizer.

    Attributes:
        freq_hz: `[bands]`.
        change_db: `[bands]`, after − before − gain_db; NaN in bands without signal.
        gain_db: the broadband gain that separates the change from the response.
        r_squared: 0 to 1, the share of the change that the response explains; None where nothing changed.
    """

    freq_hz: Float[np.ndarray, " bands"]
    change_db: Float[np.ndarray, " bands"]
    gain_db: float
    r_squared: float | None


def measure_spectral_change(
    before: SignalAnalysis, after: SignalAnalysis, response_db: Float[np.ndarray, " bands"]
) -> SpectralChange:
    """Compare the change of the spectrum from `before` to `after` with a response.

    With the change d = after − before and the response c, both in dB, the coefficient of determination is
    R² = 1 − Σ(d − c − mean(d − c))² / Σ(d − mean d)², clipped to 0 … 1. The means are removed because a gain for the
    whole track, which delivery adds, does not change the spectrum. Only bands within 80 dB of the loudest one, before
    and after, count. R² is None if the change is less than 0.05 dB RMS.

    Args:
        before, after: analyses of the signals.
        response_db: `[bands]`, the response in dB at `before.freq_hz`.
    """
    num_bands = min(len(before.freq_hz), len(after.freq_hz))
    freq_hz, before_db, after_db = before.freq_hz[:num_bands], before.total_db[:num_bands], after.total_db[:num_bands]
    eq_db = np.asarray(response_db, np.float64)[:num_bands]
    in_range = in_range_mask(before_db) & in_range_mask(after_db)
    change_db = np.where(in_range, after_db - before_db, np.nan)
    if not in_range.any():
        return SpectralChange(freq_hz, change_db, gain_db=0.0, r_squared=None)
    gain_db = float(np.mean((change_db - eq_db)[in_range]))
    unexplained_variance = np.mean((change_db - eq_db - gain_db)[in_range] ** 2)
    variance = np.var(change_db[in_range])
    r_squared = None
    if variance > _MIN_CHANGE_DB**2:
        r_squared = float(np.clip(1.0 - unexplained_variance / variance, 0.0, 1.0))
    return SpectralChange(freq_hz, change_db - gain_db, gain_db, r_squared)


@dataclasses.dataclass(frozen=True)
class ResidualSpectrum:
    """The residual beside the signal to which it is added.

    Attributes:
        level_db: mean square of the residual relative to the signal's, −inf if either is silent.
        freq_hz: `[bands]`.
        signal_db, residual_db: `[bands]`, spectra of both.
    """

    level_db: float
    freq_hz: Float[np.ndarray, " bands"]
    signal_db: Float[np.ndarray, " bands"]
    residual_db: Float[np.ndarray, " bands"]


def measure_residual(signal: SignalAnalysis, residual: SignalAnalysis) -> ResidualSpectrum:
    """Compare the residual with the signal to which it is added; both have the same sample rate."""
    is_silent = not math.isfinite(residual.rms_db) or not math.isfinite(signal.rms_db)
    level_db = -math.inf if is_silent else residual.rms_db - signal.rms_db
    return ResidualSpectrum(level_db, signal.freq_hz, signal.total_db, residual.total_db)
