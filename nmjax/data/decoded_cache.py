"""What is done once for every file: it is read through and measured; lossy ones are decoded into FLAC on the way (in
Vorbis and MP3 seeking is not exact)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from nmjax.audio import reader, writer
from nmjax.audio.reader import AudioInfo
from nmjax.data.discovery import AudioFile
from nmjax.data.scan import FileScan, FileScanner
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

DECODED_SCALE = 0.25  # decoded music peaks above full scale; 24 bits have room for two bits less


def default_cache_dir() -> Path:
    """Where indices and decoded files go if the settings name no place."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nmjax"


def scan_file(file: AudioFile, cache_dir: Path) -> tuple[AudioInfo, FileScan, str]:
    """What a file's header says, what it measures, and its decoded twin's name in `cache_dir` ("" for lossless ones).

    It is read to its end, because a damaged place or a NaN would stop a training hours later.

    Raises:
        BadInputError: no audio, damaged, cut short, not finite, or louder than +12 dBFS.
        CannotWriteError: `cache_dir` cannot be written.
    """
    info = reader.probe(file.path)
    scanner, decoded_name = FileScanner(info.sample_rate, info.channels), ""
    if info.is_lossy:
        decoded_name = f"{short_hash(f'{file.real_path}|{file.size}|{file.mtime_ns}')}.flac"
        _decode_to_flac(info, cache_dir / decoded_name, scanner)
    else:
        for chunk in reader.read_chunks(info.path):
            scanner.update(chunk)
        if scanner.frames != info.frames:
            raise BadInputError(f"'{info.path}' ends after {scanner.frames} of {info.frames} samples; export it again.")
    if scanner.frames < 2:
        raise BadInputError(f"'{info.path}' holds a single sample; leave it out.")
    return info, scanner.result(), decoded_name


def short_hash(text: str) -> str:
    """A short name for a long one."""
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:24]


def _feed_scanner(chunks: Iterable[np.ndarray], scanner: FileScanner) -> Iterator[np.ndarray]:
    for chunk in chunks:
        scanner.update(chunk)
        yield chunk


def _decode_to_flac(info: AudioInfo, cached_path: Path, scanner: FileScanner) -> None:
    if cached_path.is_file():  # an earlier index knew of it
        for chunk in reader.read_chunks(cached_path):
            scanner.update(chunk / np.float32(DECODED_SCALE))
        return
    with atomic_files.temporary_sibling(cached_path) as temporary:
        chunks = _scale_chunks(_feed_scanner(reader.read_chunks(info.path), scanner), info)
        writer.encode_audio(temporary, chunks, info.sample_rate, info.channels, "FLAC", "PCM_24")
        atomic_files.commit_file(temporary, cached_path)


def _scale_chunks(chunks: Iterable[np.ndarray], info: AudioInfo) -> Iterator[np.ndarray]:
    for chunk in chunks:
        if np.abs(chunk).max() * DECODED_SCALE >= 1.0:
            raise BadInputError(f"'{info.path}' peaks above +12 dBFS, which no music does; leave it out.")
        yield chunk * np.float32(DECODED_SCALE)
