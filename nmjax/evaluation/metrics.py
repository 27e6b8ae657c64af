"""Distances between an output and the original, in NumPy (float64).

These are an independent check: they share no code with the losses of training or the features of reference matching,
although some measure the same (loudness range, crest factor, width). Spectra are compared up to 16 kHz, because the
music is lossy. All metrics are errors, 0 for the original itself, except `si_sdr_input_db`, which measures how much a
system changes its input. `si_error`, 10^(−SI-SDR/20), is the amplitude of all that is not the scaled original,
relative to it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from functools import partial

import numpy as np
from jaxtyping import Float
from pyloudnorm import Meter
from scipy.signal import sosfilt

from nmjax.audio.k_weighting import k_weighting_sos
from nmjax.dsp.filterbanks import BARK_EDGES_HZ, THIRD_OCTAVES_HZ, band_filterbank, mel_filterbank

Audio = Float[np.ndarray, "time channel"]
MAX_HZ = 16_000.0
_STFT_WINDOWS = (512, 2048, 8192)
_BAND_WINDOW = 16_384
_MEL_WINDOW, _MELS = 65_536, 128
_CENTROID_WINDOW = 2048
_FLOOR = 1e-5  # magnitude, relative to a full-scale sine
_RANGE_DB = 80.0  # levels are clipped this far below the loudest band: inaudible, and removed by codecs
# Name → unit, in the order of the table.
METRICS = {
    "mr_stft": "",
    "mel_db": "dB",
    "centroid_hz": "Hz",
    "tonal_mid_db": "dB",
    "tonal_side_db": "dB",
    "bark_mid_db": "dB",
    "bark_side_db": "dB",
    "crest_db": "dB",
    "width_db": "dB",
    "loudness_range_lu": "LU",
    "si_error": "",
    "si_sdr_input_db": "dB",
}


class Memo(dict):
    """Intermediate results of one target, shared by the comparisons with several outputs."""

    def get_or_compute(self, key: Hashable, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The stored value, computed on first use."""
        if key not in self:
            self[key] = compute()
        return self[key]


def compute_metrics(
    output: Audio, target: Audio, source: Audio, sample_rate: int, whole_song: bool, memo: Memo | None = None
) -> dict[str, float]:
    """All metrics of an output; NaN where one is undefined (the side of mono, the loudness range of an excerpt).

    Args:
        output: the system's output.
        target: the original.
        source: the system's input. All three have the same loudness.
        sample_rate: Hz.
        whole_song: whether the signals are whole songs; only these have a loudness range (EBU Tech 3342).
        memo: results for this target from earlier calls.
    """
    memo = Memo() if memo is None else memo
    result = {name: float("nan") for name in METRICS}
    result["mr_stft"] = mr_stft(output, target, sample_rate, memo)
    result["mel_db"] = mel_distance_db(output, target, sample_rate, memo)
    result["centroid_hz"] = abs(centroid_hz(output, sample_rate) - centroid_hz(target, sample_rate))
    mid_sides = [mid_side(x) for x in (output, target)]
    for index, name in enumerate(("mid", "side")[: target.shape[1]]):
        thirds, bark = (
            [
                band_levels_db(mid_sides[0][index], kind, sample_rate),
                memo.get_or_compute((kind, name), partial(band_levels_db, mid_sides[1][index], kind, sample_rate)),
            ]
            for kind in ("thirds", "bark")
        )
        result[f"tonal_{name}_db"] = float(np.std(thirds[0] - thirds[1]))
        result[f"bark_{name}_db"] = float(np.sqrt(np.mean((bark[0] - bark[1]) ** 2)))
    result["crest_db"] = abs(crest_db(output) - crest_db(target))
    if target.shape[1] == 2:
        result["width_db"] = abs(width_db(output) - width_db(target))
    if whole_song:
        ranges = [loudness_range_lu(x, sample_rate) for x in (output, target)]
        result["loudness_range_lu"] = abs(ranges[0] - ranges[1])
    result["si_error"] = scale_invariant_error(output, target)
    result["si_sdr_input_db"] = si_sdr_db(output, source)
    return result


def lufs(audio: Audio, sample_rate: int) -> float:
    """Integrated loudness (BS.1770-4, by pyloudnorm) of at least 0.4 s; −inf for silence."""
    with np.errstate(divide="ignore"):
        return float(Meter(sample_rate, filter_class="DeMan").integrated_loudness(audio))


def normalize_loudness(audio: Audio, target_lufs: float, sample_rate: int) -> Audio:
    """Apply the gain that gives a signal the target loudness; silence, or a target of −inf, leaves it unchanged."""
    gain_db = target_lufs - lufs(audio, sample_rate)
    return audio * 10.0 ** (gain_db / 20.0) if np.isfinite(gain_db) else audio


def magnitude_stft(signal: Float[np.ndarray, " time"], window: int) -> Float[np.ndarray, "frames bins"]:
    """STFT magnitudes with a Hann window and a hop of a quarter window; the last frame is zero-padded."""
    hop = window // 4
    num_frames = max(1, -(-(len(signal) - window) // hop) + 1)
    padded = np.pad(signal, (0, (num_frames - 1) * hop + window - len(signal)))
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(window) / window)
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    return np.abs(np.fft.rfft(windows * hann, axis=1))


def mr_stft(output: Audio, target: Audio, sample_rate: int, memo: Memo | None = None) -> float:
    """Multi-resolution STFT distance (Yamamoto, Song and Kim 2020).

    Spectral convergence plus mean absolute difference of the log magnitudes (neper), averaged over the channels and
    over windows of 512, 2048 and 8192 samples.
    """
    distances, memo = [], Memo() if memo is None else memo

    def magnitudes(audio: Audio, channel: int, window: int) -> np.ndarray:
        in_band = np.fft.rfftfreq(window, 1.0 / sample_rate) <= MAX_HZ
        return np.maximum(magnitude_stft(audio[:, channel], window)[:, in_band], _FLOOR * window / 4)

    for window in _STFT_WINDOWS:
        for channel in range(target.shape[1]):
            y = magnitudes(output, channel, window)
            t = memo.get_or_compute(("stft", window, channel), partial(magnitudes, target, channel, window))
            distances.append(np.linalg.norm(y - t) / np.linalg.norm(t) + np.mean(np.abs(np.log(y / t))))
    return float(np.mean(distances))


@functools.cache
def _cached_mel_filterbank(sample_rate: int) -> np.ndarray:
    return mel_filterbank(_MELS, _MEL_WINDOW, sample_rate, 20.0, min(MAX_HZ, sample_rate / 2))


def mel_distance_db(output: Audio, target: Audio, sample_rate: int, memo: Memo | None = None) -> float:
    """Mean absolute difference of the levels in 128 mel bands, of the mean of the channels, window 65,536."""

    def levels_db(audio: Audio) -> np.ndarray:
        power = magnitude_stft(audio.mean(axis=1), _MEL_WINDOW) ** 2 @ _cached_mel_filterbank(sample_rate)
        return 10.0 * np.log10(power + (_FLOOR * _MEL_WINDOW / 4) ** 2)

    y, t = levels_db(output), (Memo() if memo is None else memo).get_or_compute("mel", lambda: levels_db(target))
    return float(np.mean(np.abs(y - t)))


def centroid_hz(audio: Audio, sample_rate: int) -> float:
    """Spectral centroid of the time-averaged magnitudes of the mean of the channels."""
    mean = magnitude_stft(audio.mean(axis=1), _CENTROID_WINDOW).mean(axis=0)
    freq_hz = np.fft.rfftfreq(_CENTROID_WINDOW, 1.0 / sample_rate)
    mean = np.where(freq_hz <= MAX_HZ, mean, 0.0)
    return float(np.sum(freq_hz * mean) / max(np.sum(mean), 1e-12))


def mid_side(audio: Audio) -> list[np.ndarray]:
    """[mid, side] of stereo, [signal] of mono."""
    return [audio[:, 0]] if audio.shape[1] == 1 else [audio.mean(axis=1), (audio[:, 0] - audio[:, 1]) / 2.0]


def band_edges_hz(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper edges up to 16 kHz of the `bark` bands (24 critical bands) or `thirds` (third octaves of IEC
    61260 from 25 Hz)."""
    if kind == "bark":
        return np.array(BARK_EDGES_HZ[:-1]), np.array(BARK_EDGES_HZ[1:])
    centers = np.array(THIRD_OCTAVES_HZ)
    centers = centers[(centers > 22.0) & (centers * 10.0**0.05 < MAX_HZ)]
    return centers * 10.0**-0.05, centers * 10.0**0.05


@functools.cache
def _cached_band_filterbank(kind: str, sample_rate: int) -> np.ndarray:
    return band_filterbank(*band_edges_hz(kind), _BAND_WINDOW, sample_rate)


def band_levels_db(signal: Float[np.ndarray, " time"], kind: str, sample_rate: int) -> Float[np.ndarray, " bands"]:
    """Long-term levels in `thirds` or `bark` bands, clipped 80 dB below the loudest band."""
    power = np.mean(magnitude_stft(signal, _BAND_WINDOW) ** 2, axis=0) @ _cached_band_filterbank(kind, sample_rate)
    level_db = 10.0 * np.log10(np.maximum(power, 1e-12))
    return np.maximum(level_db, level_db.max() - _RANGE_DB)


def crest_db(audio: Audio) -> float:
    """Peak over RMS, over all channels."""
    rms = np.sqrt(np.mean(audio**2))
    return float(20.0 * np.log10(np.abs(audio).max() / rms)) if rms > 0 else 0.0


def width_db(audio: Audio) -> float:
    """Power of the side over that of mid, at least −60 dB."""
    mid, side = (np.mean(x**2) for x in mid_side(audio))
    return float(10.0 * np.log10(max(side, 1e-6 * mid, 1e-12) / max(mid, 1e-12)))


def loudness_range_lu(audio: Audio, sample_rate: int) -> float:
    """Loudness range (EBU Tech 3342): 10th to 95th percentile of the short-term loudness, gated at −70 LUFS and −20 LU
    relative to its mean."""
    weighted = np.asarray(sosfilt(k_weighting_sos(sample_rate), audio, axis=0))
    total = np.concatenate([[0.0], np.cumsum(np.sum(weighted**2, axis=1))])
    starts = np.arange(0, len(audio) - 3 * sample_rate + 1, sample_rate // 10)
    power = (total[starts + 3 * sample_rate] - total[starts]) / (3 * sample_rate)
    power = power[power > 10.0 ** ((-70.0 + 0.691) / 10.0)]
    if not len(power):
        return 0.0
    power = power[power > 0.01 * np.mean(power)]
    low, high = np.percentile(10.0 * np.log10(power), [10, 95])
    return float(high - low)


def scale_invariant_error(output: Audio, target: Audio) -> float:
    """Amplitude of what differs from the scaled target, relative to it: 10^(−SI-SDR/20), 0 for the target itself."""
    projection, rest = _project(output, target)
    return float(np.linalg.norm(rest) / max(np.linalg.norm(projection), 1e-12))


def si_sdr_db(output: Audio, reference: Audio) -> float:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019), at most 100 dB."""
    projection, rest = _project(output, reference)
    signal = projection @ projection
    distortion = max(np.sum(rest**2), 1e-10 * signal, 1e-22)
    return float(10.0 * np.log10(max(signal, 1e-12) / distortion))


def _project(output: Audio, reference: Audio) -> tuple[Float[np.ndarray, " samples"], Float[np.ndarray, " samples"]]:
    """The part of the output that is the scaled reference, and the rest."""
    y, x = output.ravel(), reference.ravel()
    projection = (y @ x) / max(x @ x, 1e-12) * x
    return projection, y - projection
