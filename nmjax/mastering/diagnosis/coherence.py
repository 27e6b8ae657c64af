"""How far each frequency keeps its phase over half a minute, finer than the bins of a spectrum.

The phases of a bin over successive windows are a signal of their own; its spectrum over blocks of 16 windows shows a
steady sine as one line, 12 dB above what arbitrary phases give (coherent integration, as in "Detection of signals in
noise", Whalen 1971). All windows count alike: loud ones do not outweigh quiet passages, which show a hum.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Complex, Float

BLOCK_WINDOWS = 16  # about 24 s: the frequency of a power line drifts by less than a line's width
_STEPS = 128  # of frequency within two bins, the span that a hop of half a window tells apart


@dataclasses.dataclass(frozen=True, eq=False)
class Coherence:
    """Power of the summed phases of each bin, relative to that of arbitrary phases.

    Attributes:
        bin_hz: spacing of the bins.
        ratio: by bin and step of frequency; the mean of noise is 1, a steady sine has 16.
    """

    bin_hz: float
    ratio: Float[np.ndarray, "bins steps"]

    def at(self, freq_hz: Float[np.ndarray, " *shape"]) -> Float[np.ndarray, " *shape"]:
        """The ratio at frequencies below the highest bin."""
        bins = freq_hz / self.bin_hz
        return self.ratio[np.round(bins).astype(int), np.round(0.5 * _STEPS * bins).astype(int) % _STEPS]


class CoherenceScan:
    """Collects a `Coherence`; memory does not grow with the signal.

    Args:
        bin_hz: spacing of the bins of the windows' spectra.
        max_hz: frequencies above are left out.
    """

    def __init__(self, bin_hz: float, max_hz: float):
        self._bin_hz, self._num_bins = bin_hz, int(max_hz / bin_hz) + 2
        self._power = np.zeros((self._num_bins, _STEPS))
        self._block: list[np.ndarray] = []
        self._num_windows = 0

    def add(self, bins: Complex[np.ndarray, " all_bins"]) -> None:
        """Add the spectrum of a window that begins half a window after the last one."""
        bins = bins[: self._num_bins]
        self._block.append(bins / (np.abs(bins) + np.float32(1e-15)))
        if len(self._block) == BLOCK_WINDOWS:
            self._power += self._block_power()
            self._num_windows, self._block = self._num_windows + len(self._block), []

    def result(self) -> Coherence:
        """The coherence of the windows so far."""
        power, count = self._power, self._num_windows + len(self._block)
        if self._block:
            power = power + self._block_power()
        return Coherence(self._bin_hz, power / max(1, count))

    def _block_power(self) -> Float[np.ndarray, "bins steps"]:
        lines = np.fft.fft(np.stack(self._block, axis=1), _STEPS, axis=1)
        return np.square(np.real(lines)) + np.square(np.imag(lines))
