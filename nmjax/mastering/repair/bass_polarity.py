"""Repair of a bass whose polarity is inverted in one channel.

A crossover with low-pass 1 / (1 + u), u = (f / crossover)^n, whose low band is inverted, has the response
h = (u − 1) / (u + 1): it inverts the bass and cancels at the crossover (Linkwitz-Riley of fourth order: n = 4; a
Butterworth filter of fourth order, forward and backward: n = 8). The repair divides by h, bounded where h is small, and
fills what was canceled there from the other channel:

    right = g · right + fill · (1 − g · h) · left,    g = h / (h² + bound²)
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float

from nmjax.audio.streams import AudioChunks
from nmjax.mastering.diagnosis.spectrum import LongTermSpectrum
from nmjax.mastering.repair.base import SIDES, CrossoverHz, Diagnosis, Proposal, Side, StereoRepair
from nmjax.mastering.repair.linear_phase import add_filtered, zero_phase_taps
from nmjax.mastering.settings.ranges import Range

_BOUND = 0.2  # of h: the gain is at most 2.5 (8 dB)
_SECONDS = 1.0  # length of the filters
_DB_PER_ORDER = 20.0 * math.log10(2.0)  # slope in dB per octave over n
_CERTAIN_BASS_CORRELATION, _CERTAIN_UPPER_CORRELATION = -0.4, 0.1
_SEARCH_HZ = (40.0, 400.0)
_MIN_CERTAIN_HZ = 50.0  # further down, near the end of the search, the fit has not found the crossover
_MAX_CERTAIN_HZ = 350.0  # further up, more than the bass is out of phase
_FIT_OCTAVES = 1.0  # on either side of the crossover
_ORDERS = np.arange(2.0, 24.25, 0.25)


class BassPolarityRepair(StereoRepair):
    """Inverts the bass of a channel again.

    Attributes:
        invert: the channel.
        crossover_hz: below it, the channel is inverted.
        slope_db: of the crossover that inverted it, dB per octave.
        fill: amplitude of the bass in this channel relative to the other one; 0 leaves the canceled frequencies out.
    """

    label: ClassVar[str] = "the polarity of the bass"
    repaired_findings: ClassVar[tuple[str, ...]] = ("bass_polarity",)
    solved_findings: ClassVar[tuple[str, ...]] = ("mono_loss",)
    invert: Side = "right"
    crossover_hz: CrossoverHz = 120.0
    slope_db: Annotated[float, Range(6.0, 150.0, "dB")] = 24.0
    fill: Annotated[float, Range(0.0, 2.0)] = 0.0

    @classmethod
    def propose(cls, diagnosis: Diagnosis) -> Proposal | None:
        """Inversion of the right channel's bass; certain where the music above it is in phase."""
        stereo = diagnosis.statistics.stereo
        if "bass_polarity" not in diagnosis.findings or stereo is None:
            return None
        bass, _, middle, *_ = stereo.band_correlation
        repair = _fit(diagnosis.statistics.spectrum)
        is_certain = bass <= _CERTAIN_BASS_CORRELATION and middle >= _CERTAIN_UPPER_CORRELATION
        return Proposal(repair, is_certain and _MIN_CERTAIN_HZ <= repair.crossover_hz <= _MAX_CERTAIN_HZ)

    def apply(self, chunks: AudioChunks, sample_rate: int, channels: int) -> AudioChunks:
        """The stream with the bass of the channel inverted."""
        if channels != 2:
            return chunks
        channel, order = SIDES.index(self.invert), self.slope_db / _DB_PER_ORDER

        def gain(freq_hz: np.ndarray) -> np.ndarray:
            response = _response(freq_hz, self.crossover_hz, order)
            return response / (response**2 + _BOUND**2) * (1.0 + _BOUND**2)  # 1 far from the crossover

        def missing(freq_hz: np.ndarray) -> np.ndarray:
            return self.fill * (1.0 - gain(freq_hz) * _response(freq_hz, self.crossover_hz, order))

        own, other = np.zeros((2, 2, 2))
        own[channel, channel] = other[1 - channel, channel] = 1.0
        corrected = zero_phase_taps(lambda freq_hz: gain(freq_hz) - 1.0, _SECONDS, sample_rate)
        chunks = add_filtered(chunks, corrected, own)
        return add_filtered(chunks, zero_phase_taps(missing, _SECONDS, sample_rate), other) if self.fill else chunks

    @property
    def sentence(self) -> str:
        """The channel and the crossover."""
        return f"The polarity of the {self.invert} channel was inverted below {self.crossover_hz:.0f} Hz."


def _response(freq_hz: Float[np.ndarray, " n"], crossover_hz: float, order: float) -> Float[np.ndarray, " n"]:
    """h, from −1 below the crossover to 1 above it."""
    return np.tanh(0.5 * order * np.log(np.maximum(freq_hz, 1e-3) / crossover_hz))


def _fit(spectrum: LongTermSpectrum) -> BassPolarityRepair:
    """The crossover that explains where the channels are out of phase, and how the level of the right one falls there.

    The crossover is where the running sum of their correlation is lowest. The slope minimizes the deviation of the
    ratio of both levels from |h| times a constant.
    """
    band = spectrum.bins(20.0, _SEARCH_HZ[1])
    left, right, cross = spectrum.left[band], spectrum.right[band], np.real(spectrum.cross[band])
    lowest = int(np.argmin(np.cumsum(cross / np.sqrt(left * right + 1e-30))))
    crossover_hz = float(np.clip(spectrum.freq_hz[band][lowest] + 0.5 * spectrum.bin_hz, *_SEARCH_HZ))
    octaves = np.log2(spectrum.freq_hz[band] / crossover_hz)
    ratio = 0.5 * np.log((right + 1e-15) / (left + 1e-15))
    near = np.abs(octaves) <= _FIT_OCTAVES
    weights = np.sqrt(left * right)[near] + 1e-15
    deviations = []
    for order in _ORDERS:
        expected = np.abs(_response(spectrum.freq_hz[band][near], crossover_hz, order))
        difference = ratio[near] - np.log(np.maximum(expected, 0.03))
        mean = np.average(difference, weights=weights)
        deviations.append(np.average(np.square(difference - mean), weights=weights))
    order = float(_ORDERS[int(np.argmin(deviations))])
    response = _response(spectrum.freq_hz[band], crossover_hz, order)
    is_bass = response < -0.5
    fill = -float(cross[is_bass].sum()) / float((left[is_bass] * np.abs(response[is_bass])).sum() + 1e-15)
    return BassPolarityRepair(
        crossover_hz=round(crossover_hz, 2),
        slope_db=round(order * _DB_PER_ORDER, 1),
        fill=round(float(np.clip(fill, 0.0, 2.0)), 3),
    )
