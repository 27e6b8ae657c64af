"""Is the file what was asked for? It is decoded again and measured by code that shares nothing with what made it.

K-weighting by its formulas, integrated loudness and range from tenths of a second (ITU-R BS.1770-4, EBU Tech 3342), and
the true peak by SciPy's polyphase filter at eight times the rate, the one that `scipy.signal.resample_poly` designs.
Memory does not grow with the file but for ten numbers a second.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax import io
from nmjax.dsp.loudness import channel_weights
from nmjax.inference.deliver.delivery import TOLERANCE_LU, Delivery
from nmjax.inference.stream import Pieces, ahead

PEAK_TOLERANCE_DB = 0.01  # dither of 16 bits moves a peak by a tenth of that
_TIMES = 8  # the rate
_REACH = 10 * 2  # samples that an interpolated value hears
_ROW = 32  # samples that are interpolated by one row of a matrix product, a tenth of the work of the filter itself
_TOGETHER = 16  # rows: OpenBLAS does not start its threads for so few, whose waiting costs more than they save


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a file holds; path: None for a signal in memory. lufs: −inf where there is no loudness. loudness_range: LU.
    clipped: samples at or above what the format can hold. reason: why it fails, otherwise empty."""

    path: Path | None
    lufs: float
    true_peak_db: float
    loudness_range: float
    sample_rate: int
    frames: int
    clipped: int
    reason: str

    @property
    def passed(self) -> bool:
        """Whether the file is what was asked for."""
        return not self.reason

    @property
    def line(self) -> str:
        """One line for a person."""
        found = (
            f"{self.lufs:.1f} LUFS  {self.true_peak_db:.1f} dBTP  LRA {self.loudness_range:.1f} LU  "
            f"{self.sample_rate} Hz  {self.clipped} clipped"
        )
        return f"PASS  {found}" if self.passed else f"FAIL  {found}  ({self.reason})"


def verify(path: Path, wanted: Delivery) -> Verdict:
    """Decode a file and compare it with what was wanted.

    Raises:
        BadInputError: it cannot be read.
    """
    info = io.probe(path)
    bits = int(info.subtype.removeprefix("PCM_")) if info.subtype in ("PCM_16", "PCM_24", "PCM_32") else 0
    found = judged(io.pieces(path), info.sample_rate, info.channels, wanted, bits)
    return dataclasses.replace(found, path=path)


def judged(pieces: Pieces, sample_rate: int, channels: int, wanted: Delivery, bits: int = 0) -> Verdict:
    """The same of a signal. bits: of its integers, 0 for floats."""
    hops, clipped, frames = [np.zeros((0, 2))], 0, 0
    weigh, between = _Weighting(sample_rate, channels), _Between(channels)
    for piece in ahead(between.watch(pieces)):
        frames += len(piece)
        hops.append(weigh.tenths(piece))
        clipped += _clipped(piece, bits)
    peak = between.highest
    energy, sizes = np.concatenate(hops).T
    lufs = _integrated(_means(energy, sizes, 4))
    found = Verdict(
        path=None,
        lufs=lufs,
        true_peak_db=20.0 * math.log10(peak) if peak > 0.0 else -math.inf,
        loudness_range=_range(_means(energy, sizes, 30)),
        sample_rate=sample_rate,
        frames=frames,
        clipped=clipped,
        reason="",
    )
    return dataclasses.replace(found, reason=_reason(found, wanted))


def _reason(found: Verdict, wanted: Delivery) -> str:
    reasons = []
    if wanted.lufs is not None and math.isfinite(found.lufs):
        away = found.lufs - wanted.lufs
        if abs(away) > TOLERANCE_LU:
            reasons.append(f"{abs(away):.1f} LU {'above' if away > 0 else 'below'} {round(wanted.lufs, 2):g} LUFS")
    if wanted.true_peak_db is not None and found.true_peak_db > wanted.true_peak_db + PEAK_TOLERANCE_DB:
        over = found.true_peak_db - wanted.true_peak_db
        reasons.append(f"{over:.2f} dB over {wanted.true_peak_db:g} dBTP")
    if found.clipped and (wanted.lufs is not None or wanted.true_peak_db is not None):
        reasons.append("clipped")
    return ", ".join(reasons)


def _clipped(piece: np.ndarray, bits: int) -> int:
    """Samples at the ends of an integer's range; beyond full scale in the others."""
    if not bits:
        return int(np.count_nonzero(np.abs(piece) > 1.0))
    return int(np.count_nonzero((piece >= np.float32(1.0 - 2.0 ** (1 - bits))) | (piece <= -1.0)))


class _Weighting:
    """The K-weighted energy of each tenth of a second."""

    def __init__(self, sample_rate: int, channels: int):
        self._rate = sample_rate
        self._sections = _k_weighting(sample_rate)
        self._state = np.zeros((2, 2, channels))
        self._weights = channel_weights(channels).astype(np.float64)
        self._open = np.zeros(0)
        self._closed = 0

    def tenths(self, piece: Float[np.ndarray, "frames channel"]) -> Float[np.ndarray, "hops 2"]:
        """Energy and frames of those that end in this piece."""
        from scipy.signal import sosfilt

        heard, self._state = sosfilt(self._sections, piece.astype(np.float64), axis=0, zi=self._state)
        self._open = np.concatenate([self._open, (heard * heard) @ self._weights])
        found = []
        while len(self._open) >= (size := self._next_size()):
            found.append((float(self._open[:size].sum()), float(size)))
            self._open = self._open[size:]
            self._closed += 1
        return np.array(found).reshape(-1, 2)

    def _next_size(self) -> int:
        """The n-th tenth ends at the frame nearest to n·rate/10."""
        start, end = ((2 * n * self._rate + 10) // 20 for n in (self._closed, self._closed + 1))
        return end - start


def _k_weighting(sample_rate: int) -> Float[np.ndarray, "2 6"]:
    """The two filters of BS.1770 from their analogue parameters (B. De Man, "Evaluation of implementations of the
    EBU R128 loudness measurement", AES 145)."""
    k = math.tan(math.pi * 1681.974450955533 / sample_rate)
    q, high = 0.7071752369554196, 10.0 ** (3.999843853973347 / 20.0)
    band = high**0.4996667741545416
    a0 = 1.0 + k / q + k * k
    shelf = np.array([
        high + band * k / q + k * k, 2.0 * (k * k - high), high - band * k / q + k * k,
        a0, 2.0 * (k * k - 1.0), 1.0 - k / q + k * k,
    ]) / a0  # fmt: skip
    k, q = math.tan(math.pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    a0 = 1.0 + k / q + k * k
    low_cut = np.array([1.0, -2.0, 1.0, 1.0, 2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0])
    return np.stack([shelf, low_cut])


def _means(energy: np.ndarray, sizes: np.ndarray, tenths: int) -> np.ndarray:
    """Loudness in LUFS of so many tenths in a row, one each 100 ms; those above −70 alone."""
    if len(energy) < tenths:
        return np.zeros(0)
    window = np.lib.stride_tricks.sliding_window_view
    power = window(energy, tenths).sum(axis=1) / window(sizes, tenths).sum(axis=1)
    lufs = -0.691 + 10.0 * np.log10(np.maximum(power, 1e-30))
    return lufs[lufs > -70.0]


def _above(lufs: np.ndarray, gate: float) -> np.ndarray:
    """Those that lie above the mean of all and `gate` LU."""
    return lufs[lufs > 10.0 * math.log10(np.mean(10.0 ** (lufs / 10.0))) + gate]


def _integrated(lufs: np.ndarray) -> float:
    if not len(lufs):
        return -math.inf
    return 10.0 * math.log10(np.mean(10.0 ** (_above(lufs, -10.0) / 10.0)))


def _range(lufs: np.ndarray) -> float:
    """EBU Tech 3342: the 10th to the 95th percentile of the short-term loudness above the gate at −20 LU."""
    if not len(lufs):
        return 0.0
    ordered = np.sort(_above(lufs, -20.0))
    low, high = (ordered[math.floor(share * (len(ordered) - 1) + 0.5)] for share in (0.10, 0.95))
    return float(high - low)


class _Between:
    """The largest amplitude at and between samples of what passes: `highest`, after the last piece."""

    def __init__(self, channels: int):
        self._open = np.zeros((_REACH, channels), np.float32)
        self.highest = 0.0

    def watch(self, pieces: Pieces) -> Iterator[np.ndarray]:
        """The same pieces, passed on."""
        for piece in pieces:
            self._hear(piece)
            yield piece
        self._hear(np.zeros((_ROW + _REACH, self._open.shape[1]), np.float32))  # what rings on

    def _hear(self, piece: Float[np.ndarray, "frames channel"]) -> None:
        joined = np.concatenate([self._open, piece])
        rows = (len(joined) - _REACH) // _ROW
        self._open = joined[rows * _ROW :]  # needs to know what follows
        self.highest = max(self.highest, float(np.abs(piece).max(initial=0.0)))
        for channel in joined.T if rows else ():
            self.highest = _highest(np.ascontiguousarray(channel), self.highest)


def _highest(samples: Float[np.ndarray, "frames"], least: float) -> float:
    """The largest interpolated amplitude, or `least`; places that cannot pass that are left out."""
    matrix, most = _interpolator()
    rows = np.lib.stride_tricks.sliding_window_view(samples, len(matrix))[::_ROW]
    (loud,) = np.nonzero(np.maximum(rows.max(axis=1), -rows.min(axis=1)) * most > least)
    together = np.resize(loud, (-(-len(loud) // _TOGETHER), _TOGETHER))  # the last ones are filled up with the first
    found = rows[together] @ matrix
    return max(least, float(found.max(initial=0.0)), -float(found.min(initial=0.0)))


@functools.cache
def _interpolator() -> tuple[Float[np.ndarray, "heard points"], float]:
    """What SciPy's `resample_poly` does for eight times the rate, as a matrix from `_ROW + _REACH` samples to the
    values that hear no others, and the most that it can make of samples within ±1."""
    from scipy.signal import firwin, upfirdn

    taps = firwin(_TIMES * _REACH + 1, 1.0 / _TIMES, window=("kaiser", 5.0)) * _TIMES
    most = max(np.abs(taps[phase::_TIMES]).sum() for phase in range(_TIMES))
    heard = _ROW + _REACH
    return upfirdn(taps, np.eye(heard), _TIMES)[:, _TIMES * _REACH : _TIMES * heard].astype(np.float32), float(most)
