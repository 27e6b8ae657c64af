"""What a song is to the rest of the pipeline."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from nmjax.audio.reader import AudioInfo

LEVEL_BLOCK_SECONDS = 0.5  # of one value of `Sound.levels`


@dataclasses.dataclass(frozen=True)
class Recording:
    """A file in which seeking is exact, and what was measured when it was read through.

    Its samples carry `scale`. original: the file that was given, links resolved; a lossy one was decoded into
    `path`. loudness: integrated, LUFS; −inf where it is silent throughout. levels: `[half seconds]` int8, LUFS in
    whole dB. spectrum: `[bands]` float32, see `nmjax.data.scan`.
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
    levels_lufs: np.ndarray = dataclasses.field(compare=False, repr=False)
    spectrum_db: np.ndarray = dataclasses.field(compare=False, repr=False)

    @property
    def info(self) -> AudioInfo:
        """What the file's header says; made when asked for, because a hundred thousand paths take seconds."""
        return AudioInfo(Path(self.path), self.frames, self.sample_rate, self.channels, self.container, self.subtype)

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.frames / self.sample_rate


@dataclasses.dataclass(frozen=True)
class Song:
    """One song. `target` is the mastered side; `input` the unmastered one, or None where it is made.

    name: the path without its ending, relative to the folder. group: the album or package it belongs to, "" if none.
    source: which of several sources it comes from, from 0.
    """

    name: str
    group: str
    target: Recording
    input: Recording | None = None
    genre: str = ""
    source_index: int = 0

    @property
    def seconds(self) -> float:
        """Duration of the mastered side."""
        return self.target.seconds
