"""Whether two files are the two sides of one song: same rate, channels and length, and not shifted."""

from __future__ import annotations

import numpy as np

from nmjax.audio import reader
from nmjax.data.catalog import Recording
from nmjax.runtime.errors import BadInputError

_CORRELATION_SECONDS = 8.0
_MAX_LAG_SECONDS = 0.5
_MIN_CORRELATION = 0.5  # correlation from which a shift is believed


def check_pair(unmastered: Recording, mastered: Recording) -> None:
    """Raise a BadInputError that names both files and what differs."""
    a, b = unmastered, mastered
    both_paths = f"'{a.path}' and '{b.path}'"
    if a.sample_rate != b.sample_rate:
        raise BadInputError(
            f"{both_paths} differ in sample rate ({a.sample_rate} and {b.sample_rate} Hz); export them alike."
        )
    if a.channels != b.channels:
        raise BadInputError(f"{both_paths} differ in channels ({a.channels} and {b.channels}); export them alike.")
    if a.frames != b.frames:
        raise BadInputError(f"{both_paths} differ in length ({a.frames} and {b.frames} samples); cut them alike.")
    if lag := _lag_samples(unmastered, mastered):
        raise BadInputError(f"{both_paths} are shifted against each other by {lag} samples; align them.")


def _lag_samples(unmastered: Recording, mastered: Recording) -> int:
    """How many samples the target lies behind the source, 0 unless another lag fits clearly better."""
    rate, frames = mastered.sample_rate, mastered.frames
    count = min(frames, int(_CORRELATION_SECONDS * rate))
    start = (frames - count) // 2
    a, b = (reader.to_mono(reader.read_frames(recording.path, start, count)) for recording in (unmastered, mastered))
    energy = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    if energy == 0.0:
        return 0
    fft_size = 2 * count
    correlation = np.fft.irfft(np.conj(np.fft.rfft(a, fft_size)) * np.fft.rfft(b, fft_size)) / energy
    max_lag = min(int(_MAX_LAG_SECONDS * rate), count - 1)
    lags = np.arange(-max_lag, max_lag + 1)
    magnitudes = np.abs(correlation[lags])
    best_lag = int(lags[np.argmax(magnitudes)])
    is_significant = magnitudes.max() > _MIN_CORRELATION and magnitudes.max() > 1.05 * abs(correlation[0])
    return best_lag if is_significant and abs(best_lag) > 2 else 0
