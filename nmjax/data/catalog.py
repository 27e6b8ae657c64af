"""Songs of a collection: their files, and what a scan measured of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int8

from nmjax.audio.reader import AudioInfo

LEVEL_BLOCK_SECONDS = 0.5  # length of one value of `Recording.levels_lufs`


@dataclasses.dataclass(frozen=True)
class Recording:
    """An audio file in which seeking is exact, and the results of its scan.

    Attributes:
        path: the file to read; for a lossy original its decoded copy.
        frames, sample_rate, channels, container, subtype: of `path`, see `nmjax.audio.reader.AudioInfo`.
        scale: factor on the samples in `path`; 1 unless decoded.
        original_path: the file that was given, links resolved.
        loudness_lufs: integrated loudness; −inf for silence.
        levels_lufs: K-weighted level of each half second in whole LUFS.
        spectrum_db: level of each band of `nmjax.data.scan.THIRD_OCTAVE_CENTERS_HZ`.
    """

    path: str
    frames: int
    sample_rate: int
    channels: int
    container: str
    subtype: str
    scale: float
    original_path: str
    loudness_lufs: float
    levels_lufs: Int8[np.ndarray, " half_seconds"] = dataclasses.field(compare=False, repr=False)
    spectrum_db: Float[np.ndarray, " bands"] = dataclasses.field(compare=False, repr=False)

    @property
    def info(self) -> AudioInfo:
        """The header of `path`. Made on demand: a hundred thousand Path objects take seconds."""
        return AudioInfo(
            path=Path(self.path),
            frames=self.frames,
            sample_rate=self.sample_rate,
            channels=self.channels,
            container=self.container,
            subtype=self.subtype,
        )

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.frames / self.sample_rate


@dataclasses.dataclass(frozen=True)
class PairAlignment:
    """The mastered side of a pair against the unmastered one.

    Attributes:
        delay_frames: by which the mastered side is late; negative where it is early.
        polarity: 1, or −1 where one side is inverted.
        gain_db: difference of the integrated loudness. It is not corrected: training normalizes both sides.
    """

    delay_frames: int = 0
    polarity: int = 1
    gain_db: float = 0.0


@dataclasses.dataclass(frozen=True)
class Song:
    """One song of a collection.

    Attributes:
        name: path without suffix, relative to the folder or CSV.
        group: album or package; "" if none.
        target: the mastered side.
        input: the unmastered side; None where training degrades the target.
        genre: from a CSV.
        source_index: which of several sources the song is from.
        alignment: of target and input.
    """

    name: str
    group: str
    target: Recording
    input: Recording | None = None
    genre: str = ""
    source_index: int = 0
    alignment: PairAlignment = PairAlignment()

    @property
    def seconds(self) -> float:
        """Duration of the mastered side."""
        return self.target.seconds
