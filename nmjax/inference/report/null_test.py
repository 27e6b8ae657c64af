"""The null test: what is left of a master when the input is taken out of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from nmjax import io
from nmjax.errors import BadInputError
from nmjax.inference.decibels import of_power
from nmjax.inference.stream import Pieces, recut

_PIECE = 1 << 16  # frames
_MOST_WAV_BYTES = 4_000_000_000


@dataclasses.dataclass(frozen=True)
class NullTest:
    """gain_db: what the master was scaled by. level_db: the difference's mean square relative to the input's, −inf
    where nothing is left."""

    gain_db: float
    level_db: float


def write_null_test(
    path: Path, before: Callable[[], Pieces], after: Callable[[], Pieces], sample_rate: int, channels: int
) -> NullTest:
    """Write gain · master − input as WAV (32 bits, float), with the gain at which least is left.

    That gain is Σ after·before / Σ after² over all samples and channels. Both signals are read twice, as streams.

    Args:
        path: ends in .wav; an existing file is replaced, whole or not at all.
        before, after: give input and master from their start, `[frames, channel]`, aligned to the sample.
        sample_rate: Hz, of both.
        channels: of both.

    Raises:
        BadInputError: another ending, signals of different length, or a place that cannot be written.
    """
    if path.suffix.lower() != ".wav":
        raise BadInputError(f"'{path}' must end in .wav; that is what --null-test writes.")
    input_energy, product, energy, frames = 0.0, 0.0, 0.0, 0
    for old, new in _together(before(), after()):
        input_energy += _dot(old, old)
        product += _dot(new, old)
        energy += _dot(new, new)
        frames += len(old)
    gain = max(product / energy, 0.0) if energy > 0.0 else 1.0
    left = 0.0

    def difference() -> Iterator[np.ndarray]:
        nonlocal left
        for old, new in _together(before(), after()):
            piece = (gain * new.astype(np.float64) - old).astype(np.float32)
            left += _dot(piece, piece)
            yield piece

    container = "RF64" if frames * channels * 4 > _MOST_WAV_BYTES else "WAV"
    with io.temporary_beside(path) as temporary:
        io.encode(temporary, difference(), sample_rate, channels, container, "FLOAT")
        io.publish(temporary, path)
    return NullTest(of_power(gain**2), of_power(left / input_energy) if input_energy > 0.0 else -math.inf)


def _together(before: Pieces, after: Pieces) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pieces of both, each as long as the other's."""
    try:
        yield from zip(recut(before, _PIECE), recut(after, _PIECE), strict=True)
    except ValueError:
        raise BadInputError("Input and master differ in length, so there is no null test; leave it out.") from None


def _dot(one: np.ndarray, other: np.ndarray) -> float:
    if one.shape != other.shape:
        raise BadInputError("Input and master differ in length or channels, so there is no null test; leave it out.")
    return float(np.einsum("tc,tc->", one, other, dtype=np.float64))
