"""What a song is to the rest of the pipeline."""

from __future__ import annotations

import dataclasses

from nmjax.io import AudioInfo


@dataclasses.dataclass(frozen=True)
class Sound:
    """A file in which seeking is exact. Its samples carry `scale`."""

    info: AudioInfo
    scale: float


@dataclasses.dataclass(frozen=True)
class Song:
    """One song. `target` is the mastered side; `input` the unmastered one, or None where it is made.

    name: the path without its ending, relative to the folder. group: the album or package it belongs to.
    """

    name: str
    group: str
    target: Sound
    input: Sound | None = None
    genre: str = ""

    @property
    def seconds(self) -> float:
        """Duration of the mastered side."""
        return self.target.info.frames / self.target.info.sample_rate
