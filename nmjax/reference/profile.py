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

from nmjax import io
from nmjax.dsp.auditory import band_shares
from nmjax.dsp.loudness import channel_weights
from nmjax.dsp.width import CROSSOVER_HZ
from nmjax.loudness import gated_loudness, k_weighting, loudness_of_power
from nmjax.reference.moments import CENTRES_HZ, Moments, fine_shares, moments_of

SAMPLE_RATE = 44_100  # Hz, at which music is heard
BANDS = len(CENTRES_HZ)
FLOOR_DB = -120.0
_LEAST_DB = -240.0  # of moments, which are compared from their own loudest band downwards
BLOCK_SECONDS = 3.0
_BLOCK = int(BLOCK_SECONDS * SAMPLE_RATE)
_WINDOW = 16_384
_HOP = _WINDOW // 2
_TENTH = SAMPLE_RATE // 10
_SHORT_TERM = 30  # tenths
_SOUNDING_DB = -30.0  # blocks further below the loudest have no say in the crest


@dataclasses.dataclass(frozen=True)
class Profile:
    """The long-term features of music.

    mid_db, side_db: `[bands]`, levels of the channels' mean and of half of left − right in dB of a mean square of 1, at
    `CENTRES_HZ`, held at −120. stereo: whether there were two channels; else side_db says nothing. doubt_db: `[bands]`,
    standard error of mid_db about its mean over the bands, from how it varied between blocks of 3 s. crest_db: peak
    over RMS of a block, the median. loudness_range: LU, NaN below 3 s. seconds: how long it was. highest_hz: above it
    nothing is known. lufs: integrated loudness, −inf where there is none or it was not kept. moments: windows of 0.37 s
    by themselves; None where they were not kept.
    """

    mid_db: Float[np.ndarray, "bands"]
    side_db: Float[np.ndarray, "bands"]
    doubt_db: Float[np.ndarray, "bands"]
    crest_db: float
    loudness_range: float
    seconds: float
    stereo: bool
    highest_hz: float
    lufs: float = -math.inf
    moments: Moments | None = None

    def moved(self, change_db: Float[np.ndarray, "bands"]) -> Profile:
        """The same after a curve on mid."""
        moments = self.moments and self.moments.moved(change_db)
        return dataclasses.replace(self, mid_db=self.mid_db + change_db, moments=moments)

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
    def known(self) -> Bool[np.ndarray, "bands"]:
        """Which bands end below the highest frequency, as booleans."""
        return self.highest_hz >= CENTRES_HZ * 2.0 ** (1.0 / 12.0)


class Ear:
    """Hears music at SAMPLE_RATE in pieces of any size; `profile` after the last."""

    def __init__(self):
        self._frames = 0
        self._open: np.ndarray | None = None
        self._powers: list[np.ndarray] = []  # [2, bands] a block
        self._moments: list[np.ndarray] = []  # [windows, bands and fine ones and 1] a block: mid's levels, width, in dB
        self._crests: list[tuple[float, float]] = []  # peak and mean square
        self._loudness = _Tenths()

    def hear(self, piece: Float[np.ndarray, "frames channel"]) -> None:
        """The next piece."""
        if not len(piece):  # a resampler's first one
            return
        self._frames += len(piece)
        self._loudness.hear(piece)
        held = piece if self._open is None else np.concatenate([self._open, piece])
        while len(held) >= _BLOCK:
            self._block(held[:_BLOCK])
            held = held[_BLOCK:]
        self._open = held

    def profile(self, highest_hz: float = SAMPLE_RATE / 2) -> Profile:
        """What was heard. highest_hz: half the rate of the file that it came from."""
        rest = 0 if self._open is None else len(self._open)
        if rest >= _WINDOW or (rest and not self._powers):
            self._block(self._open)
            self._open = self._open[:0]
        powers = np.array(self._powers or [np.zeros((2, BANDS))])
        mean = powers.mean(axis=0)
        peak, square = np.array(self._crests or [(0.0, 0.0)]).T
        sounds = square > square.max() * 10.0 ** (_SOUNDING_DB / 10.0)
        crest_db = float(np.median(20.0 * np.log10(peak[sounds]) - _db(square[sounds]))) if sounds.any() else 0.0
        return Profile(
            mid_db=_db(mean[0]),
            side_db=_db(mean[1]),
            doubt_db=_doubt_db(powers[:, 0]),
            crest_db=crest_db,
            loudness_range=self._loudness.range(),
            seconds=self._frames / SAMPLE_RATE,
            stereo=self._open is not None and self._open.shape[1] == 2,
            highest_hz=float(highest_hz),
            lufs=self._loudness.integrated(),
            moments=self._kept_moments(),
        )

    def _kept_moments(self) -> Moments | None:
        if not self._moments:
            return None
        levels_db, fine_db, width_db = np.split(np.concatenate(self._moments), [BANDS, -1], axis=1)
        return moments_of(levels_db, fine_db, width_db[:, 0])

    def _block(self, audio: np.ndarray) -> None:
        self._crests.append((float(np.abs(audio).max()), float(np.mean(np.square(audio, dtype=np.float64)))))
        mid = io.mono(audio)
        both = np.stack([mid, audio[:, 0] - mid if audio.shape[1] == 2 else np.zeros_like(mid)])
        short = max(0, _WINDOW - both.shape[1])
        cut = np.lib.stride_tricks.sliding_window_view(np.pad(both, ((0, 0), (0, short))), _WINDOW, axis=1)[:, ::_HOP]
        lines = np.fft.rfft(cut * _hann(), axis=2)
        power = lines.real**2 + lines.imag**2
        self._powers.append(np.mean(power, axis=1, dtype=np.float64) @ _bands())
        mid_and_side = np.sum(power[..., _wide_bins()], axis=2)
        width_db = _db(mid_and_side[1], _LEAST_DB) - _db(mid_and_side[0], _LEAST_DB)
        levels_db = _db(power[0] @ _bands_and_fine(), _LEAST_DB)
        self._moments.append(np.column_stack([levels_db, width_db]).astype(np.float16))


def profile_of(pieces: Iterable[np.ndarray], highest_hz: float = SAMPLE_RATE / 2) -> Profile:
    """The profile of music at SAMPLE_RATE, in pieces `[frames, channel]`."""
    ear = Ear()
    for piece in pieces:
        ear.hear(piece)
    return ear.profile(highest_hz)


def _db(power: np.ndarray, floor_db: float = FLOOR_DB) -> np.ndarray:
    return 10.0 * np.log10(np.maximum(power, 10.0 ** (floor_db / 10.0)))


def _doubt_db(powers: Float[np.ndarray, "blocks bands"]) -> Float[np.ndarray, "bands"]:
    """Jackknife standard error of the long-term levels, their mean over bands taken out: (n − 1)/n Σ (Lₖ − mean)²,
    where Lₖ leaves block k out (Efron 1982). With fewer than three blocks nothing is known, and 6 dB is said."""
    count = len(powers)
    if count < 3:
        return np.full(BANDS, 6.0)
    levels = _db((powers.sum(axis=0) - powers) / (count - 1))
    levels -= levels.mean(axis=1, keepdims=True)
    return np.sqrt((count - 1.0) * np.mean((levels - levels.mean(axis=0)) ** 2, axis=0))


@functools.cache
def _hann() -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_WINDOW) / _WINDOW)).astype(np.float32)


@functools.cache
def _bands() -> Float[np.ndarray, "bins bands"]:
    """From squared magnitudes to mean squares by band."""
    reach = 2.0 ** (1.0 / 12.0)
    shares = band_shares(CENTRES_HZ / reach, CENTRES_HZ * reach, _WINDOW, SAMPLE_RATE)
    return shares * _mean_square()


@functools.cache
def _bands_and_fine() -> Float[np.ndarray, "bins bands_and_fine"]:
    fine = fine_shares(_WINDOW, SAMPLE_RATE) * _mean_square()
    return np.concatenate([_bands(), fine], axis=1).astype(np.float32)


def _wide_bins() -> slice:
    """Of a spectrum, those above which the stage of width works."""
    return slice(round(CROSSOVER_HZ * _WINDOW / SAMPLE_RATE), None)


def _mean_square() -> float:
    return 2.0 / (_WINDOW * float(np.sum(_hann().astype(np.float64) ** 2)))


class _Tenths:
    """The K-weighted power of each tenth of a second, and of them the loudness and its range (EBU Tech 3342)."""

    def __init__(self):
        self._sections = k_weighting(SAMPLE_RATE)
        self._state: np.ndarray | None = None
        self._open = np.zeros(0)
        self._powers: list[np.ndarray] = []

    def hear(self, piece: np.ndarray) -> None:
        from scipy.signal import sosfilt  # a second of importing

        if self._state is None:
            self._state = np.zeros((len(self._sections), 2, piece.shape[1]))
        weighted, self._state = sosfilt(self._sections, piece.astype(np.float64), axis=0, zi=self._state)
        self._state[np.abs(self._state) < 1e-30] = 0.0  # in silence it would fade into denormal numbers, which are slow
        energy = np.concatenate(
            [self._open, np.einsum("tc,tc,c->t", weighted, weighted, channel_weights(piece.shape[1]))]
        )
        whole = len(energy) // _TENTH
        self._powers.append(energy[: whole * _TENTH].reshape(whole, _TENTH).mean(axis=1))
        self._open = energy[whole * _TENTH :].copy()

    def integrated(self) -> float:
        """LUFS; −inf below 0.4 s."""
        powers = self._all()
        return gated_loudness(powers, np.ones_like(powers)) if len(powers) >= 4 else -math.inf

    def range(self) -> float:
        """LU; NaN below 3 s."""
        powers = self._all()
        if len(powers) < _SHORT_TERM:
            return math.nan
        return range_of(np.lib.stride_tricks.sliding_window_view(powers, _SHORT_TERM).mean(axis=1))

    def _all(self) -> np.ndarray:
        return np.concatenate([*self._powers, np.zeros(0)])


def range_of(powers: Float[np.ndarray, "blocks"]) -> float:
    """From the 10th to the 95th percentile of short-term loudness above −70 LUFS and 20 LU below its mean power."""
    powers = powers[loudness_of_power(powers) > -70.0]
    if not len(powers):
        return 0.0
    low, high = np.percentile(powers[powers > 0.01 * np.mean(powers)], (10.0, 95.0), method="nearest")
    return float(10.0 * np.log10(high / low))
