"""Repair of hum and of steady tones by notches as narrow as they are steady."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from nmjax.audio.streams import AudioChunks
from nmjax.mastering.diagnosis.hum import HumFit, fit_hum, is_certain_hum
from nmjax.mastering.diagnosis.tones import steady_tones
from nmjax.mastering.repair.base import BandwidthHz, Diagnosis, Proposal, Repair
from nmjax.mastering.repair.tone_removal import subtract_tones
from nmjax.mastering.settings.ranges import Range, WholeNumber

MAX_HARMONIC = 64
_MIN_BANDWIDTH_HZ, _MAX_BANDWIDTH_HZ = 0.3, 1.5
_DRIFT_WIDTHS = 6.0  # bandwidth of a notch over the standard deviation of the tone's frequency
_TONE_BANDWIDTH_HZ = 0.5
_CERTAIN_TONE_HZ, _CERTAIN_LOCK = 1_000.0, 0.95  # below, or less steady, a tone may be a drone of the music
_HIGHEST = 0.49  # of the sample rate


class HumRepair(Repair):
    """Notches at harmonics of the power line's frequency.

    Attributes:
        frequency_hz: exact fundamental.
        harmonics: their numbers; 1 is the fundamental.
        bandwidth_hz: −3 dB width of each notch. A notch at f has the Q f / bandwidth_hz.
    """

    label: ClassVar[str] = "mains hum"
    repaired_findings: ClassVar[tuple[str, ...]] = ("hum",)
    frequency_hz: Annotated[float, Range(20.0, 1000.0, "Hz")]
    harmonics: Annotated[list[Annotated[int, Range(1, MAX_HARMONIC), WholeNumber]], Field(min_length=1, max_length=64)]
    bandwidth_hz: BandwidthHz = 0.5

    @classmethod
    def propose(cls, diagnosis: Diagnosis) -> Proposal | None:
        """Notches at the harmonics that are present."""
        spectrum = diagnosis.statistics.spectrum
        if "hum" not in diagnosis.findings or (hum := fit_hum(spectrum)) is None:
            return None
        repair = cls(
            frequency_hz=round(hum.frequency_hz, 4),
            harmonics=[int(number) for number in hum.harmonics],
            bandwidth_hz=_bandwidth_hz(hum),
        )
        return Proposal(repair, is_certain_hum(spectrum, hum))

    def fits(self, sample_rate: int, channels: int) -> bool:
        """Whether a harmonic is below half of the rate."""
        return min(self.harmonics) * self.frequency_hz < _HIGHEST * sample_rate

    def apply(self, chunks: AudioChunks, sample_rate: int, channels: int) -> AudioChunks:
        """The stream without the hum."""
        return _notch(chunks, sample_rate, self.frequency_hz * np.array(self.harmonics, float), self.bandwidth_hz)

    @property
    def sentence(self) -> str:
        """The notches."""
        listed = ", ".join(f"{self.frequency_hz * number:.2f}" for number in self.harmonics[:6])
        more = f" and {len(self.harmonics) - 6} more harmonics" if len(self.harmonics) > 6 else ""
        return f"Notches were set at {listed} Hz{more}, {self.bandwidth_hz:g} Hz wide."


class ToneRepair(Repair):
    """Notches at steady tones.

    Attributes:
        freq_hz: exact frequencies.
        bandwidth_hz: −3 dB width of each notch.
    """

    label: ClassVar[str] = "steady tones"
    repaired_findings: ClassVar[tuple[str, ...]] = ("steady_tone",)
    freq_hz: Annotated[list[Annotated[float, Range(20.0, 40_000.0, "Hz")]], Field(min_length=1, max_length=16)]
    bandwidth_hz: BandwidthHz = _TONE_BANDWIDTH_HZ

    @classmethod
    def propose(cls, diagnosis: Diagnosis) -> Proposal | None:
        """Notches at the tones that are reported; certain where all of them are high and very steady."""
        if "steady_tone" not in diagnosis.findings:
            return None
        spectrum = diagnosis.statistics.spectrum
        hum = fit_hum(spectrum)
        tones = steady_tones(spectrum, hum and hum.frequency_hz)
        is_certain = tones.freq_hz.min() >= _CERTAIN_TONE_HZ and tones.lock.min() >= _CERTAIN_LOCK
        return Proposal(cls(freq_hz=[round(float(x), 4) for x in tones.freq_hz]), bool(is_certain))

    def fits(self, sample_rate: int, channels: int) -> bool:
        """Whether a tone is below half of the rate."""
        return min(self.freq_hz) < _HIGHEST * sample_rate

    def apply(self, chunks: AudioChunks, sample_rate: int, channels: int) -> AudioChunks:
        """The stream without the tones."""
        return _notch(chunks, sample_rate, np.array(self.freq_hz), self.bandwidth_hz)

    @property
    def sentence(self) -> str:
        """The notches."""
        listed = ", ".join(f"{freq_hz:,.1f}" for freq_hz in self.freq_hz)
        return f"Notches were set at {listed} Hz, {self.bandwidth_hz:g} Hz wide."


def _notch(chunks: AudioChunks, sample_rate: int, freq_hz: np.ndarray, bandwidth_hz: float) -> AudioChunks:
    audible_hz = freq_hz[freq_hz < _HIGHEST * sample_rate]
    return subtract_tones(chunks, sample_rate, audible_hz, bandwidth_hz) if len(audible_hz) else chunks


def _bandwidth_hz(hum: HumFit) -> float:
    """Width of notches that follow the hum."""
    return round(float(np.clip(_DRIFT_WIDTHS * hum.drift_hz, _MIN_BANDWIDTH_HZ, _MAX_BANDWIDTH_HZ)), 2)
