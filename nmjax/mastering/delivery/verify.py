"""Checks a delivered file against its spec: the file is decoded and measured by a meter independent of the others.

K-weighting from its analog parameters, integrated loudness and loudness range from 100 ms energies (ITU-R BS.1770-4,
EBU Tech 3342), and true peak by the polyphase filter of `scipy.signal.resample_poly` at eight times the rate. Memory
grows by ten numbers per second of audio.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.audio.bs1770 import channel_weights
from nmjax.audio.section_filter import SectionFilter
from nmjax.audio.sliding import step_maxima
from nmjax.audio.streams import AudioChunks, prefetch
from nmjax.mastering.delivery.gain_search import TOLERANCE_LU
from nmjax.mastering.delivery.spec import DeliverySpec
from nmjax.runtime.number_format import format_fixed, format_general

PEAK_TOLERANCE_DB = 0.01  # dither at 16 bits changes a peak by a tenth of that
_OVERSAMPLING = 8
_FILTER_SAMPLES = 10 * 2  # input samples that an interpolated value depends on
_ROW_SAMPLES = 32  # input samples per row of the matrix product, a tenth of the work of a filter; a power of two
_ROWS_PER_PRODUCT = 16  # few enough that OpenBLAS starts no threads, whose synchronization costs more than they save


class ComplianceStatus(enum.StrEnum):
    """Whether a file meets its spec."""

    PASS = "pass"
    FAIL = "fail"
    NOT_MEASURED = "not_measured"  # silence, or a loudness is asked for and the file is too short or quiet to have one

    @property
    def label(self) -> str:
        """The status for people: PASS, FAIL or NOT MEASURED."""
        return self.value.upper().replace("_", " ")


@dataclasses.dataclass(frozen=True)
class ComplianceResult:
    """Measurements of a file, compared with its spec.

    Attributes:
        path: the file; None for a signal in memory.
        lufs: integrated loudness; −inf where there is none.
        true_peak_db: in dBTP; −inf for silence.
        loudness_range_lu: in LU; 0 below 3 s.
        sample_rate: in Hz.
        frames: length of the file.
        clipped: number of samples at or beyond full scale.
        failure_reason: why the file fails; empty where nothing that could be measured does.
        not_measured_reason: why there is no result; otherwise empty.
    """

    path: Path | None
    lufs: float
    true_peak_db: float
    loudness_range_lu: float
    sample_rate: int
    frames: int
    clipped: int
    failure_reason: str = ""
    not_measured_reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether no measurement misses the spec; also True where there is nothing to measure."""
        return not self.failure_reason

    @property
    def status(self) -> ComplianceStatus:
        """The result for programs."""
        if self.failure_reason:
            return ComplianceStatus.FAIL
        return ComplianceStatus.NOT_MEASURED if self.not_measured_reason else ComplianceStatus.PASS

    @property
    def summary(self) -> str:
        """The result in one line for people."""
        if self.status == ComplianceStatus.NOT_MEASURED:
            return f"NOT MEASURED: {self.not_measured_reason}"
        loudness = format_fixed(self.lufs, "LUFS") if math.isfinite(self.lufs) else "no loudness"
        measurements = (
            f"{loudness}  {format_fixed(self.true_peak_db, 'dBTP')}  LRA {self.loudness_range_lu:.1f} LU  "
            f"{self.sample_rate} Hz  {self.clipped} clipped"
        )
        return f"PASS  {measurements}" if self.passed else f"FAIL  {measurements}  ({self.failure_reason})"


def check_file_compliance(path: Path, spec: DeliverySpec) -> ComplianceResult:
    """Decodes and measures a file and compares it with its spec.

    Raises:
        BadInputError: it cannot be read.
    """
    info = reader.probe(path)
    bits = int(info.subtype.removeprefix("PCM_")) if info.subtype in ("PCM_16", "PCM_24", "PCM_32") else 0
    compliance = check_compliance(
        reader.read_chunks(path), sample_rate=info.sample_rate, channels=info.channels, spec=spec, bits=bits
    )
    return dataclasses.replace(compliance, path=path)


def check_compliance(
    chunks: AudioChunks, sample_rate: int, channels: int, spec: DeliverySpec, bits: int = 0
) -> ComplianceResult:
    """The same for a signal in memory. bits: of its integer samples; 0 for floats."""
    hops, clipped, frames = [np.zeros((0, 2))], 0, 0
    weighting, peak_tracker = _KWeightedEnergy(sample_rate, channels), _TruePeakTracker(channels)
    for chunk in prefetch(peak_tracker.tap(chunks)):
        frames += len(chunk)
        hops.append(weighting.hop_energies(chunk))
        clipped += _count_clipped(chunk, bits)
    peak = peak_tracker.true_peak
    energy, sizes = np.concatenate(hops).T
    lufs = _integrated_lufs(_gated_block_lufs(energy, sizes, 4))
    compliance = ComplianceResult(
        path=None,
        lufs=lufs,
        true_peak_db=20.0 * math.log10(peak) if peak > 0.0 else -math.inf,
        loudness_range_lu=_loudness_range_lu(_gated_block_lufs(energy, sizes, 30)),
        sample_rate=sample_rate,
        frames=frames,
        clipped=clipped,
    )
    return dataclasses.replace(
        compliance,
        failure_reason=_failure_reason(compliance, spec),
        not_measured_reason=_not_measured_reason(compliance, spec),
    )


def _not_measured_reason(compliance: ComplianceResult, spec: DeliverySpec) -> str:
    if compliance.true_peak_db == -math.inf:
        return "the track is silent"
    if spec.asks_for_loudness and not math.isfinite(compliance.lufs):
        return "the track is shorter than 400 ms, or never above −70 LUFS"
    return ""


def _failure_reason(compliance: ComplianceResult, spec: DeliverySpec) -> str:
    reasons = []
    if spec.lufs is not None and math.isfinite(compliance.lufs):
        deviation_lu = compliance.lufs - spec.lufs
        if abs(deviation_lu) > TOLERANCE_LU:
            side = "above" if deviation_lu > 0 else "below"
            reasons.append(f"{abs(deviation_lu):.1f} LU {side} {format_general(round(spec.lufs, 2), 'LUFS')}")
    if spec.true_peak_db is not None and compliance.true_peak_db > spec.true_peak_db + PEAK_TOLERANCE_DB:
        overshoot_db = compliance.true_peak_db - spec.true_peak_db
        reasons.append(f"{overshoot_db:.2f} dB over {format_general(spec.true_peak_db, 'dBTP')}")
    if compliance.clipped and (spec.lufs is not None or spec.true_peak_db is not None):
        reasons.append("clipped")
    return ", ".join(reasons)


def _count_clipped(chunk: np.ndarray, bits: int) -> int:
    """Number of samples at the ends of the integer range; for floats, beyond full scale."""
    if not bits:
        return int(np.count_nonzero(np.abs(chunk) > 1.0))
    return int(np.count_nonzero((chunk >= np.float32(1.0 - 2.0 ** (1 - bits))) | (chunk <= -1.0)))


class _KWeightedEnergy:
    """The K-weighted energy of each 100 ms."""

    def __init__(self, sample_rate: int, channels: int):
        self._rate = sample_rate
        self._filter = SectionFilter(_k_weighting(sample_rate), channels)
        self._weights = channel_weights(channels).astype(np.float64)
        self._pending_energy = np.zeros(0)
        self._num_hops = 0

    def hop_energies(self, chunk: Float[np.ndarray, "frames channel"]) -> Float[np.ndarray, "hops 2"]:
        """Energy and number of frames of each 100 ms that ends in this chunk."""
        weighted = self._filter(chunk.T)
        self._pending_energy = np.concatenate([self._pending_energy, self._weights @ (weighted * weighted)])
        hops = []
        while len(self._pending_energy) >= (size := self._next_hop_frames()):
            hops.append((float(self._pending_energy[:size].sum()), float(size)))
            self._pending_energy = self._pending_energy[size:]
            self._num_hops += 1
        return np.array(hops).reshape(-1, 2)

    def _next_hop_frames(self) -> int:
        """Frames of the next 100 ms; the n-th ends at the frame nearest to n · sample_rate / 10."""
        start, end = ((2 * n * self._rate + 10) // 20 for n in (self._num_hops, self._num_hops + 1))
        return end - start


def _k_weighting(sample_rate: int) -> Float[np.ndarray, "2 6"]:
    """The two filters of BS.1770 from their analog parameters (B. De Man, "Evaluation of implementations of the
    EBU R128 loudness measurement", AES 145)."""
    k = math.tan(math.pi * 1681.974450955533 / sample_rate)
    q, high_gain = 0.7071752369554196, 10.0 ** (3.999843853973347 / 20.0)
    mid_gain = high_gain**0.4996667741545416
    a0 = 1.0 + k / q + k * k
    shelf_numerator = [
        high_gain + mid_gain * k / q + k * k,
        2.0 * (k * k - high_gain),
        high_gain - mid_gain * k / q + k * k,
    ]
    shelf = np.array([*shelf_numerator, a0, 2.0 * (k * k - 1.0), 1.0 - k / q + k * k]) / a0
    k, q = math.tan(math.pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    a0 = 1.0 + k / q + k * k
    low_cut = np.array([1.0, -2.0, 1.0, 1.0, 2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0])
    return np.stack([shelf, low_cut])


def _gated_block_lufs(energy: np.ndarray, sizes: np.ndarray, num_hops: int) -> np.ndarray:
    """Loudness in LUFS of each block of `num_hops` · 100 ms, one every 100 ms, where it is above −70 LUFS."""
    if len(energy) < num_hops:
        return np.zeros(0)
    sliding_window = np.lib.stride_tricks.sliding_window_view
    power = sliding_window(energy, num_hops).sum(axis=1) / sliding_window(sizes, num_hops).sum(axis=1)
    lufs = -0.691 + 10.0 * np.log10(np.maximum(power, 1e-30))
    return lufs[lufs > -70.0]


def _above_relative_gate(lufs: np.ndarray, gate_lu: float) -> np.ndarray:
    """The blocks above the mean power of all, plus `gate_lu` (negative)."""
    return lufs[lufs > 10.0 * math.log10(np.mean(10.0 ** (lufs / 10.0))) + gate_lu]


def _integrated_lufs(lufs: np.ndarray) -> float:
    if not len(lufs):
        return -math.inf
    return 10.0 * math.log10(np.mean(10.0 ** (_above_relative_gate(lufs, -10.0) / 10.0)))


def _loudness_range_lu(lufs: np.ndarray) -> float:
    """From the 10th to the 95th percentile of the short-term loudness above the gate of −20 LU (EBU Tech 3342)."""
    if not len(lufs):
        return 0.0
    ordered = np.sort(_above_relative_gate(lufs, -20.0))
    low, high = (ordered[math.floor(share * (len(ordered) - 1) + 0.5)] for share in (0.10, 0.95))
    return float(high - low)


class _TruePeakTracker:
    """The largest amplitude at and between samples: `true_peak`, complete after the last chunk."""

    def __init__(self, channels: int):
        self._pending_samples = np.zeros((_FILTER_SAMPLES, channels), np.float32)
        self.true_peak = 0.0

    def tap(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        """Returns the chunks unchanged and measures them as they pass."""
        for chunk in chunks:
            self._update(chunk)
            yield chunk
        ringing = np.zeros((_ROW_SAMPLES + _FILTER_SAMPLES, self._pending_samples.shape[1]), np.float32)
        self._update(ringing)

    def _update(self, chunk: Float[np.ndarray, "frames channel"]) -> None:
        joined = np.concatenate([self._pending_samples, chunk])
        rows = (len(joined) - _FILTER_SAMPLES) // _ROW_SAMPLES
        self._pending_samples = joined[rows * _ROW_SAMPLES :]  # the interpolation needs the samples that follow
        self.true_peak = max(self.true_peak, float(np.abs(chunk).max(initial=0.0)))
        for channel in joined.T if rows else ():
            self.true_peak = _max_interpolated_peak(np.ascontiguousarray(channel), self.true_peak)


def _max_interpolated_peak(samples: Float[np.ndarray, " frames"], known_peak: float) -> float:
    """The largest interpolated amplitude, at least `known_peak`; rows that cannot exceed it are skipped."""
    matrix, max_gain = _interpolation_matrix()
    rows = np.lib.stride_tricks.sliding_window_view(samples, len(matrix))[::_ROW_SAMPLES]
    step_peaks = step_maxima(np.abs(samples), _ROW_SAMPLES)
    row_peaks = np.maximum(step_peaks[: len(rows)], step_peaks[1 : len(rows) + 1])  # a row is shorter than two steps
    (loud,) = np.nonzero(row_peaks * max_gain > known_peak)
    row_batches = np.resize(loud, (-(-len(loud) // _ROWS_PER_PRODUCT), _ROWS_PER_PRODUCT))  # padded by repetition
    interpolated = rows[row_batches] @ matrix
    return max(known_peak, float(interpolated.max(initial=0.0)), -float(interpolated.min(initial=0.0)))


@functools.cache
def _interpolation_matrix() -> tuple[Float[np.ndarray, "samples points"], float]:
    """The filter of SciPy's `resample_poly` at eight times the rate as a matrix, and its largest gain within ±1;
    a sinc under a Kaiser window with β = 5.

    It maps `_ROW_SAMPLES + _FILTER_SAMPLES` samples to the interpolated values that depend on no others.
    """
    half_taps = _OVERSAMPLING * _FILTER_SAMPLES // 2
    taps = np.sinc(np.arange(-half_taps, half_taps + 1) / _OVERSAMPLING) * np.kaiser(2 * half_taps + 1, 5.0)
    taps *= _OVERSAMPLING / taps.sum()
    max_gain = max(np.abs(taps[phase::_OVERSAMPLING]).sum() for phase in range(_OVERSAMPLING))
    input_samples = _ROW_SAMPLES + _FILTER_SAMPLES
    points = np.arange(_OVERSAMPLING * _FILTER_SAMPLES, _OVERSAMPLING * input_samples)
    delay = points[None] - _OVERSAMPLING * np.arange(input_samples)[:, None]
    matrix = np.where((delay >= 0) & (delay < len(taps)), taps[np.clip(delay, 0, len(taps) - 1)], 0.0)
    return matrix.astype(np.float32), float(max_gain)
