"""A place in a song becomes an excerpt."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from nmjax.audio import reader
from nmjax.data.catalog import Recording
from nmjax.data.segments import Segment

_MARGIN_SECONDS = 0.1  # read on both sides when the rate is changed, so that the resampler's ends are cut off


@dataclasses.dataclass(frozen=True)
class SegmentReader:
    """Slot → `{"target": [time, channel], "length": samples, and "input" for a pair}`, float32 at `sample_rate`.

    The song is played faster or slower by a factor of up to `speed_semitones` either way, as a tape is: pitch and
    tempo together. A song shorter than an excerpt is padded with zeros; `length` says how much of it is music.
    """

    seconds: float
    sample_rate: int
    channels: int
    speed_semitones: float = 0.0

    def __call__(self, segment: Segment, rng: np.random.Generator) -> dict[str, np.ndarray]:
        start_draw, jitter_draw, speed_draw = rng.random(3)
        speed_factor = 2.0 ** (self.speed_semitones * (2.0 * speed_draw - 1.0) / 12.0)
        start_seconds = (
            segment.start_times[int(start_draw * len(segment.start_times))] + jitter_draw * segment.jitter_seconds
        )
        target, size = (
            self._read_recording(segment.song.target, start_seconds, speed_factor),
            round(self.seconds * self.sample_rate),
        )
        example = {"target": _pad_or_trim(target, size), "length": np.int32(min(len(target), size))}
        if segment.song.input:
            example["input"] = _pad_or_trim(self._read_recording(segment.song.input, start_seconds, speed_factor), size)
        return example

    def _read_recording(self, recording: Recording, start_seconds: float, speed_factor: float) -> np.ndarray:
        file_rate = recording.sample_rate
        playback_rate = file_rate * speed_factor  # frames a second
        frames_needed = math.ceil(self.seconds * playback_rate)
        margin = 0 if playback_rate == self.sample_rate else math.ceil(_MARGIN_SECONDS * file_rate)
        start_frame = max(0, min(round(start_seconds * file_rate), recording.frames - frames_needed))
        first_frame = max(0, start_frame - margin)
        audio = reader.read_frames(
            recording.path, first_frame, start_frame - first_frame + frames_needed + margin
        ) / np.float32(recording.scale)
        quality = "VHQ" if speed_factor == 1.0 else "HQ"  # what a shift changes is far above the difference
        audio = reader.resample(_convert_channels(audio, self.channels), playback_rate, self.sample_rate, quality)
        lead_frames = round((start_frame - first_frame) * self.sample_rate / playback_rate)
        return audio[lead_frames : lead_frames + round(self.seconds * self.sample_rate)]


def _convert_channels(audio: np.ndarray, channels: int) -> np.ndarray:
    """One channel is the mean of all; two are the first two, or a mono file twice."""
    if channels == 1:
        return reader.to_mono(audio)[:, None]
    return audio[:, :2] if audio.shape[1] >= 2 else np.repeat(audio, 2, axis=1)


def _pad_or_trim(audio: np.ndarray, size: int) -> np.ndarray:
    return np.ascontiguousarray(np.pad(audio[:size], ((0, size - len(audio[:size])), (0, 0))))
