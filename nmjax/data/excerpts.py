"""Excerpts of songs by random access: a source of slots, and the step that reads one."""

from __future__ import annotations

import dataclasses

import numpy as np

from nmjax import io
from nmjax.data.songs import Song, Sound

_MARGIN_SECONDS = 0.1  # read on both sides when the rate is changed, so that the resampler's ends are cut off
_SILENT = 1e-3  # RMS, −60 dBFS
_TRIES = 8


@dataclasses.dataclass(frozen=True)
class Slot:
    """A place in a song, in seconds; `reach` is how far later the excerpt may start."""

    song: Song
    start: float
    reach: float


class Slots:
    """Every song cut into slots of one excerpt's length, as a random-access source: long songs come up more often."""

    def __init__(self, songs: list[Song], seconds: float):
        self._songs, self._seconds = songs, seconds
        self._ends = np.cumsum([max(1, int(song.seconds // seconds)) for song in songs])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Slot:
        which = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[which - 1]) if which else 0
        return Slot(self._songs[which], (index - first) * self._seconds, self._seconds)

    def __repr__(self) -> str:
        return f"Slots({len(self._songs)} songs, {self._seconds} s)"


@dataclasses.dataclass(frozen=True)
class ReadExcerpt:
    """Slot → `{"target": [time, channel], "length": samples, and "input" for a pair}`, float32 at `sample_rate`.

    A silent excerpt is tried again elsewhere in the song, seven times. A song shorter than an excerpt is padded with
    zeros; `length` says how much of it is music.
    """

    seconds: float
    sample_rate: int
    channels: int

    def __call__(self, slot: Slot, rng: np.random.Generator) -> dict[str, np.ndarray]:
        last = max(0.0, slot.song.seconds - self.seconds)
        start = min(slot.start + slot.reach * rng.random(), last)
        for attempt in range(_TRIES):
            if attempt:
                start = last * rng.random()
            target = self._read(slot.song.target, start)
            if np.sqrt(np.mean(target * target)) > _SILENT:
                break
        size = round(self.seconds * self.sample_rate)
        item = {"target": _fitted(target, size), "length": np.int32(min(len(target), size))}
        if slot.song.input:
            item["input"] = _fitted(self._read(slot.song.input, start), size)
        return item

    def _read(self, sound: Sound, start: float) -> np.ndarray:
        rate = sound.info.sample_rate
        margin = 0.0 if rate == self.sample_rate else _MARGIN_SECONDS
        first = max(0, round((start - margin) * rate))
        count = round((start + self.seconds + margin) * rate) - first
        audio = io.read(sound.info.path, first, count) / np.float32(sound.scale)
        audio = io.resampled(_with_channels(audio, self.channels), rate, self.sample_rate)
        lead = round(start * self.sample_rate) - round(first * self.sample_rate / rate)
        return audio[lead : lead + round(self.seconds * self.sample_rate)]


def _with_channels(audio: np.ndarray, channels: int) -> np.ndarray:
    """One channel is the mean of all; two are the first two, or a mono file twice."""
    if channels == 1:
        return audio.mean(axis=1, keepdims=True)
    return audio[:, :2] if audio.shape[1] >= 2 else np.repeat(audio, 2, axis=1)


def _fitted(audio: np.ndarray, size: int) -> np.ndarray:
    return np.ascontiguousarray(np.pad(audio[:size], ((0, size - len(audio[:size])), (0, 0))))
