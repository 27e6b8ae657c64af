"""Header packets of an OGG stream (RFC 3533): reading, and writing with other comments."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

from nmjax.audio.tags.model import MAX_TAG_BYTES

_PAGE_HEADER = struct.Struct("<4sBBqIIIB")
_CONTINUED_FLAG, _MAX_LACING_VALUE, _MAX_PAGE_SEGMENTS = 1, 255, 255
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def read_page(file: BinaryIO) -> tuple[list, bytes, bytes] | None:
    """Header fields, lacing values and body of the next page; None at the end."""
    header = file.read(_PAGE_HEADER.size)
    if not header:
        return None
    if len(header) < _PAGE_HEADER.size or header[:4] != b"OggS":
        raise ValueError("not an OGG page")
    fields = list(_PAGE_HEADER.unpack(header))
    lacing = file.read(fields[7])
    body = file.read(sum(lacing))
    if len(lacing) < fields[7] or len(body) < sum(lacing):
        raise ValueError("an OGG page ends early")
    return fields, lacing, body


def read_headers(file: BinaryIO) -> tuple[list[bytes], int]:
    """The header packets (three of Vorbis, two of Opus) and the serial number; leaves the file at the audio."""
    packets, partial_packet, serial, total_bytes = [], bytearray(), 0, 0
    while not packets or len(packets) < (2 if packets[0].startswith(b"OpusHead") else 3):
        page = read_page(file)
        if page is None:
            raise ValueError("the headers end early")
        fields, lacing, body = page
        serial, offset, total_bytes = fields[4], 0, total_bytes + _PAGE_HEADER.size + len(body)
        if total_bytes > MAX_TAG_BYTES:
            raise ValueError("the headers are too large")
        for size in lacing:
            partial_packet += body[offset : offset + size]
            offset += size
            if size < _MAX_LACING_VALUE:
                packets.append(bytes(partial_packet))
                partial_packet = bytearray()
    return packets, serial


def rewrite_comments(file: BinaryIO, out: BinaryIO, comment: bytes) -> None:
    """Copy the stream from `file` to `out` with another comment packet."""
    packets, serial = read_headers(file)
    page_number = 0
    for group_packets, header_type in (([packets[0]], 2), ([comment, *packets[2:]], 0)):
        page_number = _write_packets(out, group_packets, serial, page_number, header_type)
    while page := read_page(file):
        fields, lacing, body = page
        fields[5] = page_number
        out.write(_encode_page(fields, lacing, body))
        page_number += 1


def _write_packets(out: BinaryIO, packets: list[bytes], serial: int, page_number: int, header_type: int) -> int:
    """Write header packets on pages of their own; returns the number of the next page."""
    lacing = b"".join(
        bytes([_MAX_LACING_VALUE] * (len(x) // _MAX_LACING_VALUE) + [len(x) % _MAX_LACING_VALUE]) for x in packets
    )
    body, offset = b"".join(packets), 0
    for start in range(0, len(lacing), _MAX_PAGE_SEGMENTS):
        page_lacing = lacing[start : start + _MAX_PAGE_SEGMENTS]
        continued_flag = _CONTINUED_FLAG if start and lacing[start - 1] == _MAX_LACING_VALUE else 0
        granule_position = (
            -1 if all(size == _MAX_LACING_VALUE for size in page_lacing) else 0
        )  # −1: no packet ends on this page
        fields = [b"OggS", 0, header_type | continued_flag, granule_position, serial, page_number, 0, len(page_lacing)]
        out.write(_encode_page(fields, page_lacing, body[offset : offset + sum(page_lacing)]))
        offset, page_number = offset + sum(page_lacing), page_number + 1
    return page_number


def _encode_page(fields: list, lacing: bytes, body: bytes) -> bytes:
    fields[6] = 0
    page = _PAGE_HEADER.pack(*fields) + lacing + body
    return page[:22] + struct.pack("<I", _page_crc(page)) + page[26:]


def _page_crc(page: bytes) -> int:
    """CRC-32 of OGG: zlib's with the bits of each byte and of the result reversed, and without inversions."""
    crc = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
