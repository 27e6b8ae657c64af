"""What is kept of music that a track is brought near to: long-term levels by band, and how sure they are; crest,
loudness range and width.

NumPy, in one pass and with constant memory but for some thousand numbers each 3 s. Levels are the music's own, since
only their shape is compared; they come from a signal at the model's rate, so that a file's rate makes no difference.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float

from nmjax.audio import reader
from nmjax.audio.loudness_meter import LoudnessMeter
from nmjax.dsp.filterbanks import band_filterbank
from nmjax.dsp.loudness import channel_weights
from nmjax.dsp.width import CROSSOVER_HZ
from nmjax.reference.frame_matching import CENTERS_HZ, FrameLevels, fine_filterbank, frame_levels

SAMPLE_RATE = 44_100  # Hz, at which music is heard
BANDS = len(CENTERS_HZ)
FLOOR_DB = -120.0
_FRAME_FLOOR_DB = -240.0  # of moments, which are compared from their own loudest band downwards
BLOCK_SECONDS = 3.0
_BLOCK_SAMPLES = int(BLOCK_SECONDS * SAMPLE_RATE)
_WINDOW = 16_384
_HOP = _WINDOW // 2
_GATE_DB = -30.0  # blocks further below the loudest have no say in the crest


@dataclasses.dataclass(frozen=True)
class TrackFeatures:
    """The long-term features of music.

    mid_db, side_db: `[bands]`, levels of the channels' mean and of half of left − right in dB of a mean square of 1, at
    `CENTRES_HZ`, held at −120. stereo: whether there were two channels; else side_db says nothing. doubt_db: `[bands]`,
    standard error of mid_db about its mean over the bands, from how it varied between blocks of 3 s. crest_db: peak
    over RMS of a block, the median. loudness_range: LU, NaN below 3 s. seconds: how long it was. highest_hz: above it
    nothing is known. lufs: integrated loudness, −inf where there is none or it was not kept. moments: windows of 0.37 s
    by themselves; None where they were not kept.
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

    def add_curve(self, curve_db: Float[np.ndarray, " bands"]) -> TrackFeatures:
        """The same after a curve on mid."""
        frames = self.frames and self.frames.add_curve(curve_db)
        return dataclasses.replace(self, mid_db=self.mid_db + curve_db, frames=frames)

    @property
    def silent(self) -> bool:
        """Whether there is nothing in it."""
        return bool(self.mid_db.max() <= FLOOR_DB and self.side_db.max() <= FLOOR_DB)

    @property
    def width_db(self) -> float:
        """The side's power over mid's; of stereo alone."""
        side, mid = (np.sum(10.0 ** (x / 10.0)) for x in (self.side_db, self.mid_db))
        return float(10.0 * np.log10(side / mid))

    @property
    def known_bands(self) -> Bool[np.ndarray, " bands"]:
        """Which bands end below the highest frequency, as booleans."""
        return self.max_hz >= CENTERS_HZ * 2.0 ** (1.0 / 12.0)


class FeatureExtractor:
    """Hears music at SAMPLE_RATE in pieces of any size; `profile` after the last."""

    def __init__(self):
        self._num_samples = 0
        self._pending: np.ndarray | None = None
        self._block_powers: list[np.ndarray] = []  # [2, bands] a block
        self._frame_levels_db: list[
            np.ndarray
        ] = []  # [windows, bands and fine ones and 1] a block: mid's levels, width, in dB
        self._block_peaks: list[tuple[float, float]] = []  # peak and mean square
        self._loudness_meter: LoudnessMeter | None = None  # made when the number of channels is known

    def update(self, piece: Float[np.ndarray, "frames channel"]) -> None:
        """The next piece."""
        if not len(piece):  # a resampler's first one
            return
        self._num_samples += len(piece)
        if self._loudness_meter is None:
            self._loudness_meter = LoudnessMeter(SAMPLE_RATE, channel_weights(piece.shape[1]))
        self._loudness_meter.update(piece)
        buffer = piece if self._pending is None else np.concatenate([self._pending, piece])
        while len(buffer) >= _BLOCK_SAMPLES:
            self._add_block(buffer[:_BLOCK_SAMPLES])
            buffer = buffer[_BLOCK_SAMPLES:]
        self._pending = buffer

    def features(self, max_hz: float = SAMPLE_RATE / 2) -> TrackFeatures:
        """What was heard. highest_hz: half the rate of the file that it came from."""
        num_pending = 0 if self._pending is None else len(self._pending)
        if num_pending >= _WINDOW or (num_pending and not self._block_powers):
            self._add_block(self._pending)
            self._pending = self._pending[:0]
        powers = np.array(self._block_powers or [np.zeros((2, BANDS))])
        mean = powers.mean(axis=0)
        peak, mean_square = np.array(self._block_peaks or [(0.0, 0.0)]).T
        active = mean_square > mean_square.max() * 10.0 ** (_GATE_DB / 10.0)
        crest_db = float(np.median(20.0 * np.log10(peak[active]) - _db(mean_square[active]))) if active.any() else 0.0
        meter = self._loudness_meter
        return TrackFeatures(
            mid_db=_db(mean[0]),
            side_db=_db(mean[1]),
            std_error_db=_std_error_db(powers[:, 0]),
            crest_db=crest_db,
            loudness_range=meter.loudness_range_lu() if meter else math.nan,
            seconds=self._num_samples / SAMPLE_RATE,
            stereo=self._pending is not None and self._pending.shape[1] == 2,
            max_hz=float(max_hz),
            lufs=meter.integrated_lufs() if meter else -math.inf,
            frames=self._frame_levels(),
        )

    def _frame_levels(self) -> FrameLevels | None:
        if not self._frame_levels_db:
            return None
        levels_db, fine_db, width_db = np.split(np.concatenate(self._frame_levels_db), [BANDS, -1], axis=1)
        return frame_levels(levels_db, fine_db, width_db[:, 0])

    def _add_block(self, audio: np.ndarray) -> None:
        self._block_peaks.append((float(np.abs(audio).max()), float(np.mean(np.square(audio, dtype=np.float64)))))
        mid = reader.to_mono(audio)
        mid_side = np.stack([mid, audio[:, 0] - mid if audio.shape[1] == 2 else np.zeros_like(mid)])
        padding = max(0, _WINDOW - mid_side.shape[1])
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(mid_side, ((0, 0), (0, padding))), _WINDOW, axis=1)[
            :, ::_HOP
        ]
        spectrum = np.fft.rfft(windows * _hann_window(), axis=2)
        power = spectrum.real**2 + spectrum.imag**2
        self._block_powers.append(np.mean(power, axis=1, dtype=np.float64) @ _band_power_matrix())
        broadband_power = np.sum(power[..., _width_bins()], axis=2)
        width_db = _db(broadband_power[1], _FRAME_FLOOR_DB) - _db(broadband_power[0], _FRAME_FLOOR_DB)
        levels_db = _db(power[0] @ _all_bands_power_matrix(), _FRAME_FLOOR_DB)
        self._frame_levels_db.append(np.column_stack([levels_db, width_db]).astype(np.float16))


def track_features(pieces: Iterable[np.ndarray], max_hz: float = SAMPLE_RATE / 2) -> TrackFeatures:
    """The profile of music at SAMPLE_RATE, in pieces `[frames, channel]`."""
    extractor = FeatureExtractor()
    for piece in pieces:
        extractor.update(piece)
    return extractor.features(max_hz)


def _db(power: np.ndarray, floor_db: float = FLOOR_DB) -> np.ndarray:
    return 10.0 * np.log10(np.maximum(power, 10.0 ** (floor_db / 10.0)))


def _std_error_db(powers: Float[np.ndarray, "blocks bands"]) -> Float[np.ndarray, " bands"]:
    """Jackknife standard error of the long-term levels, their mean over bands taken out: (n − 1)/n Σ (Lₖ − mean)²,
    where Lₖ leaves block k out (Efron 1982). With fewer than three blocks nothing is known, and 6 dB is said."""
    count = len(powers)
    if count < 3:
        return np.full(BANDS, 6.0)
    levels = _db((powers.sum(axis=0) - powers) / (count - 1))
    levels -= levels.mean(axis=1, keepdims=True)
    return np.sqrt((count - 1.0) * np.mean((levels - levels.mean(axis=0)) ** 2, axis=0))


@functools.cache
def _hann_window() -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_WINDOW) / _WINDOW)).astype(np.float32)


@functools.cache
def _band_power_matrix() -> Float[np.ndarray, "bins bands"]:
    """From squared magnitudes to mean squares by band."""
    half_band = 2.0 ** (1.0 / 12.0)
    filterbank = band_filterbank(CENTERS_HZ / half_band, CENTERS_HZ * half_band, _WINDOW, SAMPLE_RATE)
    return filterbank * _power_scale()


@functools.cache
def _all_bands_power_matrix() -> Float[np.ndarray, "bins bands_and_fine"]:
    fine_matrix = fine_filterbank(_WINDOW, SAMPLE_RATE) * _power_scale()
    return np.concatenate([_band_power_matrix(), fine_matrix], axis=1).astype(np.float32)


def _width_bins() -> slice:
    """Of a spectrum, those above which the stage of width works."""
    return slice(round(CROSSOVER_HZ * _WINDOW / SAMPLE_RATE), None)


def _power_scale() -> float:
    return 2.0 / (_WINDOW * float(np.sum(_hann_window().astype(np.float64) ** 2)))
