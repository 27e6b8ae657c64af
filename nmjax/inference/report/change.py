"""What became of a sound: how its spectrum changed, what of it a curve explains, what a residual added."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from nmjax.inference.report.insight import FLOOR_DB, Heardings

_REACH_DB = 80.0  # bands further below the loudest hold rounding noise and leakage rather than music
_LEAST_CHANGE_DB = 0.05  # a smaller change has no share that anything explains


@dataclasses.dataclass(frozen=True)
class Change:
    """How a spectrum changed, and how much of that a curve explains.

    freq_hz: `[bands]`. change_db: `[bands]`, after − before − gain_db; NaN in bands that hold no music. gain_db: the
    gain that lies between change and curve. share: 0 to 1, None where nothing changed.
    """

    freq_hz: Float[np.ndarray, "bands"]
    change_db: Float[np.ndarray, "bands"]
    gain_db: float
    share: float | None


def explained(before: Heardings, after: Heardings, curve_db: Float[np.ndarray, "bands"]) -> Change:
    """The change from `before` to `after`, band by band, beside a curve in dB at `before.freq_hz`.

    share = 1 − Σ(d − c − mean(d − c))² / Σ(d − mean d)², held within 0 and 1, over bands of equal width on a
    logarithmic axis, with d = after − before and c the curve, both in dB: the coefficient of determination of a curve
    that may be shifted. The means are taken out because a gain for the whole track, which delivery adds, changes no
    spectrum. Bands count that lie within 80 dB of the loudest one, before and after. A share of 0 says that the change
    would be no larger without the curve. None: less than 0.05 dB (root mean square) changed.
    """
    count = min(len(before.freq_hz), len(after.freq_hz))
    old, new, curve = before.total_db[:count], after.total_db[:count], np.asarray(curve_db, np.float64)[:count]
    music = np.ones(count, bool)
    for level in (old, new):
        music &= level > max(level.max(initial=FLOOR_DB) - _REACH_DB, FLOOR_DB)
    change = np.where(music, new - old, np.nan)
    if not music.any():
        return Change(before.freq_hz[:count], change, 0.0, None)
    gain_db = float(np.mean((change - curve)[music]))
    left = np.mean((change - curve - gain_db)[music] ** 2)
    all_of_it = np.var(change[music])
    share = float(np.clip(1.0 - left / all_of_it, 0.0, 1.0)) if all_of_it > _LEAST_CHANGE_DB**2 else None
    return Change(before.freq_hz[:count], change - gain_db, gain_db, share)


@dataclasses.dataclass(frozen=True)
class Residual:
    """What the second network added. level_db: its mean square relative to that of the signal to which it is
    added, −inf where it is silent. freq_hz, signal_db, residual_db: `[bands]`, the spectra of both."""

    level_db: float
    freq_hz: Float[np.ndarray, "bands"]
    signal_db: Float[np.ndarray, "bands"]
    residual_db: Float[np.ndarray, "bands"]


def residual_beside(signal: Heardings, residual: Heardings) -> Residual:
    """The residual beside the signal to which it is added, both heard at one rate and one level."""
    silent = not np.isfinite(residual.rms_db) or not np.isfinite(signal.rms_db)
    level_db = -np.inf if silent else residual.rms_db - signal.rms_db
    return Residual(float(level_db), signal.freq_hz, signal.total_db, residual.total_db)
