"""Vorbis comments and FLAC picture blocks as bytes."""

from __future__ import annotations

import base64
import struct

from nmjax.audio.tags.model import Picture, Tags

_PICTURE_KEY = "METADATA_BLOCK_PICTURE"
_VENDOR = b"nmjax"


def read_comments(data: bytes, tags: Tags) -> None:
    """Read a comment block into `tags`.

    Raises:
        ValueError, struct.error: a length exceeds the block; what precedes it has been read.
    """
    (vendor_size,) = struct.unpack_from("<I", data, 0)
    offset = 4 + vendor_size
    (count,) = struct.unpack_from("<I", data, offset)
    offset += 4
    for _ in range(count):
        (size,) = struct.unpack_from("<I", data, offset)
        entry = data[offset + 4 : offset + 4 + size]
        if len(entry) < size:
            raise ValueError("a comment ends after its block")
        offset += 4 + size
        name, _, value = entry.decode("utf-8", "replace").partition("=")
        if name.upper() == _PICTURE_KEY:
            try:
                tags.pictures.append(read_picture(base64.b64decode(value)))
            except (ValueError, struct.error):  # ValueError: also invalid base64
                tags.skipped.append("a damaged picture")
        else:
            tags.add(name, value)


def encode_comments(tags: Tags, with_pictures: bool) -> bytes:
    """Encode a comment block; FLAC stores pictures in separate blocks instead."""
    entries = [f"{name}={value}" for name, values in tags.texts.items() for value in values]
    if with_pictures:
        entries += [f"{_PICTURE_KEY}={base64.b64encode(encode_picture(x)).decode()}" for x in tags.pictures]
    encoded_entries = [struct.pack("<I", len(x)) + x for x in (entry.encode() for entry in entries)]
    return (
        struct.pack("<I", len(_VENDOR)) + _VENDOR + struct.pack("<I", len(encoded_entries)) + b"".join(encoded_entries)
    )


def read_picture(data: bytes) -> Picture:
    """Decode a FLAC picture block."""
    kind, size = struct.unpack_from(">II", data, 0)
    mime, offset = data[8 : 8 + size], 8 + size
    (size,) = struct.unpack_from(">I", data, offset)
    description, offset = data[offset + 4 : offset + 4 + size], offset + 4 + size
    *_, size = struct.unpack_from(">5I", data, offset)
    content = data[offset + 20 : offset + 20 + size]
    if len(content) < size:
        raise ValueError("a picture ends after its block")
    return Picture(kind, mime.decode("ascii", "replace"), description.decode("utf-8", "replace"), content)


def encode_picture(image: Picture) -> bytes:
    """Encode a FLAC picture block; width, height and colors are 0 (unknown)."""
    mime, description = image.mime.encode("ascii", "replace"), image.description.encode()
    header = struct.pack(">II", image.kind, len(mime)) + mime + struct.pack(">I", len(description)) + description
    return header + struct.pack(">5I", 0, 0, 0, 0, len(image.data)) + image.data
