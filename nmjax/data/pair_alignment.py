"""Alignment of training pairs: constant delay, polarity and level between an unmastered and a mastered file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.audio.phase_correlation import phase_correlation
from nmjax.data.catalog import PairAlignment, Recording, Song
from nmjax.runtime.errors import BadInputError

_MAX_DELAY_SECONDS = 0.5
_SECTIONS = 4  # where the delay is estimated, each around the loudest half second of a quarter of the song
_MIN_SECTION_SECONDS, _MAX_SECTION_SECONDS = 1.0, 4.0
_MIN_PEAK_RATIO = 8.0  # peak over RMS of the correlation; among 44,100 lags of unrelated signals it reaches 5
_MIN_EXPLAINED = 0.02  # of the master's energy, by a filter of the input
_FILTER_TAPS = 32
_TIE = 0.98  # a delay of 0 wins over peaks that are hardly higher
_MAX_SENTENCES = 8  # about single pairs
_SECTION_TOLERANCE = 2  # frames by which the delays of sections may differ


def align_pair(unmastered: Recording, mastered: Recording) -> PairAlignment:
    """Delay, polarity and level of the mastered file against the unmastered one.

    The delay is the peak of the correlation with phase transform (GCC-PHAT: Knapp and Carter, "The Generalized
    Correlation Method for Estimation of Time Delay", 1976), summed over sections of the song: equalizers and dynamics
    hardly move that peak, while they move the peak of the plain correlation by several samples.

    Raises:
        BadInputError: the files differ in sample rate or channels, differ in length by more than 0.5 s, or hold
            different music, or their delay changes within the song.
    """
    names = f"'{unmastered.original_path}' and '{mastered.original_path}'"
    if unmastered.sample_rate != mastered.sample_rate:
        rates = f"{unmastered.sample_rate} and {mastered.sample_rate} Hz"
        raise BadInputError(f"{names} differ in sample rate ({rates}). Export both at one rate.")
    if unmastered.channels != mastered.channels:
        channels = f"{unmastered.channels} and {mastered.channels}"
        raise BadInputError(f"{names} differ in channels ({channels}). Export both alike.")
    max_delay = int(_MAX_DELAY_SECONDS * mastered.sample_rate)
    if abs(unmastered.frames - mastered.frames) > max_delay:
        frames = f"{unmastered.frames} and {mastered.frames} samples"
        raise BadInputError(f"{names} differ in length ({frames}). Cut both to the same section.")
    sections = [_read_section(unmastered, mastered, start) for start in _section_starts(mastered)]
    sections = [(x, y) for x, y in sections if x.any() and y.any()]
    if not sections:  # silence
        return PairAlignment()
    delay, polarity = _estimate_delay(sections, max_delay, names)
    gain_db = mastered.loudness_lufs - unmastered.loudness_lufs
    return PairAlignment(delay, polarity, gain_db if np.isfinite(gain_db) else 0.0)


def describe_alignments(songs: Sequence[Song]) -> list[str]:
    """How the sides of pairs were aligned: a sentence for each pair that needed it, or one for all where many did."""
    moved = [song for song in songs if song.alignment.delay_frames or song.alignment.polarity < 0]
    if len(moved) <= _MAX_SENTENCES:
        return [_describe_alignment(song) for song in moved]
    milliseconds = max(1000.0 * abs(song.alignment.delay_frames) / song.target.sample_rate for song in moved)
    inverted = sum(song.alignment.polarity < 0 for song in moved)
    return [
        f"Aligned {len(moved)} of {len(songs)} pairs: their sides were up to {milliseconds:.2f} ms apart"
        + (f", and {inverted} of them inverted in polarity." if inverted else ".")
    ]


def _describe_alignment(song: Song) -> str:
    alignment, corrections = song.alignment, []
    assert song.input is not None
    if alignment.delay_frames:
        milliseconds = 1000.0 * abs(alignment.delay_frames) / song.target.sample_rate
        direction = "late" if alignment.delay_frames > 0 else "early"
        samples = "1 sample" if abs(alignment.delay_frames) == 1 else f"{abs(alignment.delay_frames)} samples"
        corrections.append(f"{samples} ({milliseconds:.2f} ms) {direction}")
    if alignment.polarity < 0:
        corrections.append("inverted in polarity")
    difference = ", ".join([*corrections, f"{alignment.gain_db:+.1f} dB in level"])
    return f"Aligned '{song.target.original_path}' with '{song.input.original_path}': it was {difference}."


def _section_frames(recording: Recording) -> int:
    """Length of a section: a quarter of the song, within limits."""
    limits = (_MIN_SECTION_SECONDS * recording.sample_rate, _MAX_SECTION_SECONDS * recording.sample_rate)
    return int(np.clip(recording.frames // _SECTIONS, *limits))


def _section_starts(recording: Recording) -> list[int]:
    """First frames of sections around the loudest half second of each quarter of a song."""
    size, levels = _section_frames(recording), recording.levels_lufs
    count = max(1, min(_SECTIONS, recording.frames // size))
    last_start = max(0, recording.frames - size)
    starts = []
    for part in np.array_split(np.arange(len(levels)), count):
        center = (part[np.argmax(levels[part])] + 0.5) * recording.frames / len(levels) if len(part) else 0
        starts.append(int(np.clip(center - size / 2, 0, last_start)))
    return starts


Section = tuple[Float[np.ndarray, " frames"], Float[np.ndarray, " frames"]]


def _read_section(unmastered: Recording, mastered: Recording, start: int) -> Section:
    """The mean of the channels of both files in one section."""
    size = _section_frames(mastered)
    x, y = (
        reader.to_mono(reader.read_frames(recording.path, start, size)).astype(np.float64)
        for recording in (unmastered, mastered)
    )
    size = min(len(x), len(y))
    return x[:size], y[:size]


def _estimate_delay(sections: list[Section], max_delay: int, names: str) -> tuple[int, int]:
    """Delay in frames and polarity, +1 or −1, of the second signal against the first."""
    max_delay = min(max_delay, min(len(x) for x, _ in sections) - 1)
    correlations = [_phat(x, y, max_delay) for x, y in sections]
    total = np.sum(correlations, axis=0)
    magnitudes = np.abs(total)
    peak = int(np.argmax(magnitudes))
    if magnitudes[max_delay] >= _TIE * magnitudes[peak]:
        peak = max_delay
    delay = peak - max_delay
    aligned, unaligned = (np.mean([_explained(x, y, lag) for x, y in sections]) for lag in (delay, 0))
    if aligned < unaligned - 1e-3:
        delay, aligned = 0, unaligned
    is_peak = magnitudes[delay + max_delay] > _MIN_PEAK_RATIO * np.sqrt(np.mean(total**2))
    if not is_peak or aligned < _MIN_EXPLAINED:
        raise BadInputError(f"{names} hold different music, or are over 0.5 s apart. Check the pair, or align it.")
    near = slice(max(0, delay + max_delay - _SECTION_TOLERANCE), delay + max_delay + _SECTION_TOLERANCE + 1)
    agreeing = sum(np.abs(c[near]).max() >= 0.5 * np.abs(c).max() for c in correlations)
    if 2 * agreeing <= len(sections):
        raise BadInputError(f"{names} have a delay that changes within the song. Export both from one session.")
    return delay, 1 if total[delay + max_delay] > 0 else -1


def _phat(
    x: Float[np.ndarray, " frames"], y: Float[np.ndarray, " frames"], max_delay: int
) -> Float[np.ndarray, " lags"]:
    """Correlation with phase transform at lags −max_delay … max_delay; 1 at the lag of a pure delay.

    Bins in which either signal has no energy (−120 dB) do not count.
    """
    size = _fft_size(len(x) + max_delay)
    correlation = phase_correlation(x, y, size, floor=1e-6)
    return np.concatenate([correlation[size - max_delay :], correlation[: max_delay + 1]])


def _explained(x: Float[np.ndarray, " frames"], y: Float[np.ndarray, " frames"], lag: int) -> float:
    """Fraction of y's energy that a causal least-squares filter of 32 taps predicts from x delayed by `lag`."""
    x = x[max(0, -lag) : len(x) - max(0, lag)]
    y = y[max(0, lag) : len(y) - max(0, -lag)]
    size = _fft_size(len(x) + _FILTER_TAPS)
    x_spectrum, y_spectrum = np.fft.rfft(x, size), np.fft.rfft(y, size)
    auto = np.fft.irfft(np.abs(x_spectrum) ** 2, size)[:_FILTER_TAPS]
    cross = np.fft.irfft(np.conj(x_spectrum) * y_spectrum, size)[:_FILTER_TAPS]
    energy = float(y @ y)
    if auto[0] <= 0.0 or energy == 0.0:
        return 0.0
    auto[0] *= 1.0 + 1e-6  # band-limited music makes the matrix singular
    taps = np.arange(_FILTER_TAPS)
    coefficients = np.linalg.solve(auto[np.abs(taps[:, None] - taps)], cross)
    return float(cross @ coefficients) / energy


def _fft_size(frames: int) -> int:
    """The next power of two."""
    return 1 << (frames - 1).bit_length()
