"""Linear-phase filters over streams, without delay: in float64, and the same for any chunks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from nmjax.audio.streams import AudioChunks, pad_end, rechunk

_ATTENUATION_DB = 80.0  # of the stop band; the ripple of the pass band is 0.001 dB
_KAISER_BETA = 0.1102 * (_ATTENUATION_DB - 8.7)
_MIN_FFT = 1 << 15


def low_pass_taps(cutoff_hz: float, transition_hz: float, sample_rate: int) -> Float[np.ndarray, " taps"]:
    """A linear-phase low-pass (Kaiser window, 80 dB), an odd number of taps that sum to 1.

    Args:
        cutoff_hz: where the response is one half.
        transition_hz: width of the transition around the cutoff.
        sample_rate: Hz.
    """
    width = 2.0 * math.pi * transition_hz / sample_rate
    reach = math.ceil((_ATTENUATION_DB - 8.0) / (2.285 * width) / 2.0)
    taps = np.sinc(2.0 * cutoff_hz / sample_rate * np.arange(-reach, reach + 1)) * np.kaiser(
        2 * reach + 1, _KAISER_BETA
    )
    return taps / taps.sum()


def zero_phase_taps(
    response: Callable[[np.ndarray], np.ndarray], seconds: float, sample_rate: int
) -> Float[np.ndarray, " taps"]:
    """An odd number of taps with a real response, a smooth function of the frequency in Hz; `seconds` long at most."""
    reach = int(seconds * sample_rate / 2.0)
    size = 1 << math.ceil(math.log2(4 * reach))
    impulse = np.fft.irfft(response(np.arange(size // 2 + 1) * sample_rate / size), size)
    return np.roll(impulse, reach)[: 2 * reach + 1] * np.hanning(2 * reach + 3)[1:-1]


def add_filtered(
    chunks: AudioChunks, taps: Float[np.ndarray, " taps"], matrix: Float[np.ndarray, "channel channel"]
) -> Iterator[np.ndarray]:
    """The signal x plus taps ∗ (x · matrix), with the middle tap at time zero.

    A channel whose column of the matrix is zero is bit-identical. Beyond both ends the signal counts as silent.

    Args:
        chunks: x, `[frames, channel]` float32.
        taps: an odd number.
        matrix: from the channels of x to those that are filtered and added.
    """
    reach = len(taps) // 2
    size = max(_MIN_FFT, 1 << math.ceil(math.log2(4 * len(taps))))  # of the FFT; overlap-save
    response = np.fft.rfft(taps, size)[:, None]
    before = np.zeros((2 * reach, len(matrix)))
    skip = reach
    for chunk in rechunk(pad_end(chunks, reach), size - 2 * reach):
        block = np.concatenate([before, chunk])
        spectrum = np.fft.rfft(block @ matrix, size, axis=0)
        filtered = np.fft.irfft(spectrum * response, size, axis=0)
        output = (block[reach : reach + len(chunk)] + filtered[2 * reach : 2 * reach + len(chunk)]).astype(np.float32)
        before = block[len(chunk) :]
        if skip < len(output):
            yield output[skip:]
        skip = max(0, skip - len(output))
