"""Hum of the power line with its harmonics.

Two measures tell it from music. A loud hum, even one that drifts, advances its phase from window to window as its
frequency demands (`LongTermSpectrum.phase_lock`). A hum below the music shows in the phases over half a minute
(`LongTermSpectrum.coherence`), as long as its frequency holds.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float, Int

from nmjax.mastering.diagnosis.coherence import BLOCK_WINDOWS
from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.mastering.diagnosis.spectrum import LongTermSpectrum
from nmjax.runtime.number_format import format_fixed

_HANN_NOISE_BINS = 1.5  # over how many bins a sine's power is summed
_PROBLEM_DB = -50.0
_MIN_LEVEL_DB = -90.0  # quieter hum is rounding
_CERTAIN_BELOW_MUSIC_DB = 18.0  # a louder one may be a bass that is played on the power line's frequency
_MAINS_HZ = (50.0, 60.0)
_MAX_DEVIATION = 0.006  # of the power line's frequency, and of a recorder's speed
_OTHERS_DISTANCE_HZ = 1.0  # of fundamentals that a hum is compared with
_MIN_HARMONICS = 3  # that are present
_MAX_HARMONIC = 40  # that is looked for where the first ones prove a hum

_LOCK_SEARCH_HZ = np.arange(40.0, 75.0, 0.005)  # fundamentals that are compared
_LOCK_HARMONICS = np.arange(1, 17)
_MIN_LOCK_EVIDENCE = 5.5  # standard deviations
_LOCK_OVER_OTHERS = 1.25  # loops repeat at multiples of their tempo, and with them many fundamentals
_MIN_PRESENCE = 3.0  # standard deviations of a single harmonic
_MIN_HIGH_PRESENCE = 5.0  # of one above the 16th: they are many, and loops keep their phase, too

# Chosen on 71 training sections of 60 s: no false alarm; 1.0 over the others would raise one.
_COHERENCE_SEARCH_HZ = np.arange(40.0, 75.0, 0.0025)
_COHERENCE_HARMONICS = np.arange(1, 9)  # the higher ones of a quiet hum are noise
_MIN_COHERENCE_EVIDENCE = 5.0  # standard deviations
_COHERENCE_OVER_OTHERS = 1.1
_MIN_COHERENCE_PRESENCE = 2.5  # standard deviations of a single harmonic
_STEADY_SHARE = 0.75  # of the coherence that a steady sine has
_COHERENT_DRIFT_HZ = 0.01  # of the fundamental: more would not be coherent


@dataclasses.dataclass(frozen=True)
class HumFit:
    """A hum of the power line.

    Attributes:
        frequency_hz: exact fundamental.
        harmonics: numbers of those that are present; 1 is the fundamental.
        drift_hz: standard deviation of the frequency of the highest harmonic.
    """

    frequency_hz: float
    harmonics: Int[np.ndarray, " harmonics"]
    drift_hz: float


def fit_hum(spectrum: LongTermSpectrum) -> HumFit | None:
    """The hum of a track, loud or below the music; None without one, and for one that is as quiet as rounding."""
    hum = _fit(spectrum)
    return hum if hum and _level_db(spectrum, hum) >= _MIN_LEVEL_DB else None


def is_certain_hum(spectrum: LongTermSpectrum, hum: HumFit) -> bool:
    """Whether a hum is so far below the music that it is none of its instruments."""
    return bool(level_beside_music_db(spectrum, _level_db(spectrum, hum)) <= -_CERTAIN_BELOW_MUSIC_DB)


def _fit(spectrum: LongTermSpectrum) -> HumFit | None:
    locked = _fit_locked(spectrum)
    if locked is None:
        return _fit_coherent(spectrum)
    if _is_steady(spectrum, locked):
        return dataclasses.replace(locked, drift_hz=min(locked.drift_hz, _COHERENT_DRIFT_HZ))
    return locked


def hum_finding(spectrum: LongTermSpectrum, hum: HumFit) -> Finding:
    """What is reported of a hum."""
    level_db = _level_db(spectrum, hum)
    mains_hz = min(_MAINS_HZ, key=lambda hz: abs(hz - hum.frequency_hz))
    listed = ", ".join(f"{freq_hz:.0f}" for freq_hz in hum.frequency_hz * hum.harmonics[:6])
    return Finding(
        name="hum",
        value=level_db,
        unit="dBFS",
        severity=tone_severity(level_db),
        sentence=f"Mains hum of {mains_hz:.0f} Hz runs through the track,"
        f" {relative_text(spectrum, level_db)} (at {listed} Hz).",
        remedy="Look for a ground loop or an unbalanced cable and record again, or notch these frequencies."
        if is_certain_hum(spectrum, hum)
        else "If it is a bass or a drone of the music, leave it; otherwise notch these frequencies.",
    )


def _level_db(spectrum: LongTermSpectrum, hum: HumFit) -> float:
    """Power of the harmonics; a full-scale sine has 0 dB."""
    bins = hum.frequency_hz * hum.harmonics[hum.harmonics <= _LOCK_HARMONICS[-1]] / spectrum.bin_hz
    advance = spectrum.advance[np.round(bins).astype(int)] * np.exp(-2j * np.pi * bins)
    power = np.maximum(np.real(advance), 0.0)  # what advances otherwise is music
    return float(10.0 * np.log10(power.sum() + 1e-15))


def level_beside_music_db(spectrum: LongTermSpectrum, level_db: float) -> float:
    """The level of a tone relative to all that sounds, both as sines."""
    return float(level_db - 10.0 * np.log10(spectrum.power.sum() / _HANN_NOISE_BINS + 1e-15))


def tone_severity(level_db: float) -> Severity:
    """How much a hum or a steady tone of a level in dBFS matters."""
    return Severity.PROBLEM if level_db >= _PROBLEM_DB else Severity.WARNING


def relative_text(spectrum: LongTermSpectrum, level_db: float) -> str:
    """How far a tone is below the level of all that sounds."""
    difference_db = level_beside_music_db(spectrum, level_db)
    return f"{format_fixed(abs(difference_db), 'dB', digits=0)} {'below' if difference_db < 0.0 else 'above'} the music"


def _fit_locked(spectrum: LongTermSpectrum) -> HumFit | None:
    """A hum by the phase locks of its harmonics, its frequency by least squares over their phases."""
    frequency_hz = _locked_fundamental_hz(spectrum)
    if frequency_hz is None:
        return None
    for _ in range(3):
        numbers, lock = _present_harmonics(spectrum, frequency_hz)
        power = np.square(np.abs(lock))
        weights = numbers * power / (1.0 + 1e-3 - power)  # a phase varies by 1 / lock² − 1
        deviation_hz = np.angle(lock) / (2.0 * np.pi) * spectrum.bin_hz
        frequency_hz += float((weights * deviation_hz).sum() / ((weights * numbers).sum() + 1e-15))
    numbers, lock = _present_harmonics(spectrum, frequency_hz)
    if not len(numbers):
        return None
    # Music that masks a harmonic varies its phase, too, so the steadiest one bounds how much the frequency drifts.
    phase_deviation = np.sqrt(-2.0 * np.log(np.clip(np.abs(lock), 1e-3, 1.0)))
    drift_hz = float(np.min(phase_deviation / numbers)) * max(numbers) / (2.0 * math.pi) * spectrum.bin_hz
    return HumFit(frequency_hz, numbers, drift_hz)


def _is_steady(spectrum: LongTermSpectrum, hum: HumFit) -> bool:
    """Whether a hum that seems to drift from window to window is only masked by music.

    Where noise alone turns the phases, coherence over a block follows from the lock of neighbors; drift lowers it.
    """
    freq_hz = hum.frequency_hz * hum.harmonics[hum.harmonics <= _COHERENCE_HARMONICS[-1]]
    lock = np.abs(spectrum.phase_lock[np.round(freq_hz / spectrum.bin_hz).astype(int)])
    share = (spectrum.coherence.at(freq_hz) - 1.0) / ((BLOCK_WINDOWS - 1) * lock + 1e-9)
    return bool(len(share) and np.median(share) >= _STEADY_SHARE)


def _present_harmonics(spectrum: LongTermSpectrum, frequency_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the harmonics that are present, and the phase lock of each relative to its exact frequency."""
    numbers = np.arange(1, min(_MAX_HARMONIC, int(0.9 * spectrum.freq_hz[-1] / frequency_hz)) + 1)
    bins = numbers * frequency_hz / spectrum.bin_hz
    lock = spectrum.phase_lock[np.round(bins).astype(int)] * np.exp(-2j * np.pi * bins)
    presence = np.real(lock) / _lock_deviation(spectrum)
    is_present = presence >= np.where(numbers <= len(_LOCK_HARMONICS), _MIN_PRESENCE, _MIN_HIGH_PRESENCE)
    return numbers[is_present], lock[is_present]


def _locked_fundamental_hz(spectrum: LongTermSpectrum) -> float | None:
    """The fundamental of a hum at 50 or 60 Hz; None without one.

    The evidence for a fundamental is the sum of the phase locks at its harmonics, each along the phase by which exactly
    that harmonic advances, in standard deviations of noise. It has to exceed that of every other fundamental.
    """
    bins = _LOCK_SEARCH_HZ[:, None] * _LOCK_HARMONICS / spectrum.bin_hz
    lock = spectrum.phase_lock[np.round(bins).astype(int)] * np.exp(-2j * np.pi * bins)
    locks = np.maximum(np.real(lock), -0.3)  # a harmonic that contradicts counts little against the others
    evidence = locks.sum(axis=1) / np.sqrt(len(_LOCK_HARMONICS)) / _lock_deviation(spectrum)
    best = _best_mains(_LOCK_SEARCH_HZ, evidence, _MIN_LOCK_EVIDENCE, _LOCK_OVER_OTHERS)
    is_hum = best is not None and (
        np.count_nonzero(locks[best] >= _MIN_PRESENCE * _lock_deviation(spectrum)) >= _MIN_HARMONICS
    )
    return float(_LOCK_SEARCH_HZ[best]) if is_hum else None


def _lock_deviation(spectrum: LongTermSpectrum) -> float:
    """Standard deviation of the phase lock of noise along one phase."""
    return float(np.sqrt(0.5 / max(1, spectrum.num_windows - 2)))


def _fit_coherent(spectrum: LongTermSpectrum) -> HumFit | None:
    """A hum by the coherence of its harmonics, in robust standard deviations over all fundamentals from 40 to 75 Hz."""
    amplitude = np.sqrt(spectrum.coherence.at(_COHERENCE_SEARCH_HZ[:, None] * _COHERENCE_HARMONICS))
    evidence = _standardize(amplitude.sum(axis=1))
    best = _best_mains(_COHERENCE_SEARCH_HZ, evidence, _MIN_COHERENCE_EVIDENCE, _COHERENCE_OVER_OTHERS)
    if best is None:
        return None
    is_present: Bool[np.ndarray, " k"] = _standardize(amplitude)[best] >= _MIN_COHERENCE_PRESENCE
    if np.count_nonzero(is_present) < _MIN_HARMONICS:
        return None
    numbers = _COHERENCE_HARMONICS[is_present]
    return HumFit(float(_COHERENCE_SEARCH_HZ[best]), numbers, _COHERENT_DRIFT_HZ)


def _best_mains(
    search_hz: Float[np.ndarray, " n"], evidence: Float[np.ndarray, " n"], minimum: float, over_others: float
) -> int | None:
    """Index of the mains frequency with the most evidence, if that is enough beside all other fundamentals."""
    deviations = np.abs(search_hz[:, None] / np.array(_MAINS_HZ) - 1.0)
    best = int(np.argmax(np.where(deviations.min(axis=1) <= _MAX_DEVIATION, evidence, -np.inf)))
    others = evidence[np.abs(search_hz - search_hz[best]) > _OTHERS_DISTANCE_HZ].max()
    return best if evidence[best] >= max(minimum, over_others * others) else None


def _standardize(values: Float[np.ndarray, " n *k"]) -> Float[np.ndarray, " n *k"]:
    """Values less their median, in units of the standard deviation that the median deviation of noise has."""
    deviation = values - np.median(values, axis=0)
    return deviation / (1.4826 * np.median(np.abs(deviation), axis=0) + 1e-12)
