"""Tags in the chunks of WAV, RF64 and AIFF."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from nmjax.tags.id3 import id3, read_id3, size_of
from nmjax.tags.model import MOST_BYTES, Tags

_INFO = {
    "INAM": "TITLE", "IART": "ARTIST", "IPRD": "ALBUM", "ICRD": "DATE", "ITRK": "TRACKNUMBER", "IGNR": "GENRE",
    "ICMT": "COMMENT", "ICOP": "COPYRIGHT",
}  # fmt: skip
_AIFF_TEXTS = {b"NAME": "TITLE", b"AUTH": "ARTIST", b"ANNO": "COMMENT", b"(c) ": "COPYRIGHT"}
_MOST_CHUNKS = 10_000
_STUDIO = (b"bext", b"iXML", b"cue ", b"smpl", b"MARK", b"INST")  # said where they are left out


def read_chunks(file: BinaryIO, tags: Tags) -> None:
    """What WAV's or AIFF's chunks hold into `tags`."""
    order = ">" if file.read(12)[:4] == b"FORM" else "<"
    embedded = Tags()
    for name, size in _chunks(file, order):
        if name in (b"id3 ", b"ID3 ") and size <= MOST_BYTES:
            data = file.read(size)
            if size_of(data[:10]):
                read_id3(data, embedded)
        elif name == b"LIST" and size <= MOST_BYTES:
            _read_info(file.read(size), tags)
        elif name in _AIFF_TEXTS and size <= MOST_BYTES:
            tags.add(_AIFF_TEXTS[name], file.read(size).decode("utf-8", "replace"))
        elif name in _STUDIO:
            tags.left_out.append(f"the chunk '{name.decode().strip()}'")
    texts = Tags(tags.texts)
    tags.texts = embedded.texts
    tags.add_all(texts)
    tags.pictures, tags.left_out = embedded.pictures, tags.left_out + embedded.left_out


def _chunks(file: BinaryIO, order: str) -> Iterator[tuple[bytes, int]]:
    """Name and size of each chunk, with the file at its content."""
    place, long = file.tell(), 0
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = head[:4], struct.unpack(order + "I", head[4:])[0]
        if name == b"ds64":
            long = struct.unpack("<QQ", file.read(16))[1]
        elif name == b"data" and size == 0xFFFFFFFF:
            size = long
        else:
            yield name, size
        place += 8 + size + size % 2
        file.seek(place)


def _read_info(data: bytes, tags: Tags) -> None:
    place = 4
    while data[:4] == b"INFO" and place + 8 <= len(data):
        name, size = data[place : place + 4], struct.unpack_from("<I", data, place + 4)[0]
        text = data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2
        known = _INFO.get(name.decode("latin-1"))
        if known:
            try:
                tags.add(known, text.decode())
            except UnicodeDecodeError:
                tags.add(known, text.decode("cp1252", "replace"))


def append_chunks(file: BinaryIO, tags: Tags) -> None:
    """The tags at the end of a WAV, RF64 or AIFF that is open for reading and writing."""
    form = file.read(4)
    order = ">" if form == b"FORM" else "<"
    file.seek(0, 2)
    file.write(b"\0" * (file.tell() % 2))
    if order == "<":
        known = {name: tags.texts[text][0] for name, text in _INFO.items() if tags.texts.get(text)}
        entries = b"".join(_chunk(name.encode(), text.encode() + b"\0", "<") for name, text in known.items())
        file.write(_chunk(b"LIST", b"INFO" + entries, "<"))
    file.write(_chunk(b"ID3 " if order == ">" else b"id3 ", id3(tags), order))
    size = file.tell() - 8
    if form == b"RF64":
        file.seek(20)  # ds64's first field, after the header and the chunk's own
        file.write(struct.pack("<Q", size))
    else:
        if size > 0xFFFFFFFF:
            raise ValueError("no room")
        file.seek(4)
        file.write(struct.pack(order + "I", size))


def _chunk(name: bytes, content: bytes, order: str) -> bytes:
    return name + struct.pack(order + "I", len(content)) + content + b"\0" * (len(content) % 2)
