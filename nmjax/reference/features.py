"""Features of a recording for reference matching: long-term spectrum and its standard error, dynamics and width.

NumPy, in one pass, with constant memory except for about four thousand values per 3 s. Levels are those of the
recording itself: only the shape of a spectrum is compared. All audio is analyzed at one sample rate, so that a file's
own rate makes no difference.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float

from nmjax.audio import reader
from nmjax.audio.bs1770 import channel_weights
from nmjax.audio.loudness_meter import LoudnessMeter
from nmjax.reference.band_sums import BandSums
from nmjax.reference.bands import (
    ACTIVE_RANGE_DB,
    CENTERS_HZ,
    EDGES_HZ,
    FLOOR_DB,
    MONO_DB,
    NUM_BANDS,
    WIDTH_FROM_HZ,
)
from nmjax.reference.frame_matching import FINE_EDGES_HZ, FrameLevels, frame_levels
from nmjax.runtime.fast_fft import rfft

SAMPLE_RATE = 44_100  # Hz, of the audio that is analyzed
_FRAME_FLOOR_DB = -240.0  # of single frames, which are compared relative to their own loudest band
_BLOCK_SAMPLES = 3 * SAMPLE_RATE
_OUTLINE_HOP = 50  # a divisor of the block
OUTLINE_RATE = SAMPLE_RATE / _OUTLINE_HOP  # Hz, of the outline
_WINDOW = 16_384  # 0.37 s
_HOP = _WINDOW // 2
_CREST_GATE_DB = -30.0  # blocks further below the loudest one are ignored
_UNKNOWN_STD_ERROR_DB = 6.0  # of recordings with fewer than three blocks


@dataclasses.dataclass(frozen=True)
class TrackFeatures:
    """Long-term features of a recording. Levels are in dB of a mean square of 1, at `CENTERS_HZ`.

    Attributes:
        mid_db: levels of the mean of the channels, at least −120.
        side_db: levels of half of left − right, at least −120; meaningless unless `stereo`.
        std_error_db: standard error of mid_db about its mean over the bands, from its variation between blocks of 3 s.
        crest_db: peak over RMS of blocks of 3 s, the median.
        loudness_range: LU; NaN below 3 s, and where nothing is above −70 LUFS.
        seconds: duration.
        stereo: whether there are two channels.
        max_hz: highest frequency the file can hold.
        lufs: integrated loudness; −inf where unknown or silent.
        frames: levels of single frames of 0.37 s; None where unknown.
        outline: mono audio at `OUTLINE_RATE`, to find another mix of the same passage; None where unknown.
    """

    mid_db: Float[np.ndarray, " bands"]
    side_db: Float[np.ndarray, " bands"]
    std_error_db: Float[np.ndarray, " bands"]
    crest_db: float
    loudness_range: float
    seconds: float
    stereo: bool
    max_hz: float
    lufs: float = -math.inf
    frames: FrameLevels | None = None
    outline: Float[np.ndarray, " samples"] | None = dataclasses.field(default=None, repr=False)

    def add_curve(self, curve_db: Float[np.ndarray, " bands"]) -> TrackFeatures:
        """The features after an EQ curve, as far as it changes mid_db and frames."""
        frames = self.frames and self.frames.add_curve(curve_db)
        return dataclasses.replace(self, mid_db=self.mid_db + curve_db, frames=frames)

    def tilt(self, db_per_octave: float) -> TrackFeatures:
        """The features with mid and side tilted about 1 kHz."""
        curve_db = db_per_octave * np.log2(CENTERS_HZ / 1000.0)
        return dataclasses.replace(self.add_curve(curve_db), side_db=self.side_db + curve_db)

    @property
    def silent(self) -> bool:
        """Whether all bands are at the floor."""
        return bool(self.mid_db.max() <= FLOOR_DB and self.side_db.max() <= FLOOR_DB)

    @property
    def width_db(self) -> float:
        """Power of the side over that of mid; of stereo only."""
        side, mid = (np.sum(10.0 ** (x / 10.0)) for x in (self.side_db, self.mid_db))
        return float(10.0 * np.log10(side / mid))

    @property
    def has_side(self) -> bool:
        """Whether the recording is wider than mono, which two equal channels are too."""
        return self.stereo and self.width_db > MONO_DB

    @property
    def known_bands(self) -> Bool[np.ndarray, " bands"]:
        """Mask of the bands that end below `max_hz`."""
        return self.max_hz >= CENTERS_HZ * 2.0 ** (1.0 / 12.0)

    @property
    def active_bands(self) -> Bool[np.ndarray, " bands"]:
        """Mask of the bands that hold music rather than noise."""
        return self.bands_within(ACTIVE_RANGE_DB)

    def bands_within(self, range_db: float) -> Bool[np.ndarray, " bands"]:
        """Mask of the known bands at most this far below the loudest one."""
        return self.known_bands & (self.mid_db > self.mid_db.max() - range_db)


def track_features(
    chunks: Iterable[Float[np.ndarray, "_ channel"]], max_hz: float = SAMPLE_RATE / 2, with_loudness: bool = True
) -> TrackFeatures:
    """Features of audio at SAMPLE_RATE.

    Args:
        chunks: consecutive pieces of any length.
        max_hz: half the sample rate of the file that the audio comes from.
        with_loudness: see `FeatureExtractor`.
    """
    extractor = FeatureExtractor(with_loudness)
    for chunk in chunks:
        extractor.update(chunk)
    return extractor.features(max_hz)


class FeatureExtractor:
    """Streaming computation of `TrackFeatures`: `update` with each chunk at SAMPLE_RATE, then `features`.

    Args:
        with_loudness: measure the loudness and its range, too; otherwise they are −inf and NaN.
    """

    def __init__(self, with_loudness: bool = True) -> None:
        self._with_loudness = with_loudness
        self._num_samples = 0
        self._num_channels = 0
        self._pending: np.ndarray | None = None
        self._block_powers: list[np.ndarray] = []  # [2, bands] each: mid and side
        self._mid_power = np.zeros(_WINDOW // 2 + 1)
        self._frame_levels_db: list[np.ndarray] = []  # [frames, bands + fine + 1] each: mid in both grids, width
        self._outline: list[np.ndarray] = []
        self._block_peaks: list[tuple[float, float]] = []  # peak and mean square
        self._loudness_meter: LoudnessMeter | None = None  # created when the number of channels is known

    def update(self, chunk: Float[np.ndarray, "time channel"]) -> None:
        """Analyze the next chunk."""
        if not len(chunk):  # the first output of a resampler may be empty
            return
        self._num_samples += len(chunk)
        self._num_channels = chunk.shape[1]
        if self._with_loudness and self._loudness_meter is None:
            self._loudness_meter = LoudnessMeter(SAMPLE_RATE, channel_weights(chunk.shape[1]))
        if self._loudness_meter:
            self._loudness_meter.update(chunk)
        buffer = chunk if self._pending is None else np.concatenate([self._pending, chunk])
        while len(buffer) >= _BLOCK_SAMPLES:
            self._add_block(buffer[:_BLOCK_SAMPLES])
            buffer = buffer[_BLOCK_SAMPLES:]
        self._pending = buffer

    bin_hz = SAMPLE_RATE / _WINDOW  # spacing of `level_db`

    def level_db(self) -> Float[np.ndarray, " bins"]:
        """Mean power of mid so far in dB, at any reference level."""
        return _db(self._mid_power / max(1, len(self._block_powers)), _FRAME_FLOOR_DB)

    def features(self, max_hz: float = SAMPLE_RATE / 2) -> TrackFeatures:
        """The features of all chunks; `update` must not be called afterwards."""
        if self._pending is not None and (
            len(self._pending) >= _WINDOW or (len(self._pending) and not self._block_powers)
        ):
            self._add_block(self._pending)
            self._pending = self._pending[:0]
        powers = np.array(self._block_powers or [np.zeros((2, NUM_BANDS))])
        mean = powers.mean(axis=0)
        meter = self._loudness_meter
        lufs = meter.integrated_lufs() if meter else -math.inf
        return TrackFeatures(
            mid_db=_db(mean[0]),
            side_db=_db(mean[1]),
            std_error_db=_std_error_db(powers[:, 0]),
            crest_db=self._median_crest_db(),
            loudness_range=meter.loudness_range_lu() if meter and math.isfinite(lufs) else math.nan,
            seconds=self._num_samples / SAMPLE_RATE,
            stereo=self._num_channels == 2,
            max_hz=float(max_hz),
            lufs=lufs,
            frames=self._frame_levels(),
            outline=np.concatenate(self._outline) if self._outline else None,
        )

    def _add_block(self, audio: Float[np.ndarray, "time channel"]) -> None:
        analysis = _spectrum_analysis()
        self._block_peaks.append((float(np.abs(audio).max()), float(np.mean(np.square(audio, dtype=np.float64)))))
        mid = reader.to_mono(audio)
        self._outline.append(mid[: len(mid) // _OUTLINE_HOP * _OUTLINE_HOP].reshape(-1, _OUTLINE_HOP).mean(axis=1))
        mid_side = np.stack([mid, audio[:, 0] - mid if audio.shape[1] == 2 else np.zeros_like(mid)])
        if mid_side.shape[1] < _WINDOW:
            mid_side = np.pad(mid_side, ((0, 0), (0, _WINDOW - mid_side.shape[1])))
        windows = np.lib.stride_tricks.sliding_window_view(mid_side, _WINDOW, axis=1)[:, ::_HOP]
        spectrum = rfft(windows * analysis.window, axis=2)
        power = np.square(np.real(spectrum)) + np.square(np.imag(spectrum))
        self._mid_power += np.mean(power[0], axis=0)
        mean_power = np.asarray(np.mean(power, axis=1, dtype=np.float64))
        self._block_powers.append(analysis.power_scale * analysis.bands(mean_power))
        width_power = np.sum(power[..., analysis.width_bins], axis=2)
        width_db = _db(width_power[1], _FRAME_FLOOR_DB) - _db(width_power[0], _FRAME_FLOOR_DB)
        frame_powers = np.concatenate([analysis.bands(power[0]), analysis.fine_bands(power[0])], axis=1)
        levels_db = _db(analysis.power_scale * frame_powers, _FRAME_FLOOR_DB)
        self._frame_levels_db.append(np.column_stack([levels_db, width_db]).astype(np.float16))

    def _median_crest_db(self) -> float:
        peak, mean_square = np.array(self._block_peaks or [(0.0, 0.0)]).T
        active = mean_square > mean_square.max() * 10.0 ** (_CREST_GATE_DB / 10.0)
        return float(np.median(20.0 * np.log10(peak[active]) - _db(mean_square[active]))) if active.any() else 0.0

    def _frame_levels(self) -> FrameLevels | None:
        if not self._frame_levels_db:
            return None
        levels_db, fine_db, width_db = np.split(np.concatenate(self._frame_levels_db), [NUM_BANDS, -1], axis=1)
        return frame_levels(levels_db, fine_db, width_db[:, 0])


def _db(power: np.ndarray, floor_db: float = FLOOR_DB) -> np.ndarray:
    return 10.0 * np.log10(np.maximum(power, 10.0 ** (floor_db / 10.0)))


def _std_error_db(powers: Float[np.ndarray, "blocks bands"]) -> Float[np.ndarray, " bands"]:
    """Jackknife standard error of the long-term levels, each set minus its mean over the bands.

    sqrt((n − 1)/n Σ_k (L_k − mean)²), where L_k leaves block k out (Efron 1982); 6 dB with fewer than three blocks.
    """
    count = len(powers)
    if count < 3:
        return np.full(NUM_BANDS, _UNKNOWN_STD_ERROR_DB)
    levels = _db((powers.sum(axis=0) - powers) / (count - 1))
    levels -= levels.mean(axis=1, keepdims=True)
    return np.sqrt((count - 1.0) * np.mean((levels - levels.mean(axis=0)) ** 2, axis=0))


@dataclasses.dataclass(frozen=True)
class _SpectrumAnalysis:
    """What turns audio into levels.

    Attributes:
        window: Hann.
        power_scale: from squared magnitudes to mean squares.
        bands, fine_bands: sums over the bands at `CENTERS_HZ`, and over those of `FrameLevels.fine_db`.
        width_bins: those that the width is taken of.
    """

    window: Float[np.ndarray, " window"]
    power_scale: float
    bands: BandSums
    fine_bands: BandSums
    width_bins: slice


@functools.cache
def _spectrum_analysis() -> _SpectrumAnalysis:
    window = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_WINDOW) / _WINDOW)).astype(np.float32)
    return _SpectrumAnalysis(
        window=window,
        power_scale=2.0 / (_WINDOW * float(np.sum(window.astype(np.float64) ** 2))),
        bands=BandSums(EDGES_HZ, _WINDOW, SAMPLE_RATE),
        fine_bands=BandSums(FINE_EDGES_HZ, _WINDOW, SAMPLE_RATE),
        width_bins=slice(round(WIDTH_FROM_HZ * _WINDOW / SAMPLE_RATE), None),
    )
