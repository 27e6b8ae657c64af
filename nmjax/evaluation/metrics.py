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

from nmjax.dsp.auditory import BARK_EDGES_HZ, THIRD_OCTAVES_HZ, band_shares, mel_matrix
from nmjax.loudness import k_weighting

Audio = Float[np.ndarray, "time channel"]
HIGHEST_HZ = 16_000.0
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


class Kept(dict):
    """What was worked out of an original, so that each of several systems is compared with it at half the cost."""

    def get_or(self, key, work: Callable[[], np.ndarray]) -> np.ndarray:
        """What is kept under a key; worked out the first time."""
        if key not in self:
            self[key] = work()
        return self[key]


def compared(
    output: Audio, target: Audio, source: Audio, sample_rate: int, whole: bool, kept: Kept | None = None
) -> dict[str, float]:
    """Every metric of an output, all three signals at one loudness; NaN where one means nothing (the side of mono, the
    loudness range of an excerpt).

    whole: whether they are whole songs, which alone have a loudness range (EBU Tech 3342). kept: of this target, from
    one output to the next.
    """
    kept = Kept() if kept is None else kept
    found = {name: float("nan") for name in METRICS}
    found["mr_stft"] = mr_stft(output, target, sample_rate, kept)
    found["mel_db"] = mel_distance_db(output, target, sample_rate, kept)
    found["centroid_hz"] = abs(centroid_hz(output, sample_rate) - centroid_hz(target, sample_rate))
    parts = [mid_side(x) for x in (output, target)]
    for index, name in enumerate(("mid", "side")[: target.shape[1]]):
        thirds, bark = (
            [
                band_levels_db(parts[0][index], kind, sample_rate),
                kept.get_or((kind, name), partial(band_levels_db, parts[1][index], kind, sample_rate)),
            ]
            for kind in ("thirds", "bark")
        )
        found[f"tonal_{name}_db"] = float(np.std(thirds[0] - thirds[1]))
        found[f"bark_{name}_db"] = float(np.sqrt(np.mean((bark[0] - bark[1]) ** 2)))
    found["crest_db"] = abs(crest_db(output) - crest_db(target))
    if target.shape[1] == 2:
        found["width_db"] = abs(width_db(output) - width_db(target))
    if whole:
        ranges = [loudness_range_lu(x, sample_rate) for x in (output, target)]
        found["loudness_range_lu"] = abs(ranges[0] - ranges[1])
    found["si_sdr_input_db"] = si_sdr_db(output, source)
    return found


def lufs(audio: Audio, sample_rate: int) -> float:
    """Integrated loudness after BS.1770-4, by pyloudnorm; −inf for silence. At least 0.4 s."""
    with np.errstate(divide="ignore"):
        return float(Meter(sample_rate, filter_class="DeMan").integrated_loudness(audio))


def at_loudness(audio: Audio, wanted_lufs: float, sample_rate: int) -> Audio:
    """The signal with the gain that brings it to a loudness; as it is where it or the wanted one has none."""
    gain_db = wanted_lufs - lufs(audio, sample_rate)
    return audio * 10.0 ** (gain_db / 20.0) if np.isfinite(gain_db) else audio


def spectra(signal: Float[np.ndarray, "time"], window: int) -> Float[np.ndarray, "frames bins"]:
    """Magnitudes of Hann windows, a quarter apart; the last one padded."""
    hop = window // 4
    frames = max(1, -(-(len(signal) - window) // hop) + 1)
    padded = np.pad(signal, (0, (frames - 1) * hop + window - len(signal)))
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(window) / window)
    cut = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    return np.abs(np.fft.rfft(cut * hann, axis=1))


def mr_stft(output: Audio, target: Audio, sample_rate: int, kept: Kept | None = None) -> float:
    """Multi-resolution STFT distance (Yamamoto, Song and Kim 2020): spectral convergence and the mean difference of log
    magnitudes (neper), averaged over windows of 512, 2048 and 8192 and over the channels."""
    total, kept = [], Kept() if kept is None else kept

    def magnitudes(audio: Audio, channel: int, window: int) -> np.ndarray:
        heard = np.fft.rfftfreq(window, 1.0 / sample_rate) <= HIGHEST_HZ
        return np.maximum(spectra(audio[:, channel], window)[:, heard], _FLOOR * window / 4)

    for window in _STFT_WINDOWS:
        for channel in range(target.shape[1]):
            y = magnitudes(output, channel, window)
            t = kept.get_or(("stft", window, channel), partial(magnitudes, target, channel, window))
            total.append(np.linalg.norm(y - t) / np.linalg.norm(t) + np.mean(np.abs(np.log(y / t))))
    return float(np.mean(total))


@functools.cache
def _mels(sample_rate: int) -> np.ndarray:
    return mel_matrix(_MELS, _MEL_WINDOW, sample_rate, 20.0, min(HIGHEST_HZ, sample_rate / 2))


def mel_distance_db(output: Audio, target: Audio, sample_rate: int, kept: Kept | None = None) -> float:
    """Mean difference of the levels in 128 mel bands, of windows of 65,536 samples and the mean of the channels."""

    def levels_db(audio: Audio) -> np.ndarray:
        power = spectra(audio.mean(axis=1), _MEL_WINDOW) ** 2 @ _mels(sample_rate)
        return 10.0 * np.log10(power + (_FLOOR * _MEL_WINDOW / 4) ** 2)

    y, t = levels_db(output), (Kept() if kept is None else kept).get_or("mel", lambda: levels_db(target))
    return float(np.mean(np.abs(y - t)))


def centroid_hz(audio: Audio, sample_rate: int) -> float:
    """The spectral centroid of magnitudes, of the mean spectrum of the mean of the channels."""
    mean = spectra(audio.mean(axis=1), _CENTROID_WINDOW).mean(axis=0)
    freq_hz = np.fft.rfftfreq(_CENTROID_WINDOW, 1.0 / sample_rate)
    mean = np.where(freq_hz <= HIGHEST_HZ, mean, 0.0)
    return float(np.sum(freq_hz * mean) / max(np.sum(mean), 1e-12))


def mid_side(audio: Audio) -> list[np.ndarray]:
    """Mid and side of stereo, the signal itself of mono."""
    return [audio[:, 0]] if audio.shape[1] == 1 else [audio.mean(axis=1), (audio[:, 0] - audio[:, 1]) / 2.0]


def band_edges_hz(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper edges of third octaves from 25 Hz on (IEC 61260), or of the 24 critical bands, up to 16 kHz."""
    if kind == "bark":
        return np.array(BARK_EDGES_HZ[:-1]), np.array(BARK_EDGES_HZ[1:])
    centres = np.array(THIRD_OCTAVES_HZ)
    centres = centres[(centres > 22.0) & (centres * 10.0**0.05 < HIGHEST_HZ)]
    return centres * 10.0**-0.05, centres * 10.0**0.05


@functools.cache
def _bands(kind: str, sample_rate: int) -> np.ndarray:
    return band_shares(*band_edges_hz(kind), _BAND_WINDOW, sample_rate)


def band_levels_db(signal: Float[np.ndarray, "time"], kind: str, sample_rate: int) -> Float[np.ndarray, "bands"]:
    """Levels of the long-term power in `thirds` or `bark` bands; held 80 dB below the loudest."""
    power = np.mean(spectra(signal, _BAND_WINDOW) ** 2, axis=0) @ _bands(kind, sample_rate)
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
    weighted = sosfilt(k_weighting(sample_rate), audio, axis=0)
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
    part = (y @ x) / max(x @ x, 1e-12) * x
    return float(10.0 * np.log10(max(part @ part, 1e-12) / max(np.sum((y - part) ** 2), 1e-10 * (part @ part), 1e-22)))
