"""How long an MP3 is: its frames are counted, since what its header says (or lacks) is all that libsndfile reads.

Without a Xing or Info header libsndfile takes the length from the first frame's bit rate, and of a file of variable bit
rate it reads a part and says nothing; so it does of files that were joined. Such a file is given a header that counts
right. Formats of frames and header: ISO 11172-3, and what the LAME project documents of the Xing tag.
"""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by version, Hz
_KILOBITS = {  # by "is MPEG 1", from index 1 on
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MARKS = (b"Xing", b"Info")
_TABLE = 14  # the index of a bit rate whose frame holds the header in any version
_LEAST_FRAMES = 3  # in a row, before something is taken for an MP3
_MOST_MISSING = 2  # frames, before a header counts as wrong
_MOST_TAGS = 10
_VBRI_AT = 36  # bytes
_PART = 1 << 16  # bytes


class _Frame(NamedTuple):
    size: int  # bytes
    side: int  # bytes of head and side information, where a header stands
    kind: int  # what all frames of a file share: version, layer, rate


def _frame(head: bytes) -> _Frame | None:
    """What the four bytes of a layer III frame say."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, index, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or rate == 3 or not 1 <= index <= 14:
        return None
    first, mono = version == 3, head[3] >> 6 == 3
    bits = _KILOBITS[first][index - 1] * (144_000 if first else 72_000)
    side = (17 if mono else 32) if first else (9 if mono else 17)
    return _Frame(bits // _RATES[version][rate] + (head[2] >> 1 & 1), 4 + side, version << 2 | rate)


class _Counted(NamedTuple):
    start: int  # place of the first frame
    head: bytes
    frames: int
    said: int | None  # by the header; None without one


def opened(path: Path | str) -> str | io.RawIOBase:
    """What is to be given to libsndfile: the path itself, or for an MP3 that would be read in part a file whose header
    counts right."""
    try:
        with open(path, "rb") as file:
            counted = _counted(file)
    except OSError:
        return str(path)  # libsndfile says what is wrong
    if counted is None or (counted.said is not None and counted.frames - counted.said <= _MOST_MISSING):
        return str(path)
    return _Prefixed(path, counted.start, _header(counted.head, counted.frames))


def _counted(file: BinaryIO) -> _Counted | None:
    """The frames of an open file, over damaged places; None if it is no MP3 that needs counting."""
    start = _after_tags(file)
    head = _at(file, start, 4)
    first = _frame(head)
    if first is None:
        return None
    text = _at(file, start, first.size)
    if text[_VBRI_AT : _VBRI_AT + 4] == b"VBRI":  # another header that counts
        return None
    mark = text[first.side : first.side + 12].ljust(12, b"\0")
    marked = mark[:4] in _MARKS
    said = int.from_bytes(mark[8:12], "big") if marked and mark[7] & 1 else None
    place, count = start + first.size * marked, 0
    while place is not None:
        found = _frame(_at(file, place, 4))
        if found is None or found.kind != first.kind:
            place = _next(file, place + 1, first.kind)
            continue
        count, place = count + 1, place + found.size
    return _Counted(start, head, count, said) if count >= _LEAST_FRAMES else None


def _at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


def _after_tags(file: BinaryIO) -> int:
    """Where ID3v2 tags, and zeros behind them, end."""
    place = 0
    for _ in range(_MOST_TAGS):
        head = _at(file, place, 10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
            break
        place += 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        place += 10 if head[5] & 0x10 else 0
    text = _at(file, place, _PART) if place else b""
    return place + len(text) - len(text.lstrip(b"\0"))


def _next(file: BinaryIO, place: int, kind: int) -> int | None:
    """The next frame of this kind; None if none is near, as decoders do not look far either."""
    text = _at(file, place, _PART)
    at = text.find(b"\xff")
    while at >= 0:
        found = _frame(text[at : at + 4])
        if found and found.kind == kind:
            return place + at
        at = text.find(b"\xff", at + 1)
    return None


def _header(head: bytes, frames: int) -> bytes:
    """A silent frame like the file's with a Xing header that says how many frames follow."""
    head = bytes([head[0], head[1] | 1, _TABLE << 4 | head[2] & 0x0C, head[3]])  # without a checksum
    frame = _frame(head)
    return (head.ljust(frame.side, b"\0") + b"Xing" + struct.pack(">II", 1, frames)).ljust(frame.size, b"\0")


class _Prefixed(io.RawIOBase):
    """A file from `start` on behind some other bytes, to be read."""

    def __init__(self, path: Path | str, start: int, prefix: bytes):
        self._file = open(path, "rb")  # noqa: SIM115  closed by `close`
        self._start, self._prefix, self._place = start, prefix, 0
        self._size = len(prefix) + os.fstat(self._file.fileno()).st_size - start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = max(0, offset + (0, self._place, self._size)[whence])
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer) -> int:
        with memoryview(buffer).cast("B") as view:
            if self._place < len(self._prefix):
                text = self._prefix[self._place : self._place + len(view)]
                view[: len(text)] = text
                count = len(text)
            else:
                self._file.seek(self._start + self._place - len(self._prefix))
                count = self._file.readinto(view)
        self._place += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
