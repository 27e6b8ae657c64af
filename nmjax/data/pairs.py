"""Whether two files are the two sides of one song: same rate, channels and length, and not shifted."""

from __future__ import annotations

import numpy as np

from nmjax import io
from nmjax.data.songs import Sound
from nmjax.errors import BadInputError

_LISTEN_SECONDS = 8.0
_FARTHEST_SECONDS = 0.5
_SURE = 0.5  # correlation from which a shift is believed


def check(source: Sound, target: Sound) -> None:
    """Raise a BadInputError that names both files and what differs."""
    a, b = source, target
    both = f"'{a.path}' and '{b.path}'"
    if a.sample_rate != b.sample_rate:
        raise BadInputError(
            f"{both} differ in sample rate ({a.sample_rate} and {b.sample_rate} Hz); export them alike."
        )
    if a.channels != b.channels:
        raise BadInputError(f"{both} differ in channels ({a.channels} and {b.channels}); export them alike.")
    if a.frames != b.frames:
        raise BadInputError(f"{both} differ in length ({a.frames} and {b.frames} samples); cut them alike.")
    if shift := _shift(source, target):
        raise BadInputError(f"{both} are shifted against each other by {shift} samples; align them.")


def _shift(source: Sound, target: Sound) -> int:
    """How many samples the target lies behind the source, 0 unless another lag fits clearly better."""
    rate, frames = target.sample_rate, target.frames
    count = min(frames, int(_LISTEN_SECONDS * rate))
    start = (frames - count) // 2
    a, b = (io.mono(io.read(s.path, start, count)) for s in (source, target))
    energy = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    if energy == 0.0:
        return 0
    size = 2 * count
    correlation = np.fft.irfft(np.conj(np.fft.rfft(a, size)) * np.fft.rfft(b, size)) / energy
    farthest = min(int(_FARTHEST_SECONDS * rate), count - 1)
    lags = np.arange(-farthest, farthest + 1)
    near = np.abs(correlation[lags])
    best = int(lags[np.argmax(near)])
    believed = near.max() > _SURE and near.max() > 1.05 * abs(correlation[0])
    return best if believed and abs(best) > 2 else 0
