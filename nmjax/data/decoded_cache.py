"""Scans music files; lossy ones are decoded to FLAC on the way, since seeking in Vorbis and MP3 is inexact."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nmjax.audio import reader, writer
from nmjax.audio.reader import AudioInfo
from nmjax.data.discovery import AudioFile
from nmjax.data.scan import FileScan, FileScanner
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

DECODED_SCALE = 0.25  # decoded music peaks above full scale; 24 bits leave room for 12 dB


class ScannedFile(NamedTuple):
    """Header and scan of a file; decoded_name: of its copy in the cache folder, "" for a lossless file."""

    info: AudioInfo
    scan: FileScan
    decoded_name: str


def default_cache_dir() -> Path:
    """The folder of indexes and decoded files unless the settings name one: ~/.cache/nmjax."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nmjax"


def short_hash(text: str) -> str:
    """24 hexadecimal digits."""
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:24]


def scan_file(file: AudioFile, cache_dir: Path) -> ScannedFile:
    """Read a file to its end: damage or a NaN would otherwise stop a training run hours later.

    Raises:
        BadInputError: not audio, damaged, truncated, not finite, or with peaks above +12 dBFS.
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
            raise BadInputError(f"'{info.path}' ends after {scanner.frames} of {info.frames} samples. Export it again.")
    if scanner.frames < 2:
        raise BadInputError(f"'{info.path}' holds a single sample. Remove it.")
    return ScannedFile(info, scanner.result(), decoded_name)


def _decode_to_flac(info: AudioInfo, cached_path: Path, scanner: FileScanner) -> None:
    if cached_path.is_file():  # decoded for an earlier index
        for chunk in reader.read_chunks(cached_path):
            scanner.update(chunk / np.float32(DECODED_SCALE))
        return

    def scanned_chunks() -> Iterator[np.ndarray]:
        for chunk in reader.read_chunks(info.path):
            scanner.update(chunk)
            if np.abs(chunk).max() * DECODED_SCALE >= 1.0:
                raise BadInputError(f"'{info.path}' peaks above +12 dBFS, which no music does. Remove it.")
            yield chunk * np.float32(DECODED_SCALE)

    with atomic_files.atomic_write(cached_path) as temporary:
        writer.encode_audio(
            temporary,
            scanned_chunks(),
            sample_rate=info.sample_rate,
            channels=info.channels,
            container="FLAC",
            subtype="PCM_24",
        )
