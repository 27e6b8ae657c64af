"""Tags in the IFF chunks of WAV, RF64 and AIFF files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from nmjax.audio.tags.id3 import encode_id3, id3_size, read_id3
from nmjax.audio.tags.model import MAX_TAG_BYTES, Tags

_INFO_TAGS = {
    "INAM": "TITLE",
    "IART": "ARTIST",
    "IPRD": "ALBUM",
    "ICRD": "DATE",
    "ITRK": "TRACKNUMBER",
    "IGNR": "GENRE",
    "ICMT": "COMMENT",
    "ICOP": "COPYRIGHT",
}
_AIFF_TAGS = {b"NAME": "TITLE", b"AUTH": "ARTIST", b"ANNO": "COMMENT", b"(c) ": "COPYRIGHT"}
_MAX_CHUNKS = 10_000
_UNSUPPORTED_CHUNKS = (b"bext", b"iXML", b"cue ", b"smpl", b"MARK", b"INST")  # reported, not copied


def read_iff_tags(file: BinaryIO, tags: Tags) -> None:
    """Read the tags of a WAV or AIFF into `tags`; where texts conflict, those of an ID3 chunk win."""
    byte_order = ">" if file.read(12)[:4] == b"FORM" else "<"
    id3_tags = Tags()
    for name, size in _iter_chunks(file, byte_order):
        if name in (b"id3 ", b"ID3 ") and size <= MAX_TAG_BYTES:
            data = file.read(size)
            if id3_size(data[:10]):
                read_id3(data, id3_tags)
        elif name == b"LIST" and size <= MAX_TAG_BYTES:
            _read_info(file.read(size), tags)
        elif name in _AIFF_TAGS and size <= MAX_TAG_BYTES:
            tags.add(_AIFF_TAGS[name], file.read(size).decode("utf-8", "replace"))
        elif name in _UNSUPPORTED_CHUNKS:
            tags.skipped.append(f"the chunk '{name.decode().strip()}'")
    chunk_tags = Tags(tags.texts)
    tags.texts = id3_tags.texts
    tags.fill_missing(chunk_tags)
    tags.pictures, tags.skipped = id3_tags.pictures, tags.skipped + id3_tags.skipped


def _iter_chunks(file: BinaryIO, byte_order: str) -> Iterator[tuple[bytes, int]]:
    """Name and size of each chunk, with the file positioned at its content."""
    offset, data_size = file.tell(), 0
    for _ in range(_MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            return
        name, size = header[:4], struct.unpack(byte_order + "I", header[4:])[0]
        if name == b"ds64":
            data_size = struct.unpack("<QQ", file.read(16))[1]
        elif name == b"data" and size == 0xFFFFFFFF:
            size = data_size
        else:
            yield name, size
        offset += 8 + size + size % 2
        file.seek(offset)


def _read_info(data: bytes, tags: Tags) -> None:
    offset = 4
    while data[:4] == b"INFO" and offset + 8 <= len(data):
        name, size = data[offset : offset + 4], struct.unpack_from("<I", data, offset + 4)[0]
        text = data[offset + 8 : offset + 8 + size]
        offset += 8 + size + size % 2
        tag_name = _INFO_TAGS.get(name.decode("latin-1"))
        if tag_name:
            try:
                tags.add(tag_name, text.decode())
            except UnicodeDecodeError:
                tags.add(tag_name, text.decode("cp1252", "replace"))


def append_iff_tags(file: BinaryIO, tags: Tags) -> None:
    """Append tags to a WAV, RF64 or AIFF that is open for reading and writing."""
    magic = file.read(4)
    byte_order = ">" if magic == b"FORM" else "<"
    file.seek(0, 2)
    file.write(b"\0" * (file.tell() % 2))
    if byte_order == "<":
        info_texts = {name: tags.texts[text][0] for name, text in _INFO_TAGS.items() if tags.texts.get(text)}
        entries = b"".join(
            _encode_chunk(name.encode(), text.encode() + b"\0", "<") for name, text in info_texts.items()
        )
        file.write(_encode_chunk(b"LIST", b"INFO" + entries, "<"))
    file.write(_encode_chunk(b"ID3 " if byte_order == ">" else b"id3 ", encode_id3(tags), byte_order))
    size = file.tell() - 8
    if magic == b"RF64":
        file.seek(20)  # the first field of the ds64 chunk
        file.write(struct.pack("<Q", size))
    else:
        if size > 0xFFFFFFFF:
            raise ValueError("the file would exceed 4 GB")
        file.seek(4)
        file.write(struct.pack(byte_order + "I", size))


def _encode_chunk(name: bytes, content: bytes, byte_order: str) -> bytes:
    return name + struct.pack(byte_order + "I", len(content)) + content + b"\0" * (len(content) % 2)
