"""A place in a song becomes an excerpt."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from nmjax import io
from nmjax.data.slots import Slot
from nmjax.data.songs import Sound

_MARGIN_SECONDS = 0.1  # read on both sides when the rate is changed, so that the resampler's ends are cut off


@dataclasses.dataclass(frozen=True)
class ReadExcerpt:
    """Slot → `{"target": [time, channel], "length": samples, and "input" for a pair}`, float32 at `sample_rate`.

    The song is played faster or slower by a factor of up to `speed_semitones` either way, as a tape is: pitch and
    tempo together. A song shorter than an excerpt is padded with zeros; `length` says how much of it is music.
    """

    seconds: float
    sample_rate: int
    channels: int
    speed_semitones: float = 0.0

    def __call__(self, slot: Slot, rng: np.random.Generator) -> dict[str, np.ndarray]:
        share, late, speed = rng.random(3)
        factor = 2.0 ** (self.speed_semitones * (2.0 * speed - 1.0) / 12.0)
        start = slot.starts[int(share * len(slot.starts))] + late * slot.reach
        target, size = self._read(slot.song.target, start, factor), round(self.seconds * self.sample_rate)
        item = {"target": _fitted(target, size), "length": np.int32(min(len(target), size))}
        if slot.song.input:
            item["input"] = _fitted(self._read(slot.song.input, start, factor), size)
        return item

    def _read(self, sound: Sound, start: float, factor: float) -> np.ndarray:
        rate = sound.sample_rate
        played = rate * factor  # frames a second
        needed = math.ceil(self.seconds * played)
        margin = 0 if played == self.sample_rate else math.ceil(_MARGIN_SECONDS * rate)
        begin = max(0, min(round(start * rate), sound.frames - needed))
        first = max(0, begin - margin)
        audio = io.read(sound.path, first, begin - first + needed + margin) / np.float32(sound.scale)
        quality = "VHQ" if factor == 1.0 else "HQ"  # what a shift changes is far above the difference
        audio = io.resampled(_with_channels(audio, self.channels), played, self.sample_rate, quality)
        lead = round((begin - first) * self.sample_rate / played)
        return audio[lead : lead + round(self.seconds * self.sample_rate)]


def _with_channels(audio: np.ndarray, channels: int) -> np.ndarray:
    """One channel is the mean of all; two are the first two, or a mono file twice."""
    if channels == 1:
        return io.mono(audio)[:, None]
    return audio[:, :2] if audio.shape[1] >= 2 else np.repeat(audio, 2, axis=1)


def _fitted(audio: np.ndarray, size: int) -> np.ndarray:
    return np.ascontiguousarray(np.pad(audio[:size], ((0, size - len(audio[:size])), (0, 0))))
