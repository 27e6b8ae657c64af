"""Reads segments of songs as training examples."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.data.catalog import Recording, Song
from nmjax.data.segments import Segment

_MARGIN_SECONDS = 0.1  # read on both sides before resampling, which needs context


@dataclasses.dataclass(frozen=True)
class SegmentReader:
    """Reads a segment as `{"target": [time, channel], "length": samples}` and `"input"` for a pair, float32.

    A pair's input is read with the delay and polarity of its alignment. A song that is shorter than a segment is padded
    with zeros; `length` counts the samples of music.

    Args:
        seconds: length of a segment.
        sample_rate: Hz of the result.
        channels: 1 or 2 of the result.
        speed_semitones: the largest change of speed (as of a tape: pitch and tempo together) in either direction.
    """

    seconds: float
    sample_rate: int
    channels: int
    speed_semitones: float = 0.0

    def __call__(self, segment: Segment, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Read a segment, with its start and speed drawn from `rng`."""
        start_draw, jitter_draw, speed_draw = rng.random(3)
        speed_factor = 2.0 ** (self.speed_semitones * (2.0 * speed_draw - 1.0) / 12.0)
        start_times = segment.start_times
        start_seconds = start_times[int(start_draw * len(start_times))] + jitter_draw * segment.jitter_seconds
        song, delay = segment.song, segment.song.alignment.delay_frames
        start_frame = self._start_frame(song, start_seconds, speed_factor)
        target, size = self._read(song.target, start_frame, speed_factor), round(self.seconds * self.sample_rate)
        example = {"target": _pad_or_trim(target, size), "length": np.int32(min(len(target), size))}
        if song.input:
            source = self._read(song.input, start_frame - delay, speed_factor)
            example["input"] = np.float32(song.alignment.polarity) * _pad_or_trim(source, size)
        return example

    def _start_frame(self, song: Song, start_seconds: float, speed_factor: float) -> int:
        """First frame in the target; both sides of a pair hold the whole segment if they are long enough."""
        first, end = 0, song.target.frames
        if song.input:
            first = max(first, song.alignment.delay_frames)
            end = min(end, song.input.frames + song.alignment.delay_frames)
        latest = end - math.ceil(self.seconds * (song.target.sample_rate * speed_factor))
        return max(first, min(round(start_seconds * song.target.sample_rate), latest))

    def _read(self, recording: Recording, start_frame: int, speed_factor: float) -> Float[np.ndarray, "time channel"]:
        """Frames from `start_frame` on at the reader's rate and channels; at most a segment, fewer at a song's end."""
        file_rate = recording.sample_rate
        playback_rate = file_rate * speed_factor
        num_frames = math.ceil(self.seconds * playback_rate)
        margin = 0 if playback_rate == self.sample_rate else math.ceil(_MARGIN_SECONDS * file_rate)
        first_frame = max(0, start_frame - margin)
        audio = reader.read_frames(recording.path, first_frame, start_frame - first_frame + num_frames + margin)
        audio = _convert_channels(audio / np.float32(recording.scale), self.channels)
        quality = "VHQ" if speed_factor == 1.0 else "HQ"  # a change of speed is far above the difference
        audio = reader.resample(audio, from_rate=playback_rate, to_rate=self.sample_rate, quality=quality)
        lead = round((start_frame - first_frame) * self.sample_rate / playback_rate)
        return audio[lead : lead + round(self.seconds * self.sample_rate)]


def _convert_channels(audio: np.ndarray, channels: int) -> np.ndarray:
    """One channel is the mean of all; two are the first two, or a mono file twice."""
    if channels == 1:
        return reader.to_mono(audio)[:, None]
    return audio[:, :2] if audio.shape[1] >= 2 else np.repeat(audio, 2, axis=1)


def _pad_or_trim(audio: np.ndarray, size: int) -> np.ndarray:
    return np.ascontiguousarray(np.pad(audio[:size], ((0, size - len(audio[:size])), (0, 0))))
