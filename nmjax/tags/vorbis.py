"""Vorbis comments and FLAC's picture block, as bytes."""

from __future__ import annotations

import base64
import struct

from nmjax.tags.model import Picture, Tags

_PICTURE = "METADATA_BLOCK_PICTURE"
_VENDOR = b"nmjax"


def read_comments(data: bytes, tags: Tags) -> None:
    """A comment block into `tags`; lengths that lie end the reading (ValueError, struct.error)."""
    (vendor,) = struct.unpack_from("<I", data, 0)
    place = 4 + vendor
    (count,) = struct.unpack_from("<I", data, place)
    place += 4
    for _ in range(count):
        (size,) = struct.unpack_from("<I", data, place)
        entry = data[place + 4 : place + 4 + size]
        if len(entry) < size:
            raise ValueError("a comment ends after its block")
        place += 4 + size
        name, _, value = entry.decode("utf-8", "replace").partition("=")
        if name.upper() == _PICTURE:
            try:
                tags.pictures.append(read_picture(base64.b64decode(value)))
            except (ValueError, struct.error):  # the first: no base64, too
                tags.left_out.append("a damaged picture")
        else:
            tags.add(name, value)


def comments(tags: Tags, with_pictures: bool) -> bytes:
    """A comment block; FLAC has pictures in blocks of their own."""
    entries = [f"{name}={value}" for name, values in tags.texts.items() for value in values]
    if with_pictures:
        entries += [f"{_PICTURE}={base64.b64encode(picture(x)).decode()}" for x in tags.pictures]
    packed = [struct.pack("<I", len(x)) + x for x in (entry.encode() for entry in entries)]
    return struct.pack("<I", len(_VENDOR)) + _VENDOR + struct.pack("<I", len(packed)) + b"".join(packed)


def read_picture(data: bytes) -> Picture:
    """FLAC's picture block."""
    kind, size = struct.unpack_from(">II", data, 0)
    mime, place = data[8 : 8 + size], 8 + size
    (size,) = struct.unpack_from(">I", data, place)
    description, place = data[place + 4 : place + 4 + size], place + 4 + size
    *_, size = struct.unpack_from(">5I", data, place)
    content = data[place + 20 : place + 20 + size]
    if len(content) < size:
        raise ValueError("a picture ends after its block")
    return Picture(kind, mime.decode("ascii", "replace"), description.decode("utf-8", "replace"), content)


def picture(value: Picture) -> bytes:
    """FLAC's picture block; width, height and colours are 0, not known."""
    mime, description = value.mime.encode("ascii", "replace"), value.description.encode()
    head = struct.pack(">II", value.kind, len(mime)) + mime + struct.pack(">I", len(description)) + description
    return head + struct.pack(">5I", 0, 0, 0, 0, len(value.data)) + value.data
