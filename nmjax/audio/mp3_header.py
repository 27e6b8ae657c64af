"""Frame count of an MP3, and a corrected header where its own is wrong or missing.

libsndfile decodes as many samples as the Xing or Info header counts. Without that header it estimates the length from
the first frame's bit rate, so it silently truncates files of variable bit rate and files that were joined. This module
counts the frames and gives libsndfile the file behind a header with the right count. Formats: ISO 11172-3 (frames), the
LAME project's documentation (Xing tag).
"""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from nmjax.audio.tags.id3 import id3_size

_SAMPLE_RATES_HZ = {  # by version: MPEG 1, 2, 2.5
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
_BITRATES_KBPS = {  # by "is MPEG 1", for indices from 1 on
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_XING_IDS = (b"Xing", b"Info")
_HEADER_BITRATE_INDEX = 14  # a frame of this bit rate is large enough for the header in any version
_MIN_FRAMES = 3  # a file with fewer frames is not taken for an MP3
_MAX_MISSING_FRAMES = 2  # in a header that counts as right
_MAX_TAGS = 10
_VBRI_OFFSET = 36  # bytes
_SEARCH_BYTES = 1 << 16


class _FrameHeader(NamedTuple):
    size: int  # bytes
    xing_offset: int  # of a Xing header in the frame: size of frame header and side information
    format_id: int  # version and sample rate, the same in all frames of a file


def _parse_frame_header(header: bytes) -> _FrameHeader | None:
    """Parse the four header bytes of a layer III frame; None if they are not."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, bitrate_index, rate_index = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate_index == 3 or not 1 <= bitrate_index <= 14:
        return None
    is_mpeg1, is_mono = version == 3, header[3] >> 6 == 3
    frame_bits_rate = _BITRATES_KBPS[is_mpeg1][bitrate_index - 1] * (144_000 if is_mpeg1 else 72_000)
    side_info_size = (17 if is_mono else 32) if is_mpeg1 else (9 if is_mono else 17)
    return _FrameHeader(
        frame_bits_rate // _SAMPLE_RATES_HZ[version][rate_index] + (header[2] >> 1 & 1),
        4 + side_info_size,
        version << 2 | rate_index,
    )


class _FrameCount(NamedTuple):
    first_frame_offset: int  # bytes
    first_header: bytes
    num_frames: int
    declared_frames: int | None  # in the Xing header; None without one


def libsndfile_source(path: Path | str) -> str | io.RawIOBase:
    """What libsndfile shall open: the path itself, or a file object with a correct header for an MP3 that it would
    truncate."""
    try:
        with open(path, "rb") as file:
            frame_count = _count_frames(file)
    except OSError:
        return str(path)  # libsndfile reports the error
    if frame_count is None or (
        frame_count.declared_frames is not None
        and frame_count.num_frames - frame_count.declared_frames <= _MAX_MISSING_FRAMES
    ):
        return str(path)
    return _PrefixedFile(
        path, frame_count.first_frame_offset, _make_xing_frame(frame_count.first_header, frame_count.num_frames)
    )


def _count_frames(file: BinaryIO) -> _FrameCount | None:
    """Count the frames of an open file, skipping damage; None if it is no MP3, or has a VBRI header."""
    start = _skip_id3_tags(file)
    header = _read_at(file, start, 4)
    first = _parse_frame_header(header)
    if first is None:
        return None
    data = _read_at(file, start, first.size)
    if data[_VBRI_OFFSET : _VBRI_OFFSET + 4] == b"VBRI":  # Fraunhofer's header has a frame count too
        return None
    xing = data[first.xing_offset : first.xing_offset + 12].ljust(12, b"\0")
    has_xing = xing[:4] in _XING_IDS
    declared_frames = int.from_bytes(xing[8:12], "big") if has_xing and xing[7] & 1 else None
    offset, count = start + first.size * has_xing, 0
    while offset is not None:
        frame = _parse_frame_header(_read_at(file, offset, 4))
        if frame is None or frame.format_id != first.format_id:
            offset = _find_next_frame(file, offset + 1, first.format_id)
            continue
        count, offset = count + 1, offset + frame.size
    return _FrameCount(start, header, count, declared_frames) if count >= _MIN_FRAMES else None


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _skip_id3_tags(file: BinaryIO) -> int:
    """Offset of the first byte after ID3v2 tags and the zeros behind them."""
    offset = 0
    for _ in range(_MAX_TAGS):
        size = id3_size(_read_at(file, offset, 10))
        if not size:
            break
        offset += size
    data = _read_at(file, offset, _SEARCH_BYTES) if offset else b""
    return offset + len(data) - len(data.lstrip(b"\0"))


def _find_next_frame(file: BinaryIO, start: int, format_id: int) -> int | None:
    """Offset of the next frame of this format; None if there is none within 64 kB."""
    data = _read_at(file, start, _SEARCH_BYTES)
    index = data.find(b"\xff")
    while index >= 0:
        frame = _parse_frame_header(data[index : index + 4])
        if frame and frame.format_id == format_id:
            return start + index
        index = data.find(b"\xff", index + 1)
    return None


def _make_xing_frame(header: bytes, num_frames: int) -> bytes:
    """A silent frame of the file's format with a Xing header for `num_frames` frames."""
    # The lowest bit of the second byte: no checksum.
    header = bytes([header[0], header[1] | 1, _HEADER_BITRATE_INDEX << 4 | header[2] & 0x0C, header[3]])
    frame = _parse_frame_header(header)
    assert frame is not None  # made from a valid header
    return (header.ljust(frame.xing_offset, b"\0") + b"Xing" + struct.pack(">II", 1, num_frames)).ljust(
        frame.size, b"\0"
    )


class _PrefixedFile(io.RawIOBase):
    """A readable file: some bytes, then another file from `start` on."""

    def __init__(self, path: Path | str, start: int, prefix: bytes):
        self._file = open(path, "rb")  # noqa: SIM115  `close` closes it
        self._start, self._prefix, self._position = start, prefix, 0
        self._size = len(prefix) + os.fstat(self._file.fileno()).st_size - start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = max(0, offset + (0, self._position, self._size)[whence])
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer) -> int:
        with memoryview(buffer).cast("B") as view:
            if self._position < len(self._prefix):
                data = self._prefix[self._position : self._position + len(view)]
                view[: len(data)] = data
                count = len(data)
            else:
                self._file.seek(self._start + self._position - len(self._prefix))
                count = self._file.readinto(view)
        self._position += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
