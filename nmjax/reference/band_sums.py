"""Sums of a power spectrum over adjoining bands, without a matrix product."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


class BandSums:
    """Sums a spectrum over bands, each of which begins where the one before it ends.

    The same as the product with `nmjax.dsp.filterbanks.band_filterbank`: a bin counts for the fraction of it that is in
    the band. A dense product would take nine tenths of an analysis, and sparse matrices need SciPy, whose import takes
    a quarter of a second.

    Args:
        edges_hz: ends of the bands, rising; from one bin above 0 Hz to one bin below half the sample rate.
        fft_size: samples of the transform.
        sample_rate: Hz.

    Raises:
        ValueError: edges beyond that range, or not rising.
    """

    def __init__(self, edges_hz: Float[np.ndarray, " edges"], fft_size: int, sample_rate: float):
        place = np.asarray(edges_hz) * fft_size / sample_rate + 0.5  # bin k reaches from k to k + 1
        if place[0] < 1.0 or place[-1] > fft_size // 2 or np.any(np.diff(place) <= 0.0):
            raise ValueError("edges_hz must rise, from one bin above 0 Hz to one bin below half the sample rate.")
        self._bins = place.astype(int)
        self._share_below = place - self._bins  # of the bin that holds the edge
        self._is_within_bin = self._bins[1:] == self._bins[:-1]

    def __call__(self, power: Float[np.ndarray, "*signals bins"]) -> Float[np.ndarray, "*signals bands"]:
        """The sums in float64 of power spectra of `fft_size // 2 + 1` bins each."""
        whole_bins = np.add.reduceat(power, self._bins, axis=-1, dtype=np.float64)[..., :-1]
        whole_bins[..., self._is_within_bin] = 0.0  # there, reduceat returns the bin itself
        below = power[..., self._bins] * self._share_below
        return whole_bins - below[..., :-1] + below[..., 1:]
