"""Repairs of two channels against each other: delay, polarity, mono bass.

They leave signals with another number of channels as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float

from nmjax.audio.streams import AudioChunks
from nmjax.mastering.diagnosis.stereo import fine_delay_s
from nmjax.mastering.repair.base import SIDES, CrossoverHz, Diagnosis, Proposal, Side, StereoRepair
from nmjax.mastering.repair.linear_phase import add_filtered, low_pass_taps
from nmjax.mastering.settings.ranges import Range

_TRANSITION_HZ = 20.0  # of the crossovers
_BASS_MONO_HZ = 120.0
_EXACT_SAMPLE = 1e-3  # a delay in a settings file within this of a whole number of samples is a shift
_SINC_REACH = 128  # taps on either side of the interpolation between samples
_SINC_BETA = 10.0
_CERTAIN_DELAY_PEAK, _CERTAIN_OVER_CENTER = 0.25, 5.0
_CERTAIN_CORRELATION = -0.4


class DelayRepair(StereoRepair):
    """Moves the late channel earlier; what its end lacks is silence.

    Whole samples are shifted and stay bit-identical. Parts of a sample are interpolated by 257 taps (Kaiser), with an
    error below −80 dB up to 0.8 of the Nyquist frequency.

    Attributes:
        late: the channel.
        delay_ms: how late it is.
    """

    label: ClassVar[str] = "the delay of a channel"
    repaired_findings: ClassVar[tuple[str, ...]] = ("channel_delay",)
    late: Side
    delay_ms: Annotated[float, Range(0.0, 100.0, "ms")]

    @classmethod
    def propose(cls, diagnosis: Diagnosis) -> Proposal | None:
        """The delay that the phases of both channels agree on."""
        stereo = diagnosis.statistics.stereo
        if "channel_delay" not in diagnosis.findings or stereo is None:
            return None
        peak, rate = abs(stereo.delay_peak), diagnosis.statistics.sample_rate
        samples = fine_delay_s(diagnosis.statistics.spectrum, stereo) * rate
        is_certain = peak >= _CERTAIN_DELAY_PEAK and peak >= _CERTAIN_OVER_CENTER * stereo.center_peak
        late = "right" if samples > 0 else "left"
        return Proposal(cls(late=late, delay_ms=round(abs(samples) / rate * 1000.0, 6)), is_certain)

    def apply(self, chunks: AudioChunks, sample_rate: int, channels: int) -> AudioChunks:
        """The stream with both channels aligned."""
        if channels != 2:
            return chunks
        channel, samples = SIDES.index(self.late), self.delay_ms * sample_rate / 1000.0
        whole = round(samples)
        if abs(samples - whole) > _EXACT_SAMPLE:
            chunks = add_filtered(chunks, _interpolation_taps(samples - whole), np.diag(_only(channel)))
        return _advance(chunks, channel, whole) if whole else chunks

    @property
    def sentence(self) -> str:
        """The shift."""
        return f"The {self.late} channel was moved {self.delay_ms:.3f} ms earlier."


class PolarityRepair(StereoRepair):
    """Inverts a channel. Which of both was inverted is inaudible; the right one is taken."""

    label: ClassVar[str] = "the polarity of a channel"
    repaired_findings: ClassVar[tuple[str, ...]] = ("polarity", "channel_delay")
    solved_findings: ClassVar[tuple[str, ...]] = ("mono_loss",)
    invert: Side = "right"

    @classmethod
    def propose(cls, diagnosis: Diagnosis) -> Proposal | None:
        """Inversion of the right channel, also where it is delayed."""
        stereo = diagnosis.statistics.stereo
        if stereo is None:
            return None
        if "polarity" in diagnosis.findings:
            return Proposal(cls(), is_certain=stereo.correlation <= _CERTAIN_CORRELATION)
        delay = DelayRepair.propose(diagnosis)
        return Proposal(cls(), delay.is_certain) if delay and stereo.delay_peak < 0.0 else None

    def apply(self, chunks: AudioChunks, sample_rate: int, channels: int) -> AudioChunks:
        """The stream with the channel inverted."""
        return _scale(chunks, 1.0 - 2.0 * _only(SIDES.index(self.invert))) if channels == 2 else chunks

    @property
    def sentence(self) -> str:
        """The channel."""
        return f"The polarity of the {self.invert} channel was inverted."


class BassMonoRepair(StereoRepair):
    """Removes the side below a crossover (linear phase, 20 Hz wide); the mid stays. `auto` never does it."""

    label: ClassVar[str] = "wide bass"
    repaired_findings: ClassVar[tuple[str, ...]] = ("wide_bass", "bass_polarity")
    crossover_hz: CrossoverHz = _BASS_MONO_HZ

    @classmethod
    def propose(cls, diagnosis: Diagnosis) -> Proposal | None:
        """Mono below 120 Hz. Wide bass can be meant, so it is never certain."""
        is_found = not diagnosis.findings.keys().isdisjoint(cls.repaired_findings)
        return Proposal(cls(), is_certain=False) if is_found else None

    def apply(self, chunks: AudioChunks, sample_rate: int, channels: int) -> AudioChunks:
        """The stream with mono bass."""
        if channels != 2:
            return chunks
        taps = low_pass_taps(self.crossover_hz, _TRANSITION_HZ, sample_rate)
        return add_filtered(chunks, -taps, np.array([[0.5, -0.5], [-0.5, 0.5]]))

    @property
    def sentence(self) -> str:
        """The crossover."""
        return f"The bass was made mono below {self.crossover_hz:g} Hz."


def _only(channel: int) -> Float[np.ndarray, "2"]:
    """1 for one of two channels, 0 for the other."""
    return np.eye(2)[channel]


def _scale(chunks: AudioChunks, factors: Float[np.ndarray, "2"]) -> Iterator[np.ndarray]:
    for chunk in chunks:
        yield chunk * factors.astype(np.float32)


def _advance(chunks: AudioChunks, channel: int, frames: int) -> Iterator[np.ndarray]:
    """The stream with one channel earlier by whole frames, silent at its end."""
    pending = np.zeros((0, 2), np.float32)
    for chunk in chunks:
        pending = np.concatenate([pending, chunk])
        if len(pending) > frames:
            yield _advanced(pending, channel, frames)[: len(pending) - frames]
            pending = pending[len(pending) - frames :]
    yield _advanced(np.concatenate([pending, np.zeros((frames, 2), np.float32)]), channel, frames)[: len(pending)]


def _advanced(audio: Float[np.ndarray, "frames 2"], channel: int, frames: int) -> Float[np.ndarray, "frames 2"]:
    shifted = audio.copy()
    shifted[:-frames, channel] = audio[frames:, channel]
    return shifted


def _interpolation_taps(samples: float) -> Float[np.ndarray, " taps"]:
    """What, added to a signal, makes it earlier by a part of a sample (at most one half)."""
    index = np.arange(-_SINC_REACH, _SINC_REACH + 1)
    taps = np.sinc(index + samples) * np.kaiser(len(index), _SINC_BETA)
    return taps / taps.sum() - (index == 0)
