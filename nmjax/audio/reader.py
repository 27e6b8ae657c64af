"""Audio input: probe headers, decode in chunks, seek, mix down and resample."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from nmjax.audio import mp3_header
from nmjax.audio.streams import CHUNK_FRAMES
from nmjax.runtime.errors import BadInputError

READABLE_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 8_000, 192_000  # Hz
MAX_CHANNELS = 8
_LOSSY_SUBTYPES = ("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
_UNKNOWN_LENGTH_BYTES = 0x7FFF0000  # encoders that do not know the length in advance write this or more
_MAX_ABS_SAMPLE = 1000.0  # +60 dBFS: integers stored as floats are far above


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """A file's header.

    Attributes:
        path: the file.
        frames: its length; of a lossy file an estimate until it is decoded.
        sample_rate: Hz.
        channels: number of channels.
        container, subtype: libsndfile's names.
        truncated: a WAV or AIFF shorter than its header says; `frames` counts what exists.
    """

    path: Path
    frames: int
    sample_rate: int
    channels: int
    container: str
    subtype: str
    truncated: bool = False

    @property
    def is_lossy(self) -> bool:
        """Whether seeking is inexact."""
        return self.subtype in _LOSSY_SUBTYPES

    @property
    def is_float(self) -> bool:
        """Whether samples may be NaN or infinite."""
        return self.subtype in ("FLOAT", "DOUBLE")


def probe(path: Path | str) -> AudioInfo:
    """Read a file's header.

    Raises:
        BadInputError: missing, not audio, empty, or a sample rate or channel count that is not supported.
    """
    path = Path(path)
    if not path.is_file():
        problem = "a folder, not a file" if path.is_dir() else "not a regular file" if path.exists() else "missing"
        raise BadInputError(f"'{path}' is {problem}. Give an audio file.")
    try:
        with _open_decoder(path) as info:
            audio_info = AudioInfo(
                path=path,
                frames=info.frames,
                sample_rate=info.samplerate,
                channels=info.channels,
                container=info.format,
                subtype=info.subtype,
                truncated=_is_truncated(info),
            )
    except (soundfile.SoundFileError, OSError, TypeError, ValueError):  # ValueError: a name that is not Unicode
        printable_path = os.fsencode(path).decode(errors="replace")
        raise BadInputError(
            f"'{printable_path}' cannot be read as audio (WAV, FLAC, OGG, Opus, MP3 or AIFF). Check or remove the file."
        ) from None
    if not MIN_SAMPLE_RATE <= audio_info.sample_rate <= MAX_SAMPLE_RATE:
        supported = f"{MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        raise BadInputError(f"'{path}' has a sample rate of {audio_info.sample_rate} Hz; supported: {supported}.")
    if not 1 <= audio_info.channels <= MAX_CHANNELS:
        raise BadInputError(f"'{path}' has {audio_info.channels} channels; supported: 1 to {MAX_CHANNELS}.")
    if audio_info.frames == 0:
        raise BadInputError(f"'{path}' is empty (0 samples). Remove it.")
    return audio_info


def _is_truncated(file: soundfile.SoundFile) -> bool:
    """Read from libsndfile's log: its API does not tell."""
    match = re.search(r"\b(?:data|SSND) : (\d+) \(should be (\d+)\)", file.extra_info)
    return bool(match) and int(match[2]) < int(match[1]) < _UNKNOWN_LENGTH_BYTES


@contextlib.contextmanager
def _open_decoder(path: Path | str) -> Iterator[soundfile.SoundFile]:
    """A file open for reading; of an MP3 all frames, whatever its header counts."""
    source = mp3_header.libsndfile_source(path)
    try:
        with soundfile.SoundFile(source) as file:  # pyright: ignore[reportArgumentType]  takes raw files, too
            yield file
    finally:
        if not isinstance(source, str):
            source.close()


def read_chunks(path: Path | str, chunk_frames: int = CHUNK_FRAMES) -> Iterator[np.ndarray]:
    """Decode a file in chunks `[frames, channel]` float32 of `chunk_frames`, the last one shorter.

    Raises:
        BadInputError: damaged, or samples that are not finite or out of range.
    """
    try:
        with _open_decoder(path) as file:
            while len(chunk := file.read(chunk_frames, dtype="float32", always_2d=True)):
                yield check_samples(chunk, f"'{path}'")
    except (soundfile.SoundFileError, OSError) as error:
        raise BadInputError(f"'{path}' is damaged and cannot be read to its end ({error}). Export it again.") from None


def read_frames(path: Path | str, start: int, frames: int) -> np.ndarray:
    """Decode `frames` frames from `start` by seeking (exact in WAV, AIFF and FLAC): `[frames, channel]` float32,
    shorter at the end of the file.

    Raises:
        BadInputError: damaged there, or samples that are not finite or out of range.
    """
    try:
        with _open_decoder(path) as file:
            file.seek(start)
            return check_samples(file.read(frames, dtype="float32", always_2d=True), f"'{path}'")
    except (soundfile.SoundFileError, OSError) as error:
        raise BadInputError(f"'{path}' cannot be read at frame {start} ({error}). Export it again.") from None


def check_samples(chunk: np.ndarray, name: str) -> np.ndarray:
    """The chunk itself, if its samples are usable.

    Args:
        name: of the source, for the message.

    Raises:
        BadInputError: a sample that is NaN, infinite, or above +60 dBFS.
    """
    if not np.isfinite(chunk).all():
        raise BadInputError(f"{name} holds samples that are NaN or infinite. Export it again.")
    if len(chunk) and np.abs(chunk).max() > _MAX_ABS_SAMPLE:
        raise BadInputError(f"{name} holds samples above +60 dBFS; full scale is 1.0. Export it again.")
    return chunk


def to_mono(audio: np.ndarray) -> np.ndarray:
    """Mean of the channels of `[frames, channel]` float32. A matrix product: `np.mean` takes 20 times as long."""
    return audio @ np.full(audio.shape[1], 1.0 / audio.shape[1], np.float32)


def resample(audio: np.ndarray, from_rate: float, to_rate: float, quality: str = "VHQ") -> np.ndarray:
    """`[frames, channel]` at another rate (both in Hz) by soxr; "VHQ" is its best quality, "HQ" is faster."""
    return audio if from_rate == to_rate else soxr.resample(audio, from_rate, to_rate, quality=quality)
