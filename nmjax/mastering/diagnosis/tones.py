"""Tones that never stop: hum of the power line, see `hum.py`, and other steady tones.

A steady tone keeps its phase: between two windows it advances by 2π · frequency · time, while the phase of notes, which
begin and end, is arbitrary (the phase-locking value of Lachaux et al., "Measuring phase synchrony in brain signals",
1999, of a signal with its own past). So a tone is found below the music, and its frequency is known to a hundredth of a
bin.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from nmjax.audio.sliding import medians_around, sliding_maximum
from nmjax.mastering.diagnosis.finding import Finding
from nmjax.mastering.diagnosis.hum import fit_hum, hum_finding, relative_text, tone_severity
from nmjax.mastering.diagnosis.spectrum import MIN_WINDOWS, LongTermSpectrum

_MIN_LOCK = 0.4  # of the phase
_CHANCE = 3.0  # times 1/√windows, the phase lock of noise
_LOW_PERCENT = 10.0  # of the levels over time
_MAX_DIP_DB = 5.0  # of that percentile below the level of the tone; looped notes keep their phase, too, but stop
_NEIGHBORHOOD_HZ = 24.0  # loops repeat at every multiple of their tempo: lines of about one height
_MIN_PROMINENCE_DB = 10.0  # above the median of the neighborhood
_MIN_LEVEL_DB = -85.0  # quieter tones are inaudible
_STEADY_LOCK, _STEADY_PROMINENCE_DB = 0.85, 15.0
_MIN_TONE_HZ, _MAX_TONE_HZ = 200.0, 18_000.0  # below, a bass note that is held through looks the same
_MAX_STEADY_TONES = 3  # more are a chord: music that sustains


@dataclasses.dataclass(frozen=True)
class LockedTones:
    """Spectral peaks that keep their phase.

    Attributes:
        freq_hz: exact frequency.
        level_db: of the part that keeps its phase; a full-scale sine has 0 dB.
        lock: phase lock, 0 to 1.
        prominence_db: level above the neighborhood's.
    """

    freq_hz: Float[np.ndarray, " tones"]
    level_db: Float[np.ndarray, " tones"]
    lock: Float[np.ndarray, " tones"]
    prominence_db: Float[np.ndarray, " tones"]

    def select(self, mask: np.ndarray) -> LockedTones:
        """The tones of a mask."""
        return LockedTones(*(getattr(self, field.name)[mask] for field in dataclasses.fields(self)))


def locked_tones(spectrum: LongTermSpectrum) -> LockedTones:
    """All peaks that keep their phase better than noise does, and never stop."""
    power, lock = np.abs(spectrum.advance), np.abs(spectrum.phase_lock)
    min_lock = max(_MIN_LOCK, _CHANCE / np.sqrt(spectrum.num_windows))
    is_tone = (lock >= min_lock) & (power == sliding_maximum(power, 5))
    level_db = 10.0 * np.log10(power + 1e-15)
    is_tone &= level_db >= _MIN_LEVEL_DB
    is_tone &= spectrum.percentile_db(_LOW_PERCENT) >= level_db - _MAX_DIP_DB
    (index,) = np.nonzero(is_tone)
    width = 2 * round(0.5 * _NEIGHBORHOOD_HZ / spectrum.bin_hz) + 1
    prominence_db = level_db[index] - medians_around(level_db, index, width)
    is_prominent = prominence_db >= _MIN_PROMINENCE_DB
    index, prominence_db = index[is_prominent], prominence_db[is_prominent]
    fraction = np.angle(spectrum.advance[index]) / (2.0 * np.pi)  # of a bin: windows advance by their own length
    freq_hz = (np.round(index - fraction) + fraction) * spectrum.bin_hz
    return LockedTones(freq_hz, level_db[index], lock[index], prominence_db)


def find_tones(spectrum: LongTermSpectrum) -> list[Finding]:
    """Hum and other steady tones; nothing in signals too short to tell."""
    if spectrum.num_windows < MIN_WINDOWS:
        return []
    hum = fit_hum(spectrum)
    findings = [hum_finding(spectrum, hum)] if hum else []
    return [*findings, *_find_steady_tones(spectrum, steady_tones(spectrum, hum and hum.frequency_hz))]


def steady_tones(spectrum: LongTermSpectrum, hum_hz: float | None) -> LockedTones:
    """The tones that run through the track, without harmonics of a hum; none where there are many: they are music.

    Args:
        spectrum: of the track.
        hum_hz: fundamental of the hum, see `hum.fit_hum`; None without one.
    """
    tones = locked_tones(spectrum)
    if hum_hz is not None:
        multiple = tones.freq_hz / hum_hz
        tones = tones.select(np.abs(multiple - np.round(multiple)) * hum_hz > spectrum.bin_hz)
    is_audio = (tones.freq_hz >= _MIN_TONE_HZ) & (tones.freq_hz <= _MAX_TONE_HZ)
    is_steady = (tones.lock >= _STEADY_LOCK) & (tones.prominence_db >= _STEADY_PROMINENCE_DB)
    return tones.select(is_audio & is_steady & (len(tones.freq_hz) <= _MAX_STEADY_TONES))


def _find_steady_tones(spectrum: LongTermSpectrum, steady: LockedTones) -> list[Finding]:
    """The strongest of the tones that run through the track."""
    if not len(steady.freq_hz):
        return []
    loudest = int(np.argmax(steady.level_db))
    level_db, freq_hz = float(steady.level_db[loudest]), float(steady.freq_hz[loudest])
    others = f", and {len(steady.freq_hz) - 1} more" if len(steady.freq_hz) > 1 else ""
    return [
        Finding(
            name="steady_tone",
            value=freq_hz,
            unit="Hz",
            severity=tone_severity(level_db),
            sentence=f"A tone at {freq_hz:,.0f} Hz runs through the whole track,"
            f" {relative_text(spectrum, level_db)}{others}.",
            remedy="If it is not part of the music, find its source, or notch it.",
        )
    ]
