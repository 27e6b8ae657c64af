"""The null test: what is left of a master when the input is taken out of it."""

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

_BLOCK_FRAMES = 1 << 16  # frames
_MAX_WAV_BYTES = 4_000_000_000


@dataclasses.dataclass(frozen=True)
class NullTest:
    """gain_db: what the master was scaled by. level_db: the difference's mean square relative to the input's, −inf
    where nothing is left."""

    gain_db: float
    level_db: float


def write_null_test(
    path: Path, before: Callable[[], AudioChunks], after: Callable[[], AudioChunks], sample_rate: int, channels: int
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
    with atomic_files.temporary_sibling(path) as temporary:
        writer.encode_audio(temporary, difference(), sample_rate, channels, container, "FLOAT")
        atomic_files.commit_file(temporary, path)
    return NullTest(power_to_db(gain**2), power_to_db(null_energy / input_energy) if input_energy > 0.0 else -math.inf)


def _zip_blocks(before: AudioChunks, after: AudioChunks) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pieces of both, each as long as the other's."""
    try:
        yield from zip(rechunk(before, _BLOCK_FRAMES), rechunk(after, _BLOCK_FRAMES), strict=True)
    except ValueError:
        raise BadInputError("Input and master differ in length, so there is no null test; leave it out.") from None


def _inner_product(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape:
        raise BadInputError("Input and master differ in length or channels, so there is no null test; leave it out.")
    return float(np.einsum("tc,tc->", a, b, dtype=np.float64))
