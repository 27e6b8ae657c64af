"""Audio output: encode a stream of chunks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from nmjax.audio.dither import Quantizer
from nmjax.runtime.atomic_files import raise_if_disk_full
from nmjax.runtime.errors import BadInputError, CannotWriteError

# In libsndfile's units: Vorbis at quality 8 (about 250 kbit/s), Opus at 128 kbit/s a channel, MP3 at the highest
# constant bit rate (320 kbit/s from 32 kHz on).
_LOSSY_ENCODER_OPTIONS = {
    "VORBIS": {"compression_level": 0.2},
    "OPUS": {"compression_level": 0.512},
    "MPEG_LAYER_III": {"compression_level": 0.0, "bitrate_mode": "CONSTANT"},
}
_HEADER_BYTES, _PEAK_TIME_OFFSET = 4096, 12  # of a file, and in its PEAK chunk
_MAX_WRITE_FRAMES = 1 << 14  # libvorbis allocates each write on the stack


def encode_audio(
    path: Path,
    chunks: Iterable[np.ndarray],
    sample_rate: int,
    channels: int,
    container: str,
    subtype: str,
    dither_seed: int | None = None,
) -> None:
    """Encode float chunks `[frames, channel]` to a file.

    `Quantizer` rounds and clips integers (libsndfile would truncate); lossy subtypes get a high bit rate. Some encoders
    lose samples without an error, so the length of the written file is checked.

    Args:
        path: file to write.
        chunks: the signal.
        sample_rate: Hz.
        channels: of every chunk.
        container, subtype: libsndfile's names.
        dither_seed: see `Quantizer`; None: no dither.

    Raises:
        BadInputError: the format cannot hold the signal.
        CannotWriteError: the disk is full.
    """
    quantizer, frames_given = Quantizer(subtype, dither_seed), 0
    encoder_options = _LOSSY_ENCODER_OPTIONS.get(subtype, {})
    try:
        with soundfile.SoundFile(
            str(path), "w", sample_rate, channels, subtype, format=container, **encoder_options
        ) as file:
            for chunk in chunks:
                for start in range(0, len(chunk), _MAX_WRITE_FRAMES):
                    file.write(quantizer(chunk[start : start + _MAX_WRITE_FRAMES]))
                frames_given += len(chunk)
        if subtype in ("FLOAT", "DOUBLE"):
            _clear_peak_time(path)
        frames_written = soundfile.info(str(path)).frames
    except (soundfile.SoundFileError, AssertionError, ValueError) as error:
        raise_if_disk_full(path)
        raise BadInputError(f"'{path.name}' cannot be written as {container} {subtype} ({error}).") from None
    if frames_written != frames_given:
        raise CannotWriteError(
            f"The disk is full or the file too large: {frames_written} of {frames_given} samples were written."
        )


def _clear_peak_time(path: Path) -> None:
    """Clears the time in the PEAK chunk that libsndfile writes to files of floats: equal masters are equal files."""
    with path.open("r+b") as file:
        head = re.split(rb"data|SSND", file.read(_HEADER_BYTES))[0]
        if (start := head.find(b"PEAK")) >= 0:
            file.seek(start + _PEAK_TIME_OFFSET)
            file.write(bytes(4))
