"""Audio files: probe, read in pieces, write under a temporary name, change the rate."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
import secrets
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr

from nmjax import mpeg
from nmjax.errors import BadInputError, CannotWriteError
from nmjax.quantise import Quantiser

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")
LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000  # Hz
MOST_CHANNELS = 8
_LOSSY = ("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
_PIECE = 1 << 16  # frames
_STREAMED = 0x7FFF0000  # bytes: from here on a length stands for one that was not known when writing began
_HIGHEST_SAMPLE = 1000.0  # integers in a float file are far above, float32's arithmetic is not yet in danger


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
    cut: bool = False

    @property
    def lossy(self) -> bool:
        """Whether seeking in it is not exact."""
        return self.subtype in _LOSSY

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
        with _decoder(path) as info:
            found = AudioInfo(path, info.frames, info.samplerate, info.channels, info.format, info.subtype, _cut(info))
    except (soundfile.SoundFileError, OSError, TypeError, ValueError):  # the last: a name that is no text
        shown = os.fsencode(path).decode(errors="replace")
        raise BadInputError(
            f"'{shown}' cannot be read as audio (WAV, FLAC, OGG, Opus, MP3 or AIFF); check the file or leave it out."
        ) from None
    if not LOWEST_RATE <= found.sample_rate <= HIGHEST_RATE:
        raise BadInputError(f"'{path}' says {found.sample_rate} Hz; {LOWEST_RATE} to {HIGHEST_RATE} Hz can be used.")
    if not 1 <= found.channels <= MOST_CHANNELS:
        raise BadInputError(f"'{path}' says {found.channels} channels; 1 to {MOST_CHANNELS} can be used.")
    if found.frames == 0:
        raise BadInputError(f"'{path}' holds no sound at all (0 samples); leave it out.")
    return found


def _cut(file: soundfile.SoundFile) -> bool:
    """By libsndfile's log, the only place where it says so."""
    found = re.search(r"\b(?:data|SSND) : (\d+) \(should be (\d+)\)", file.extra_info)
    return bool(found) and int(found[2]) < int(found[1]) < _STREAMED


@contextlib.contextmanager
def _decoder(path: Path | str) -> Iterator[soundfile.SoundFile]:
    """A file that is open for reading, an MP3 in its whole length."""
    given = mpeg.opened(path)
    try:
        with soundfile.SoundFile(given) as file:
            yield file
    finally:
        if not isinstance(given, str):
            given.close()


def pieces(path: Path | str, size: int = _PIECE) -> Iterator[np.ndarray]:
    """A file from start to end, `[frames, channel]` float32, `size` frames a piece; memory does not depend on the
    header.

    Raises:
        BadInputError: damaged inside, or a sample that is no finite number.
    """
    try:
        with _decoder(path) as file:
            while len(piece := file.read(size, dtype="float32", always_2d=True)):
                yield check_samples(piece, f"'{path}'")
    except (soundfile.SoundFileError, OSError) as error:
        raise BadInputError(f"'{path}' is damaged and cannot be read to its end ({error}); export it again.") from None


def read(path: Path | str, start: int, frames: int) -> np.ndarray:
    """`frames` from `start` by seeking (exact in WAV, AIFF and FLAC), `[frames, channel]` float32; shorter at the
    end.

    Raises:
        BadInputError: damaged there, or a sample that is no finite number.
    """
    try:
        with _decoder(path) as file:
            file.seek(start)
            return check_samples(file.read(frames, dtype="float32", always_2d=True), f"'{path}'")
    except (soundfile.SoundFileError, OSError) as error:
        raise BadInputError(f"'{path}' cannot be read at frame {start} ({error}); export it again.") from None


def check_samples(piece: np.ndarray, name: str) -> np.ndarray:
    """The piece, if sound can be made of it. name: of what holds it, for the sentence.

    Raises:
        BadInputError: a sample that is NaN, infinite, or far beyond full scale.
    """
    if not np.isfinite(piece).all():
        raise BadInputError(f"{name} holds samples that are NaN or infinite; export it again.")
    if len(piece) and np.abs(piece).max() > _HIGHEST_SAMPLE:
        raise BadInputError(f"{name} holds samples above +60 dBFS; full scale is 1.0, export it again.")
    return piece


def mono(audio: np.ndarray) -> np.ndarray:
    """The mean of the channels, `[frames, channel]` float32 → `[frames]`. NumPy's own takes 20 times as long."""
    return audio @ np.full(audio.shape[1], 1.0 / audio.shape[1], np.float32)


def resampled(audio: np.ndarray, from_rate: float, to_rate: float, quality: str = "VHQ") -> np.ndarray:
    """`[frames, channel]` at another rate (both in Hz), by soxr; "VHQ" is its best setting, "HQ" a faster one."""
    return audio if from_rate == to_rate else soxr.resample(audio, from_rate, to_rate, quality=quality)


@contextlib.contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """A name in the folder of `path` for something half-written; gone at the end if it was not renamed.

    A full disk or a folder that cannot be written becomes a CannotWriteError.
    """
    temporary = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(4)}{path.suffix}")
    try:  # from here on: Ctrl-C may come before the next line
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        yield temporary
    except OSError as error:
        raise CannotWriteError(unwritable(path, error)) from None
    finally:
        with contextlib.suppress(OSError):  # a name or place that could not be made in the first place
            temporary.unlink(missing_ok=True)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove the temporary files of `temporary_beside` that a killed process left beside `paths`; nobody may be at
    work on these."""
    stems = defaultdict(set)
    for path in paths:
        stems[path.parent].add((path.stem[:40], path.suffix))
    for folder, wanted in stems.items():
        for name in os.listdir(folder) if folder.is_dir() else ():
            found = re.fullmatch(r"\.(.+)-[a-z0-9_]{8}(\.[^.]*|)", name, re.DOTALL)
            if found and found.groups() in wanted:
                (folder / name).unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> None:
    """Give a finished temporary file its name and the permissions a new file has, on the disk before the rename."""
    publish_all([(temporary, path)])


_umask_lock = threading.Lock()


def publish_all(files: Sequence[tuple[Path, Path]]) -> None:
    """The same for several (temporary, path): all are on the disk before the first rename, and the renames, in this
    order, have nothing between them."""
    with _umask_lock:  # it can only be read by setting it
        umask = os.umask(0)
        os.umask(umask)
    for temporary, _ in files:
        os.chmod(temporary, 0o666 & ~umask)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
    for temporary, path in files:
        os.replace(temporary, path)


def write_text(path: Path, text: str) -> None:
    """A small text file, whole or not at all."""
    with temporary_beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        publish(temporary, path)


def unwritable(path: Path, error: OSError) -> str:
    """The sentence for a path that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full: '{path}' was not written; make room or choose another place."
    return f"'{path}' cannot be written ({error.strerror or error}); choose another place."


# What libsndfile calls compression: Vorbis at quality 8 (about 250 kbit/s), Opus at 128 kbit/s a channel, MP3 at the
# highest constant rate there is (320 kbit/s from 32 kHz on).
_LOSSY_SETTINGS = {
    "VORBIS": {"compression_level": 0.2},
    "OPUS": {"compression_level": 0.512},
    "MPEG_LAYER_III": {"compression_level": 0.0, "bitrate_mode": "CONSTANT"},
}
_MOST_AT_ONCE = 1 << 14  # frames: libvorbis keeps each write on the stack


def encode(
    path: Path,
    pieces: Iterable[np.ndarray],
    sample_rate: int,
    channels: int,
    container: str,
    subtype: str,
    dither: int | None = None,
) -> None:
    """Write float pieces `[n, channel]`; integers are rounded to the nearest step and held at full scale, with
    dither (a seed, see `nmjax.quantise`) if it is given. Lossy subtypes at a high rate.

    libsndfile would truncate, and some of its writers lose samples in silence, so the written file is probed.

    Raises:
        BadInputError: the disk is full, or the format cannot hold the signal.
    """
    quantise, given = Quantiser(subtype, dither), 0
    settings = _LOSSY_SETTINGS.get(subtype, {})
    try:
        with soundfile.SoundFile(str(path), "w", sample_rate, channels, subtype, format=container, **settings) as file:
            for piece in pieces:
                for start in range(0, len(piece), _MOST_AT_ONCE):
                    file.write(quantise(piece[start : start + _MOST_AT_ONCE]))
                given += len(piece)
        written = soundfile.info(str(path)).frames
    except (soundfile.SoundFileError, AssertionError, ValueError) as error:
        _raise_if_full(path)
        raise BadInputError(f"'{path.name}' cannot be written as {container} {subtype} ({error}).") from None
    if written != given:
        raise CannotWriteError(f"The disk is full or the file too large: {written} of {given} samples were written.")


def _raise_if_full(path: Path) -> None:
    """A full disk as the sentence that it is; libsndfile only says that writing failed."""
    if shutil.disk_usage(path.parent).free < 1 << 16:
        raise CannotWriteError(f"The disk is full: nothing was written to '{path.parent}'; make room.")
