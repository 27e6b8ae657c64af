"""Traces of how a file was made: the low-pass of a lossy codec, upsampling, zero-padded samples, DC offset."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from nmjax.audio.units import amplitude_to_db, power_to_db
from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.mastering.diagnosis.percentiles import percentile_of
from nmjax.mastering.diagnosis.spectrum import MIN_WINDOWS, LongTermSpectrum
from nmjax.runtime.number_format import format_fixed, format_signed

_LOUD_PERCENT = 90.0  # of the levels over time: the cut-off shows best where the highs are loud
_SMOOTHING_HZ = 100.0
_EDGES = ((500.0, 20.0), (1_500.0, 30.0))  # a low-pass falls within this width in Hz by this many dB; music does not
_MAX_RISE_DB = 6.0  # above the edge there is no music
_MIN_CUTOFF_HZ = 4_000.0
_LOSSY_MAX_HZ = 16_200.0  # a cut-off above it is hardly audible, and usual in good codecs; MP3 of 128 kbit/s ends here
_UPSAMPLED_RATES_HZ = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000)
_UPSAMPLED_EDGE = (0.88, 1.01)  # of the Nyquist frequency of the original rate
_MIN_DC = 5e-3  # −46 dBFS; less costs nothing
_WARNING_DC, _PROBLEM_DC = 2e-2, 5e-2  # less costs 0.2 dB of headroom at most; a tenth of all songs has some
SUBSONIC_HZ = 15.0  # the lowest note of an organ has 16 Hz
_LOWEST_HZ = 2.0  # below, an offset leaks into the bins
_MIN_SUBSONIC_DB = -3.0  # relative to all that is audible; 2 % of the training songs have more


def cutoff_hz(spectrum: LongTermSpectrum) -> float:
    """The frequency above which the spectrum drops steeply and stays there; NaN without one."""
    return steep_cutoff_hz(spectrum.percentile_db(_LOUD_PERCENT), spectrum.bin_hz)


def steep_cutoff_hz(level_db: Float[np.ndarray, " bins"], bin_hz: float) -> float:
    """The frequency above which levels drop steeply and stay there; NaN without one.

    Args:
        level_db: level of each bin, from 0 Hz on.
        bin_hz: spacing of the bins.
    """
    width = max(1, round(_SMOOTHING_HZ / bin_hz))
    bands = level_db[: len(level_db) // width * width].reshape(-1, width).mean(axis=1)
    band_hz = width * bin_hz
    first = round(_MIN_CUTOFF_HZ / band_hz)
    for width_hz, min_drop_db in _EDGES:
        step = max(1, round(width_hz / band_hz))
        if len(bands) <= step + first:
            continue
        drop = bands[first:-step] - bands[first + step :]
        edge = first + int(np.argmax(drop))
        above = bands[edge + step :]
        if drop.max() >= min_drop_db and above.max() <= bands[edge + step] + _MAX_RISE_DB:
            middle = bands[edge : edge + step + 1] >= bands[edge] - 0.5 * drop.max()
            return (edge + np.count_nonzero(middle)) * band_hz
    return math.nan


def find_bandwidth(spectrum: LongTermSpectrum, sample_rate: int) -> list[Finding]:
    """A cut-off of the highs: an original at a lower rate, or a lossy codec."""
    if spectrum.num_windows < MIN_WINDOWS:
        return []
    cutoff = cutoff_hz(spectrum)
    if math.isnan(cutoff):
        return []
    for rate in _UPSAMPLED_RATES_HZ:
        low, high = (share * rate / 2 for share in _UPSAMPLED_EDGE)
        if rate < 0.95 * sample_rate and low <= cutoff <= high and (cutoff > 19_000.0 or rate <= 24_000):
            return [_upsampled(cutoff, rate, sample_rate)]
    if cutoff > _LOSSY_MAX_HZ:
        return []
    return [
        Finding(
            name="lossy_source",
            value=cutoff,
            unit="Hz",
            severity=Severity.INFO,
            sentence=f"Nothing sounds above {cutoff / 1000:.1f} kHz: a lossy format such as MP3, or a low-pass filter,"
            " took it away.",
            remedy="Master from the original export if you have it.",
        )
    ]


def _upsampled(cutoff: float, original_rate: int, sample_rate: int) -> Finding:
    return Finding(
        name="upsampled",
        value=cutoff,
        unit="Hz",
        severity=Severity.WARNING if original_rate < 44_100 else Severity.INFO,
        sentence=f"The file has {sample_rate:,} samples a second, but the music ends at {cutoff / 1000:.1f} kHz: it was"
        f" made at {original_rate:,} Hz or less.",
        remedy="Export at the rate of the session; a higher one adds no detail.",
    )


class SampleStatistics:
    """Sums of the samples, and the finest step of 24 bits that they use.

    Attributes:
        num_frames: length.
        block_means: mean of each channel in each block of 1.5 s.
    """

    def __init__(self, channels: int):
        self._sums = np.zeros(channels)
        self.block_means: list[Float[np.ndarray, " channel"]] = []
        self._bits, self._is_integer = 0, True
        self.num_frames = 0

    def update(self, block: Float[np.ndarray, "channel frames"]) -> None:
        """Add a block."""
        sums = block.sum(axis=1, dtype=np.float64)
        self._sums += sums
        self.block_means.append(sums / block.shape[1])
        self.num_frames += block.shape[1]
        if self._is_integer and not self._bits & 1:  # until the lowest bit is seen
            scaled = block * np.float32(1 << 23)
            integers = scaled.astype(np.int32)
            self._is_integer = bool(np.array_equal(integers, scaled))
            self._bits |= int(np.bitwise_or.reduce(integers, axis=None))

    @property
    def mean(self) -> Float[np.ndarray, " channel"]:
        """Mean of each channel."""
        return self._sums / max(1, self.num_frames)

    @property
    def used_bits(self) -> int | None:
        """Bits that the samples need; None where they are no integers of 24 bits, or all zero."""
        if not self._is_integer or not self._bits:
            return None
        return 24 - ((self._bits & -self._bits).bit_length() - 1)


def find_padding(samples: SampleStatistics, container_bits: int | None) -> list[Finding]:
    """A file whose lowest bits are always zero.

    Args:
        samples: of the signal.
        container_bits: of the file's samples; None where unknown.
    """
    used = samples.used_bits
    if used is None or container_bits is None or used > min(container_bits, 24) - 4:
        return []
    return [
        Finding(
            name="zero_padded",
            value=float(used),
            unit="bit",
            severity=Severity.INFO,
            sentence=f"The file stores {container_bits} bits a sample, but only {used} are used.",
            remedy="Export with 24 bits or as float before mastering, without a detour over fewer bits.",
        )
    ]


def find_dc_offset(mean: Float[np.ndarray, " channel"]) -> list[Finding]:
    """A constant offset of the waveform.

    Args:
        mean: of each channel over the whole track.
    """
    largest = float(np.abs(mean).max(initial=0.0))
    if largest < _MIN_DC:
        return []
    level_db = amplitude_to_db(largest)
    return [
        Finding(
            name="dc_offset",
            value=level_db,
            unit="dBFS",
            severity=Severity.PROBLEM
            if largest >= _PROBLEM_DC
            else (Severity.WARNING if largest >= _WARNING_DC else Severity.INFO),
            sentence=f"The waveform is shifted off zero by {100.0 * largest:.1f} % of full scale"
            f" ({format_fixed(level_db, 'dBFS', digits=0)}), which costs headroom and can click at edits.",
            remedy="Apply a high-pass filter below 20 Hz, or your editor's DC removal.",
            percentile=percentile_of("dc_offset_db", level_db),
        )
    ]


def find_subsonic(spectrum: LongTermSpectrum) -> list[Finding]:
    """Much power below the lowest notes: rumble, wind, or a synthesizer that wanders around zero."""
    audible = spectrum.band_power(SUBSONIC_HZ, spectrum.freq_hz[-1])
    subsonic = spectrum.band_power(_LOWEST_HZ, SUBSONIC_HZ)
    if spectrum.num_windows < MIN_WINDOWS or subsonic < audible * 10.0 ** (_MIN_SUBSONIC_DB / 10.0) or not audible:
        return []
    level_db = power_to_db(subsonic / audible)
    return [
        Finding(
            name="subsonic",
            value=level_db,
            unit="dB",
            severity=Severity.WARNING,
            sentence=f"Below {SUBSONIC_HZ:g} Hz there is {format_signed(level_db, 'dB', digits=0)} of power, relative"
            " to the music: rumble that costs headroom.",
            remedy=f"Apply a high-pass filter below {SUBSONIC_HZ:g} Hz.",
        )
    ]
