"""Critical-band, third-octave and mel filterbanks; spectra in dB from long-term average power.

A filterbank is a matrix over the bins of a spectrum, computed once in NumPy. A bin covers half a bin width on either
side of its frequency, so a band narrower than a bin gets a fraction of its power, and adjacent bands lose none.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from nmjax.dsp.numerics import safe_log
from nmjax.dsp.stft import mid_side, power_spectra
from nmjax.dsp.validation import check_audio, check_sample_rate, require
from nmjax.runtime.lazy_jax import Array, jnp

# Edges of the critical bands: E. Zwicker, "Subdivision of the audible frequency range into critical bands", JASA 33
# (1961).
_BARK_EDGES = "0 100 200 300 400 510 630 770 920 1080 1270 1480 1720 2000 2320 2700 3150 3700 4400 5300 6400 7700 9500"
BARK_EDGES_HZ = tuple(float(edge) for edge in [*_BARK_EDGES.split(), "12000", "15500"])
# Exact base-ten mid-band frequencies of IEC 61260-1, nominally 20 Hz to 20 kHz.
THIRD_OCTAVES_HZ = tuple(1000.0 * 10.0 ** (n / 10.0) for n in range(-17, 14))
_FLOOR_DB = -120.0  # relative to full scale; levels are clamped to it, with gradient 0 below


def band_filterbank(
    low_hz: np.ndarray, high_hz: np.ndarray, fft_size: int, sample_rate: float
) -> Float[np.ndarray, "bins bands"]:
    """The fraction (0 to 1) of each bin of a spectrum that is in each band from `low_hz` to `high_hz`.

    The part of a band above half the sample rate is empty.
    """
    bin_hz = sample_rate / fft_size
    centers_hz = np.arange(fft_size // 2 + 1)[:, None] * bin_hz
    bin_low_hz = np.maximum(centers_hz - bin_hz / 2, 0.0)
    bin_high_hz = np.minimum(centers_hz + bin_hz / 2, sample_rate / 2)
    overlap_hz = np.minimum(bin_high_hz, np.asarray(high_hz)[None]) - np.maximum(bin_low_hz, np.asarray(low_hz)[None])
    return np.maximum(overlap_hz, 0.0) / (bin_high_hz - bin_low_hz)


def _apply_filterbank_db(power: Array, filterbank: np.ndarray) -> Array:
    band_power = jnp.einsum("...f,fb->...b", power, jnp.asarray(filterbank, power.dtype), precision="highest")
    return safe_log(band_power, 10.0 ** (_FLOOR_DB / 10.0)) * (10.0 / math.log(10.0))


def bark_spectrum_db(
    audio: Float[Array, "batch time channel"], sample_rate: float, fft_size: int = 4096
) -> Float[Array, "batch signal 24"]:
    """Mean power in dB in Zwicker's 24 critical bands; mid and side spectra for stereo audio.

    0 dB is a mean square of 1, so a full-scale mono sine reads −3.01 dB. Clamped to at least −120 dB with gradient 0;
    bands above half the sample rate read −120 dB.

    Args:
        audio: mono, stereo (analyzed as mid and side), or more channels (analyzed as they are); any length above 0.
        sample_rate: Hz, above 0.
        fft_size: samples, a multiple of 4. 4096 samples at 44.1 kHz put 9 bins into the lowest band (100 Hz wide).

    Raises:
        ValueError: audio of another rank or type, a sample rate not above 0, an `fft_size` that is no multiple of 4.
    """
    low_hz, high_hz = np.array(BARK_EDGES_HZ[:-1]), np.array(BARK_EDGES_HZ[1:])
    return _band_levels_db(audio, low_hz, high_hz, sample_rate, fft_size)


def third_octave_spectrum_db(
    audio: Float[Array, "batch time channel"], sample_rate: float, fft_size: int = 16_384
) -> Float[Array, "batch signal 31"]:
    """Mean power in dB in the 31 third-octave bands of IEC 61260-1 from 20 Hz to 20 kHz (base ten, ideal bands).

    Arguments, scale and errors as in `bark_spectrum_db`.
    """
    centers_hz = np.array(THIRD_OCTAVES_HZ)
    return _band_levels_db(audio, centers_hz * 10.0**-0.05, centers_hz * 10.0**0.05, sample_rate, fft_size)


def _band_levels_db(audio: Array, low_hz: np.ndarray, high_hz: np.ndarray, sample_rate: float, fft_size: int) -> Array:
    check_audio(audio)
    check_sample_rate(sample_rate)
    power = power_spectra(mid_side(audio) if audio.shape[2] == 2 else audio, fft_size)
    return _apply_filterbank_db(power, band_filterbank(low_hz, high_hz, fft_size, sample_rate))


def smooth_spectrum_db(
    power: Float[Array, "*lead bins"], freq_hz: np.ndarray, sample_rate: float, octaves: float = 1.0 / 3.0
) -> Float[Array, "*lead points"]:
    """A fractional-octave smoothed spectrum in dB at `freq_hz`.

    The mean power per bin from octaves/2 below to octaves/2 above each frequency, as in spectrum analyzers; clamped to
    at least −120 dB with gradient 0.

    Args:
        power: of each bin from 0 Hz to half the sample rate, as from `power_spectra`.
        freq_hz: frequencies above 0 and not above half the sample rate.
        sample_rate: Hz, above 0.
        octaves: smoothing width, above 0; 1/3 for third-octave smoothing.

    Raises:
        ValueError: a frequency, the sample rate or the width out of its range.
    """
    check_sample_rate(sample_rate)
    freq_hz = np.asarray(freq_hz, np.float64)
    is_valid = freq_hz.ndim == 1 and freq_hz.size > 0 and bool(np.all((freq_hz > 0) & (freq_hz <= sample_rate / 2)))
    require(is_valid, "freq_hz", f"a grid of rank 1 above 0 and not above {sample_rate / 2:g} Hz", freq_hz)
    require(power.shape[-1] > 1, "power", "at least 2 bins", power.shape[-1])
    require(octaves > 0, "octaves", "above 0", octaves)
    half_width = 2.0 ** (octaves / 2.0)
    fft_size = 2 * (power.shape[-1] - 1)
    filterbank = band_filterbank(freq_hz / half_width, freq_hz * half_width, fft_size, sample_rate)
    return _apply_filterbank_db(power, filterbank / filterbank.sum(axis=0, keepdims=True))


def mel_filterbank(
    num_mels: int, fft_size: int, sample_rate: float, low_hz: float = 0.0, high_hz: float | None = None
) -> Float[np.ndarray, "bins mels"]:
    """Triangular mel filters of equal area on Slaney's scale, as "slaney" in librosa and torchaudio.

    The scale is linear below 1 kHz and logarithmic above (27 mel per factor of 6.4).

    Source: M. Slaney, "Auditory Toolbox", technical report 1998-010, Interval Research.

    Args:
        num_mels: number of filters, at least 1.
        fft_size: samples of the spectrum, even.
        sample_rate: Hz, above 0.
        low_hz: lower edge of the first filter.
        high_hz: upper edge of the last filter; half the sample rate if not given.

    Raises:
        ValueError: no filter, or frequencies that are not in order from 0 to half the sample rate.
    """
    check_sample_rate(sample_rate)
    high_hz = sample_rate / 2 if high_hz is None else high_hz
    require(num_mels >= 1, "num_mels", "at least 1", num_mels)
    is_ordered = 0.0 <= low_hz < high_hz <= sample_rate / 2
    require(is_ordered, "low_hz and high_hz", f"in order between 0 and {sample_rate / 2:g} Hz", [low_hz, high_hz])
    corners_hz = _mel_to_hz(np.linspace(_hz_to_mel(low_hz), _hz_to_mel(high_hz), num_mels + 2))[None]
    freq_hz = np.arange(fft_size // 2 + 1)[:, None] * (sample_rate / fft_size)
    rising = (freq_hz - corners_hz[:, :-2]) / (corners_hz[:, 1:-1] - corners_hz[:, :-2])
    falling = (corners_hz[:, 2:] - freq_hz) / (corners_hz[:, 2:] - corners_hz[:, 1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (corners_hz[:, 2:] - corners_hz[:, :-2])


_HZ_PER_MEL, _BREAK_HZ, _LOG_STEP_PER_MEL = 200.0 / 3.0, 1000.0, math.log(6.4) / 27.0


def _hz_to_mel(freq_hz: float) -> float:
    if freq_hz < _BREAK_HZ:
        return freq_hz / _HZ_PER_MEL
    return _BREAK_HZ / _HZ_PER_MEL + math.log(freq_hz / _BREAK_HZ) / _LOG_STEP_PER_MEL


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    mel_above_break = mel - _BREAK_HZ / _HZ_PER_MEL
    return np.where(
        mel_above_break < 0.0,
        mel * _HZ_PER_MEL,
        _BREAK_HZ * np.exp(np.maximum(mel_above_break, 0.0) * _LOG_STEP_PER_MEL),
    )
