"""The null test: the difference between the gain-matched master and the input."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from nmjax.audio import writer
from nmjax.audio.streams import AudioChunks, rechunk
from nmjax.audio.units import power_to_db
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

_BLOCK_FRAMES = 1 << 16
_MAX_WAV_BYTES = 4_000_000_000


@dataclasses.dataclass(frozen=True)
class NullTest:
    """The result of a null test.

    gain_db: the gain of the master.
    level_db: mean square of the difference relative to the input's, −inf for silence.
    """

    gain_db: float
    level_db: float


def write_null_test(
    path: Path, before: Callable[[], AudioChunks], after: Callable[[], AudioChunks], sample_rate: int, channels: int
) -> NullTest:
    """Write gain · master − input as a 32-bit float WAV file, with the least-squares gain.

    The gain is Σ after·before / Σ after² over all samples and channels. Both signals are read twice, as streams.

    Args:
        path: ends in .wav; an existing file is replaced atomically.
        before, after: open input and master at their start, `[frames, channel]`, aligned to the sample.
        sample_rate: Hz, of both.
        channels: of both.

    Raises:
        BadInputError: another extension, signals of different size, or a path that cannot be written.
    """
    if path.suffix.lower() != ".wav":
        raise BadInputError(f"'{path}' must end in .wav; that is what --null-test writes.")
    input_energy, cross_energy, master_energy, num_frames = 0.0, 0.0, 0.0, 0
    for input_block, master_block in _zip_blocks(before(), after()):
        input_energy += _inner_product(input_block, input_block)
        cross_energy += _inner_product(master_block, input_block)
        master_energy += _inner_product(master_block, master_block)
        num_frames += len(input_block)
    gain = max(cross_energy / master_energy, 0.0) if master_energy > 0.0 else 1.0
    null_energy = 0.0

    def difference() -> Iterator[np.ndarray]:
        nonlocal null_energy
        for input_block, master_block in _zip_blocks(before(), after()):
            block = (gain * master_block.astype(np.float64) - input_block).astype(np.float32)
            null_energy += _inner_product(block, block)
            yield block

    container = "RF64" if num_frames * channels * 4 > _MAX_WAV_BYTES else "WAV"
    with atomic_files.atomic_write(path) as temporary:
        writer.encode_audio(temporary, difference(), sample_rate, channels, container, "FLOAT")
    level_db = power_to_db(null_energy / input_energy) if input_energy > 0.0 else -math.inf
    return NullTest(gain_db=power_to_db(gain**2), level_db=level_db)


def _zip_blocks(before: AudioChunks, after: AudioChunks) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of blocks of equal length."""
    try:
        yield from zip(rechunk(before, _BLOCK_FRAMES), rechunk(after, _BLOCK_FRAMES), strict=True)
    except ValueError:
        raise BadInputError("Input and master differ in length. Leave out --null-test.") from None


def _inner_product(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape:
        raise BadInputError("Input and master differ in length or channels. Leave out --null-test.")
    return float(np.einsum("tc,tc->", a, b, dtype=np.float64))
