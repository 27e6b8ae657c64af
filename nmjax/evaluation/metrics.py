"""How far an output is from the original: plain NumPy in float64, apart from the losses of training.

The music is lossy, so nothing above 16 kHz counts in spectra. All metrics are errors, 0 for the original itself, but
for `si_sdr_input_db`, which says how much a system did at all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
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
_FLOOR = 1e-5  # of a full-scale sine
_RANGE_DB = 80.0  # bands further below the loudest are held there: nobody hears them, and codecs empty them
# What is printed, in this order: name → unit.
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
    "si_sdr_input_db": "dB",
}


class Memo(dict):
    """What was worked out of an original, so that each of several systems is compared with it at half the cost."""

    def get_or_compute(self, key, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """What is kept under a key; worked out the first time."""
        if key not in self:
            self[key] = compute()
        return self[key]


def compute_metrics(
    output: Audio, target: Audio, source: Audio, sample_rate: int, whole_song: bool, memo: Memo | None = None
) -> dict[str, float]:
    """Every metric of an output, all three signals at one loudness; NaN where one means nothing (the side of mono, the
    loudness range of an excerpt).

    whole: whether they are whole songs, which alone have a loudness range (EBU Tech 3342). kept: of this target, from
    one output to the next.
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
    result["si_sdr_input_db"] = si_sdr_db(output, source)
    return result


def lufs(audio: Audio, sample_rate: int) -> float:
    """Integrated loudness after BS.1770-4, by pyloudnorm; −inf for silence. At least 0.4 s."""
    with np.errstate(divide="ignore"):
        return float(Meter(sample_rate, filter_class="DeMan").integrated_loudness(audio))


def normalize_loudness(audio: Audio, target_lufs: float, sample_rate: int) -> Audio:
    """The signal with the gain that brings it to a loudness; as it is where it or the wanted one has none."""
    gain_db = target_lufs - lufs(audio, sample_rate)
    return audio * 10.0 ** (gain_db / 20.0) if np.isfinite(gain_db) else audio


def magnitude_stft(signal: Float[np.ndarray, " time"], window: int) -> Float[np.ndarray, "frames bins"]:
    """Magnitudes of Hann windows, a quarter apart; the last one padded."""
    hop = window // 4
    num_frames = max(1, -(-(len(signal) - window) // hop) + 1)
    padded = np.pad(signal, (0, (num_frames - 1) * hop + window - len(signal)))
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(window) / window)
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    return np.abs(np.fft.rfft(windows * hann, axis=1))


def mr_stft(output: Audio, target: Audio, sample_rate: int, memo: Memo | None = None) -> float:
    """Multi-resolution STFT distance (Yamamoto, Song and Kim 2020): spectral convergence and the mean difference of log
    magnitudes (neper), averaged over windows of 512, 2048 and 8192 and over the channels."""
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
    """Mean difference of the levels in 128 mel bands, of windows of 65,536 samples and the mean of the channels."""

    def levels_db(audio: Audio) -> np.ndarray:
        power = magnitude_stft(audio.mean(axis=1), _MEL_WINDOW) ** 2 @ _cached_mel_filterbank(sample_rate)
        return 10.0 * np.log10(power + (_FLOOR * _MEL_WINDOW / 4) ** 2)

    y, t = levels_db(output), (Memo() if memo is None else memo).get_or_compute("mel", lambda: levels_db(target))
    return float(np.mean(np.abs(y - t)))


def centroid_hz(audio: Audio, sample_rate: int) -> float:
    """The spectral centroid of magnitudes, of the mean spectrum of the mean of the channels."""
    mean = magnitude_stft(audio.mean(axis=1), _CENTROID_WINDOW).mean(axis=0)
    freq_hz = np.fft.rfftfreq(_CENTROID_WINDOW, 1.0 / sample_rate)
    mean = np.where(freq_hz <= MAX_HZ, mean, 0.0)
    return float(np.sum(freq_hz * mean) / max(np.sum(mean), 1e-12))


def mid_side(audio: Audio) -> list[np.ndarray]:
    """Mid and side of stereo, the signal itself of mono."""
    return [audio[:, 0]] if audio.shape[1] == 1 else [audio.mean(axis=1), (audio[:, 0] - audio[:, 1]) / 2.0]


def band_edges_hz(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper edges of third octaves from 25 Hz on (IEC 61260), or of the 24 critical bands, up to 16 kHz."""
    if kind == "bark":
        return np.array(BARK_EDGES_HZ[:-1]), np.array(BARK_EDGES_HZ[1:])
    centers = np.array(THIRD_OCTAVES_HZ)
    centers = centers[(centers > 22.0) & (centers * 10.0**0.05 < MAX_HZ)]
    return centers * 10.0**-0.05, centers * 10.0**0.05


@functools.cache
def _cached_band_filterbank(kind: str, sample_rate: int) -> np.ndarray:
    return band_filterbank(*band_edges_hz(kind), _BAND_WINDOW, sample_rate)


def band_levels_db(signal: Float[np.ndarray, " time"], kind: str, sample_rate: int) -> Float[np.ndarray, " bands"]:
    """Levels of the long-term power in `thirds` or `bark` bands; held 80 dB below the loudest."""
    power = np.mean(magnitude_stft(signal, _BAND_WINDOW) ** 2, axis=0) @ _cached_band_filterbank(kind, sample_rate)
    level_db = 10.0 * np.log10(np.maximum(power, 1e-12))
    return np.maximum(level_db, level_db.max() - _RANGE_DB)


def crest_db(audio: Audio) -> float:
    """Peak over RMS of all channels."""
    rms = np.sqrt(np.mean(audio**2))
    return float(20.0 * np.log10(np.abs(audio).max() / rms)) if rms > 0 else 0.0


def width_db(audio: Audio) -> float:
    """Power of the side over that of mid; held at −60 dB."""
    mid, side = (np.mean(x**2) for x in mid_side(audio))
    return float(10.0 * np.log10(max(side, 1e-6 * mid, 1e-12) / max(mid, 1e-12)))


def loudness_range_lu(audio: Audio, sample_rate: int) -> float:
    """EBU Tech 3342: the 10th to the 95th percentile of short-term loudness every 0.1 s, gated 20 LU below its mean."""
    weighted = sosfilt(k_weighting_sos(sample_rate), audio, axis=0)
    total = np.concatenate([[0.0], np.cumsum(np.sum(weighted**2, axis=1))])
    starts = np.arange(0, len(audio) - 3 * sample_rate + 1, sample_rate // 10)
    power = (total[starts + 3 * sample_rate] - total[starts]) / (3 * sample_rate)
    power = power[power > 10.0 ** ((-70.0 + 0.691) / 10.0)]
    if not len(power):
        return 0.0
    power = power[power > 0.01 * np.mean(power)]
    low, high = np.percentile(10.0 * np.log10(power), [10, 95])
    return float(high - low)


def si_sdr_db(output: Audio, source: Audio) -> float:
    """Scale-invariant signal-to-distortion ratio to the input (Le Roux and others 2019); held at 100 dB."""
    y, x = output.ravel(), source.ravel()
    projection = (y @ x) / max(x @ x, 1e-12) * x
    return float(
        10.0
        * np.log10(
            max(projection @ projection, 1e-12)
            / max(np.sum((y - projection) ** 2), 1e-10 * (projection @ projection), 1e-22)
        )
    )
