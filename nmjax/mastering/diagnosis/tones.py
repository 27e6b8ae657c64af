"""Tones that never stop: hum of the power line with its harmonics, and other steady tones.

A steady tone keeps its phase: between two windows it advances by 2π · frequency · time, while the phase of notes, which
begin and end, is arbitrary (the phase-locking value of Lachaux et al., "Measuring phase synchrony in brain signals",
1999, of a signal with its own past). So a tone is found below the music, and its frequency is known to a hundredth of a
bin.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.ndimage
from jaxtyping import Float, Int

from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.mastering.diagnosis.spectrum import MIN_WINDOWS, LongTermSpectrum
from nmjax.runtime.number_format import format_fixed

_HANN_NOISE_BINS = 1.5  # over how many bins a sine's power is summed
_MIN_LOCK = 0.4  # of the phase
_CHANCE = 3.0  # times 1/√windows, the phase lock of noise
_LOW_PERCENT = 10.0  # of the levels over time
_MAX_DIP_DB = 5.0  # of that percentile below the level of the tone; looped notes keep their phase, too, but stop
_NEIGHBORHOOD_HZ = 24.0  # loops repeat at every multiple of their tempo: lines of about one height
_MIN_PROMINENCE_DB = 10.0  # above the median of the neighborhood
_MIN_LEVEL_DB = -85.0  # quieter tones are inaudible
_PROBLEM_DB = -50.0
_MAINS_HZ = (50.0, 60.0)
_MAX_DEVIATION = 0.006  # of the power line's frequency, and of a recorder's speed
_SEARCH_HZ = np.arange(40.0, 75.0, 0.005)  # fundamentals that are compared
_HARMONICS = np.arange(1, 17)
_MAX_HARMONIC = 40  # that is looked for where the first 16 prove a hum
_MIN_EVIDENCE = 5.5  # standard deviations
_EVIDENCE_OVER_OTHERS = 1.25  # loops repeat at multiples of their tempo, and with them many fundamentals
_OTHERS_DISTANCE_HZ = 1.0
_MIN_PRESENCE = 3.0  # standard deviations of a single harmonic
_MIN_HIGH_PRESENCE = 5.0  # of one above the 16th: they are many, and loops keep their phase, too
_MIN_HARMONICS = 3  # that are present
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
    is_tone = (lock >= min_lock) & (power == scipy.ndimage.maximum_filter1d(power, 5))
    level_db = 10.0 * np.log10(power + 1e-15)
    width = 2 * round(0.5 * _NEIGHBORHOOD_HZ / spectrum.bin_hz) + 1
    prominence_db = level_db - scipy.ndimage.median_filter(level_db, width, mode="nearest")
    is_tone &= (level_db >= _MIN_LEVEL_DB) & (prominence_db >= _MIN_PROMINENCE_DB)
    is_tone &= spectrum.percentile_db(_LOW_PERCENT) >= level_db - _MAX_DIP_DB
    (index,) = np.nonzero(is_tone)
    fraction = np.angle(spectrum.advance[index]) / (2.0 * np.pi)  # of a bin: windows advance by their own length
    freq_hz = (np.round(index - fraction) + fraction) * spectrum.bin_hz
    return LockedTones(freq_hz, level_db[index], lock[index], prominence_db[index])


@dataclasses.dataclass(frozen=True)
class HumFit:
    """A hum of the power line.

    Attributes:
        frequency_hz: exact fundamental.
        harmonics: numbers of those that are present; 1 is the fundamental.
        locks: phase lock of each, 0 to 1.
    """

    frequency_hz: float
    harmonics: Int[np.ndarray, " harmonics"]
    locks: Float[np.ndarray, " harmonics"]


def find_tones(spectrum: LongTermSpectrum) -> list[Finding]:
    """Hum and other steady tones; nothing in signals too short to tell."""
    if spectrum.num_windows < MIN_WINDOWS:
        return []
    hum_hz = hum_fundamental_hz(spectrum)
    hum = [] if hum_hz is None else [_hum_finding(spectrum, hum_hz)]
    return [*hum, *_find_steady_tones(spectrum, steady_tones(spectrum, hum_hz))]


def steady_tones(spectrum: LongTermSpectrum, hum_hz: float | None) -> LockedTones:
    """The tones that run through the track, without harmonics of a hum; none where there are many: they are music.

    Args:
        spectrum: of the track.
        hum_hz: fundamental of the hum, from `hum_fundamental_hz`; None without one.
    """
    tones = locked_tones(spectrum)
    if hum_hz is not None:
        multiple = tones.freq_hz / hum_hz
        tones = tones.select(np.abs(multiple - np.round(multiple)) * hum_hz > spectrum.bin_hz)
    is_audio = (tones.freq_hz >= _MIN_TONE_HZ) & (tones.freq_hz <= _MAX_TONE_HZ)
    is_steady = (tones.lock >= _STEADY_LOCK) & (tones.prominence_db >= _STEADY_PROMINENCE_DB)
    return tones.select(is_audio & is_steady & (len(tones.freq_hz) <= _MAX_STEADY_TONES))


def fit_hum(spectrum: LongTermSpectrum) -> HumFit | None:
    """The exact frequency of a hum, by least squares over the phases of its harmonics; None without a hum."""
    frequency_hz = hum_fundamental_hz(spectrum)
    if frequency_hz is None:
        return None
    for _ in range(3):
        numbers, lock = _present_harmonics(spectrum, frequency_hz)
        power = np.square(np.abs(lock))
        weights = numbers * power / (1.0 + 1e-3 - power)  # a phase varies by 1 / lock² − 1
        deviation_hz = np.angle(lock) / (2.0 * np.pi) * spectrum.bin_hz
        frequency_hz += float((weights * deviation_hz).sum() / ((weights * numbers).sum() + 1e-15))
    numbers, lock = _present_harmonics(spectrum, frequency_hz)
    return HumFit(frequency_hz, numbers, np.abs(lock)) if len(numbers) else None


def _present_harmonics(spectrum: LongTermSpectrum, frequency_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the harmonics that are present, and the phase lock of each relative to its exact frequency."""
    numbers = np.arange(1, min(_MAX_HARMONIC, int(0.9 * spectrum.freq_hz[-1] / frequency_hz)) + 1)
    bins = numbers * frequency_hz / spectrum.bin_hz
    lock = spectrum.phase_lock[np.round(bins).astype(int)] * np.exp(-2j * np.pi * bins)
    presence = np.real(lock) / _lock_deviation(spectrum)
    is_present = presence >= np.where(numbers <= len(_HARMONICS), _MIN_PRESENCE, _MIN_HIGH_PRESENCE)
    return numbers[is_present], lock[is_present]


def hum_fundamental_hz(spectrum: LongTermSpectrum) -> float | None:
    """The exact fundamental of a hum at 50 or 60 Hz; None without one.

    The evidence for a fundamental is the sum of the phase locks at its harmonics, each along the phase by which exactly
    that harmonic advances, in standard deviations of noise. It has to exceed that of every other fundamental.
    """
    locks = _harmonic_locks(spectrum, _SEARCH_HZ)
    evidence = locks.sum(axis=1) / np.sqrt(len(_HARMONICS)) / _lock_deviation(spectrum)
    deviations = np.abs(_SEARCH_HZ[:, None] / np.array(_MAINS_HZ) - 1.0)
    best = int(np.argmax(np.where(deviations.min(axis=1) <= _MAX_DEVIATION, evidence, -np.inf)))
    others = evidence[np.abs(_SEARCH_HZ - _SEARCH_HZ[best]) > _OTHERS_DISTANCE_HZ].max()
    is_hum = evidence[best] >= max(_MIN_EVIDENCE, _EVIDENCE_OVER_OTHERS * others)
    is_hum &= np.count_nonzero(_is_present(spectrum, locks[best])) >= _MIN_HARMONICS
    return float(_SEARCH_HZ[best]) if is_hum else None


def _harmonic_locks(spectrum: LongTermSpectrum, fundamentals_hz: np.ndarray) -> Float[np.ndarray, "fundamentals k"]:
    """Phase lock along the expected phase, at most 1; a harmonic that contradicts counts little against the others."""
    freq_hz = fundamentals_hz[:, None] * _HARMONICS
    bins = freq_hz / spectrum.bin_hz
    lock = spectrum.phase_lock[np.round(bins).astype(int)] * np.exp(-2j * np.pi * bins)
    return np.maximum(np.real(lock), -0.3)


def _lock_deviation(spectrum: LongTermSpectrum) -> float:
    """Standard deviation of the phase lock of noise along one phase."""
    return float(np.sqrt(0.5 / max(1, spectrum.num_windows - 2)))


def _is_present(spectrum: LongTermSpectrum, locks: Float[np.ndarray, " k"]) -> np.ndarray:
    """Which harmonics keep their phase clearly better than noise does."""
    return locks >= _MIN_PRESENCE * _lock_deviation(spectrum)


def _hum_finding(spectrum: LongTermSpectrum, hum_hz: float) -> Finding:
    (locks,) = _harmonic_locks(spectrum, np.array([hum_hz]))
    present_hz = hum_hz * _HARMONICS[_is_present(spectrum, locks)]
    power = np.abs(spectrum.advance[np.round(present_hz / spectrum.bin_hz).astype(int)])
    level_db = float(10.0 * np.log10(power.sum() + 1e-15))
    mains_hz = min(_MAINS_HZ, key=lambda hz: abs(hz - hum_hz))
    listed = ", ".join(f"{freq_hz:.0f}" for freq_hz in present_hz[:6])
    return Finding(
        name="hum",
        value=level_db,
        unit="dBFS",
        severity=Severity.PROBLEM if level_db >= _PROBLEM_DB else Severity.WARNING,
        sentence=f"Mains hum of {mains_hz:.0f} Hz runs through the track,"
        f" {_relative_text(spectrum, level_db)} (at {listed} Hz).",
        remedy="Look for a ground loop or an unbalanced cable and record again, or notch these frequencies.",
    )


def _relative_text(spectrum: LongTermSpectrum, level_db: float) -> str:
    """How far a tone is below the level of all that sounds, both as sines."""
    difference_db = level_db - 10.0 * np.log10(spectrum.power.sum() / _HANN_NOISE_BINS + 1e-15)
    return f"{format_fixed(abs(difference_db), 'dB', digits=0)} {'below' if difference_db < 0.0 else 'above'} the music"


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
            severity=Severity.PROBLEM if level_db >= _PROBLEM_DB else Severity.WARNING,
            sentence=f"A tone at {freq_hz:,.0f} Hz runs through the whole track,"
            f" {_relative_text(spectrum, level_db)}{others}.",
            remedy="If it is not part of the music, find its source, or notch it.",
        )
    ]
