"""The header packets of an OGG stream (RFC 3533): read, and written again with other comments."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

from nmjax.tags.model import MOST_BYTES

_HEAD = struct.Struct("<4sBBqIIIB")
_CONTINUED, _SEGMENT, _SEGMENTS = 1, 255, 255
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def read_page(file: BinaryIO) -> tuple[list, bytes, bytes] | None:
    """Header fields, lacing and body of the next page; None at the end."""
    head = file.read(_HEAD.size)
    if not head:
        return None
    if len(head) < _HEAD.size or head[:4] != b"OggS":
        raise ValueError("no OGG page")
    fields = list(_HEAD.unpack(head))
    lacing = file.read(fields[7])
    body = file.read(sum(lacing))
    if len(lacing) < fields[7] or len(body) < sum(lacing):
        raise ValueError("an OGG page ends early")
    return fields, lacing, body


def read_headers(file: BinaryIO) -> tuple[list[bytes], int]:
    """The header packets, three of Vorbis and two of Opus, and the stream's number; the file stands at the audio."""
    packets, open_packet, serial, total = [], bytearray(), 0, 0
    while not packets or len(packets) < (2 if packets[0].startswith(b"OpusHead") else 3):
        page = read_page(file)
        if page is None:
            raise ValueError("the headers end early")
        fields, lacing, body = page
        serial, place, total = fields[4], 0, total + _HEAD.size + len(body)
        if total > MOST_BYTES:
            raise ValueError("headers without end")
        for size in lacing:
            open_packet += body[place : place + size]
            place += size
            if size < _SEGMENT:
                packets.append(bytes(open_packet))
                open_packet = bytearray()
    return packets, serial


def write_with(file: BinaryIO, out: BinaryIO, comment: bytes) -> None:
    """The stream in `file` with another comment packet."""
    packets, serial = read_headers(file)
    number = 0
    for group, first in (([packets[0]], 2), ([comment, *packets[2:]], 0)):
        number = _write_packets(out, group, serial, number, first)
    while page := read_page(file):
        fields, lacing, body = page
        fields[5] = number
        out.write(_page(fields, lacing, body))
        number += 1


def _write_packets(out: BinaryIO, packets: list[bytes], serial: int, number: int, kind: int) -> int:
    """Header packets on pages of their own; the number of the page after them."""
    lacing = b"".join(bytes([_SEGMENT] * (len(x) // _SEGMENT) + [len(x) % _SEGMENT]) for x in packets)
    body, place = b"".join(packets), 0
    for start in range(0, len(lacing), _SEGMENTS):
        part = lacing[start : start + _SEGMENTS]
        goes_on = _CONTINUED if start and lacing[start - 1] == _SEGMENT else 0
        position = -1 if all(size == _SEGMENT for size in part) else 0  # −1: no packet ends on this page
        fields = [b"OggS", 0, kind | goes_on, position, serial, number, 0, len(part)]
        out.write(_page(fields, part, body[place : place + sum(part)]))
        place, number = place + sum(part), number + 1
    return number


def _page(fields: list, lacing: bytes, body: bytes) -> bytes:
    fields[6] = 0
    page = _HEAD.pack(*fields) + lacing + body
    return page[:22] + struct.pack("<I", _checksum(page)) + page[26:]


def _checksum(page: bytes) -> int:
    """OGG's CRC-32 is zlib's with the bits of every byte and of the result in the other order, and no inversions."""
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
