"""Removal of steady tones from a stream: notches as narrow as the tones are steady, without delay or ringing.

Each tone's amplitude and phase are measured at its exact frequency in Hann windows and averaged over several seconds
around every moment; the tone that they describe is subtracted. That is a linear-phase notch whose width is the inverse
of the averaging time. At both ends of a track the average is one-sided, so a tone is removed from the first sample on.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from nmjax.audio.streams import AudioChunks, rechunk

_HOP_SECONDS = 0.125  # from one measurement to the next; a window has two of them
_WIDTH_SECONDS = 2.58  # −3 dB width of a notch in Hz, times the length of its Hann-weighted average in seconds


def subtract_tones(
    chunks: AudioChunks, sample_rate: int, freq_hz: Float[np.ndarray, " tones"], bandwidth_hz: float
) -> Iterator[np.ndarray]:
    """The stream without steady tones, in float32 chunks of an eighth of a second.

    Args:
        chunks: `[frames, channel]`.
        sample_rate: Hz.
        freq_hz: exact frequencies.
        bandwidth_hz: −3 dB width of each notch. 2.6 / bandwidth_hz seconds are held in memory.
    """
    hop = round(_HOP_SECONDS * sample_rate)
    reach = max(1, round(_WIDTH_SECONDS / bandwidth_hz / _HOP_SECONDS / 2.0) - 1)
    oscillators = _Oscillators(2.0 * np.pi * freq_hz / sample_rate, hop)
    earlier: _Measurement | None = None
    for number, later in enumerate(_average(_measure(rechunk(chunks, hop), oscillators), reach)):
        if earlier is not None:
            tones = oscillators.play(number - 1, earlier.amplitude, later.amplitude)
            yield (earlier.block - tones[: len(earlier.block)]).astype(np.float32)
        earlier = later


class _Measurement(NamedTuple):
    """Sums over the Hann window around the start of a block; an amplitude is their ratio.

    Attributes:
        block: `[frames, channel]`; empty after the end of the stream.
        weighted: the signal times window and oscillators.
        weight: sum of the window; 0 for one that is incomplete.
    """

    block: np.ndarray
    weighted: Complex[np.ndarray, "tones channel"]
    weight: float

    @property
    def amplitude(self) -> Complex[np.ndarray, "tones channel"]:
        """Of each tone, so that the tone is Re(amplitude · oscillator)."""
        return 2.0 * self.weighted / max(self.weight, 1.0)


class _Oscillators:
    """exp(i · omega · n), block by block, and the rising half of a Hann window.

    Args:
        omega: radians per sample.
        hop: frames of a block.
    """

    def __init__(self, omega: Float[np.ndarray, " tones"], hop: int):
        phase = np.arange(hop)[:, None] * omega
        self.rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(hop)[:, None] + 0.5) / hop)
        self._omega, self._hop = omega, hop
        self._table = np.concatenate([np.cos(phase), np.sin(phase)], axis=1)  # real products take a quarter of the time

    def correlate(self, number: int, block: np.ndarray) -> Complex[np.ndarray, "2 tones channel"]:
        """Sum of a block times the conjugate oscillators, and the same of its rising half."""
        channels = block.shape[1]
        both = np.concatenate([block, block * self.rise[: len(block)]], axis=1)
        cosines, sines = np.split(self._table[: len(block)].T @ both, 2)
        sums = np.conj(self._turn(number)) * (cosines - 1j * sines)
        return np.stack([sums[:, :channels], sums[:, channels:]])

    def play(self, number: int, start: np.ndarray, end: np.ndarray) -> Float[np.ndarray, "hop channel"]:
        """Tones whose amplitudes `[tones, channel]` change from `start` to `end` within a block."""
        turned = self._turn(number) * np.concatenate([start, end - start], axis=1)
        held, change = np.split(self._table @ np.concatenate([np.real(turned), -np.imag(turned)]), 2, axis=1)
        return held + self.rise * change

    def _turn(self, number: int) -> Complex[np.ndarray, "tones 1"]:
        return np.exp(1j * self._omega * (number * self._hop))[:, None]


def _measure(blocks: Iterable[np.ndarray], oscillators: _Oscillators) -> Iterator[_Measurement]:
    """A measurement around the start of each block, and one around the end of the last; incomplete windows count
    nothing, since the cut leaks from one tone into another."""
    before: np.ndarray | None = None
    last = np.zeros((0, 1), np.float32)
    for number, block in enumerate(blocks):
        is_complete = len(block) == len(oscillators.rise)
        both_halves, rising = oscillators.correlate(number, block)
        if before is not None and is_complete:
            yield _Measurement(block, before + both_halves - rising, float(len(block)))
        else:
            yield _Measurement(block, np.zeros_like(rising), 0.0)
        before, last = rising, block[:0]
    if before is not None:
        yield _Measurement(last, np.zeros_like(before), 0.0)


def _average(measurements: Iterator[_Measurement], reach: int) -> Iterator[_Measurement]:
    """Each measurement averaged with up to `reach` before and after it, weighted by a Hann window."""
    window = 0.5 + 0.5 * np.cos(np.pi * np.arange(-reach, reach + 1) / (reach + 1))
    around: collections.deque[_Measurement | None] = collections.deque([None] * len(window), len(window))
    for number, measurement in enumerate(measurements):
        around.append(measurement)
        if number >= reach:
            yield _weighted_mean(around, window)
    for _ in range(reach):
        around.append(None)
        if around[reach] is not None:
            yield _weighted_mean(around, window)


def _weighted_mean(around: Iterable[_Measurement | None], window: Float[np.ndarray, " window"]) -> _Measurement:
    """The measurement in the middle with the sums of all."""
    existing = [(share, x) for share, x in zip(window, around, strict=True) if x is not None]
    middle = list(around)[len(window) // 2]
    assert middle is not None
    return _Measurement(
        block=middle.block,
        weighted=np.asarray(sum(share * x.weighted for share, x in existing)),
        weight=sum(share * x.weight for share, x in existing),
    )
