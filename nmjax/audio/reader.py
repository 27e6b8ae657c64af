"""Audio files in: probe a header, decode in chunks, seek, mix down and resample."""

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
from nmjax.runtime.errors import BadInputError

READABLE_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")


MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 8_000, 192_000  # Hz


MAX_CHANNELS = 8


_LOSSY_SUBTYPES = ("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")


_CHUNK_FRAMES = 1 << 16  # frames


_UNKNOWN_LENGTH_BYTES = 0x7FFF0000  # bytes: from here on a length stands for one that was not known when writing began


_MAX_ABS_SAMPLE = 1000.0  # integers in a float file are far above, float32's arithmetic is not yet in danger


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """What a file's header says. `frames` of a lossy file may be wrong until it has been decoded once. cut: a WAV or
    AIFF that ends before its header says so; `frames` are those that are there."""

    path: Path
    frames: int
    sample_rate: int
    channels: int
    container: str
    subtype: str
    truncated: bool = False

    @property
    def is_lossy(self) -> bool:
        """Whether seeking in it is not exact."""
        return self.subtype in _LOSSY_SUBTYPES

    @property
    def is_float(self) -> bool:
        """Whether its samples may be NaN or infinite."""
        return self.subtype in ("FLOAT", "DOUBLE")


def probe(path: Path | str) -> AudioInfo:
    """Read a header.

    Raises:
        BadInputError: missing, no audio, empty, or a rate or channel count that no music has.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInputError(
            f"'{path}' is {'a folder, not a file' if path.is_dir() else 'missing'}; give an audio file."
        )
    try:
        with _open_decoder(path) as info:
            audio_info = AudioInfo(
                path, info.frames, info.samplerate, info.channels, info.format, info.subtype, _is_truncated(info)
            )
    except (soundfile.SoundFileError, OSError, TypeError, ValueError):  # the last: a name that is no text
        printable_path = os.fsencode(path).decode(errors="replace")
        raise BadInputError(
            f"'{printable_path}' cannot be read as audio (WAV, FLAC, OGG, Opus, MP3 or AIFF); "
            "check the file or leave it out."
        ) from None
    if not MIN_SAMPLE_RATE <= audio_info.sample_rate <= MAX_SAMPLE_RATE:
        raise BadInputError(
            f"'{path}' says {audio_info.sample_rate} Hz; {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz can be used."
        )
    if not 1 <= audio_info.channels <= MAX_CHANNELS:
        raise BadInputError(f"'{path}' says {audio_info.channels} channels; 1 to {MAX_CHANNELS} can be used.")
    if audio_info.frames == 0:
        raise BadInputError(f"'{path}' holds no sound at all (0 samples); leave it out.")
    return audio_info


def _is_truncated(file: soundfile.SoundFile) -> bool:
    """By libsndfile's log, the only place where it says so."""
    match = re.search(r"\b(?:data|SSND) : (\d+) \(should be (\d+)\)", file.extra_info)
    return bool(match) and int(match[2]) < int(match[1]) < _UNKNOWN_LENGTH_BYTES


@contextlib.contextmanager
def _open_decoder(path: Path | str) -> Iterator[soundfile.SoundFile]:
    """A file that is open for reading, an MP3 in its whole length."""
    source = mp3_header.libsndfile_source(path)
    try:
        with soundfile.SoundFile(source) as file:
            yield file
    finally:
        if not isinstance(source, str):
            source.close()


def read_chunks(path: Path | str, chunk_frames: int = _CHUNK_FRAMES) -> Iterator[np.ndarray]:
    """A file from start to end, `[frames, channel]` float32, `size` frames a piece; memory does not depend on the
    header.

    Raises:
        BadInputError: damaged inside, or a sample that is no finite number.
    """
    try:
        with _open_decoder(path) as file:
            while len(chunk := file.read(chunk_frames, dtype="float32", always_2d=True)):
                yield check_samples(chunk, f"'{path}'")
    except (soundfile.SoundFileError, OSError) as error:
        raise BadInputError(f"'{path}' is damaged and cannot be read to its end ({error}); export it again.") from None


def read_frames(path: Path | str, start: int, frames: int) -> np.ndarray:
    """`frames` from `start` by seeking (exact in WAV, AIFF and FLAC), `[frames, channel]` float32; shorter at the
    end.

    Raises:
        BadInputError: damaged there, or a sample that is no finite number.
    """
    try:
        with _open_decoder(path) as file:
            file.seek(start)
            return check_samples(file.read(frames, dtype="float32", always_2d=True), f"'{path}'")
    except (soundfile.SoundFileError, OSError) as error:
        raise BadInputError(f"'{path}' cannot be read at frame {start} ({error}); export it again.") from None


def check_samples(chunk: np.ndarray, name: str) -> np.ndarray:
    """The piece, if sound can be made of it. name: of what holds it, for the sentence.

    Raises:
        BadInputError: a sample that is NaN, infinite, or far beyond full scale.
    """
    if not np.isfinite(chunk).all():
        raise BadInputError(f"{name} holds samples that are NaN or infinite; export it again.")
    if len(chunk) and np.abs(chunk).max() > _MAX_ABS_SAMPLE:
        raise BadInputError(f"{name} holds samples above +60 dBFS; full scale is 1.0, export it again.")
    return chunk


def to_mono(audio: np.ndarray) -> np.ndarray:
    """The mean of the channels, `[frames, channel]` float32 → `[frames]`. NumPy's own takes 20 times as long."""
    return audio @ np.full(audio.shape[1], 1.0 / audio.shape[1], np.float32)


def resample(audio: np.ndarray, from_rate: float, to_rate: float, quality: str = "VHQ") -> np.ndarray:
    """`[frames, channel]` at another rate (both in Hz), by soxr; "VHQ" is its best setting, "HQ" a faster one."""
    return audio if from_rate == to_rate else soxr.resample(audio, from_rate, to_rate, quality=quality)
