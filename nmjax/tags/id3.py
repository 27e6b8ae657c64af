"""ID3v2 (id3.org: 2.3 and 2.4 are read, 2.4 is written), as bytes."""

from __future__ import annotations

import struct

from nmjax.tags.model import Picture, Tags

_NAMES = {
    "TIT1": "GROUPING", "TIT2": "TITLE", "TIT3": "SUBTITLE", "TPE1": "ARTIST", "TPE2": "ALBUMARTIST",
    "TPE3": "CONDUCTOR", "TPE4": "REMIXER", "TALB": "ALBUM", "TDRC": "DATE", "TYER": "DATE", "TRCK": "TRACKNUMBER",
    "TPOS": "DISCNUMBER", "TCON": "GENRE", "TCOM": "COMPOSER", "TEXT": "LYRICIST", "TCOP": "COPYRIGHT", "TSRC": "ISRC",
    "TPUB": "ORGANIZATION", "TLAN": "LANGUAGE", "TBPM": "BPM", "TKEY": "INITIALKEY", "TMOO": "MOOD",
}  # fmt: skip
_FRAMES = {name: frame for frame, name in _NAMES.items() if frame != "TYER"}
_TOTALS = {"TRACKNUMBER": "TRACKTOTAL", "DISCNUMBER": "DISCTOTAL"}  # "3/12" in ID3
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_HEADER = 10


def size_of(head: bytes) -> int:
    """Bytes of the tag that begins with this header (10 bytes); 0 where none does."""
    if len(head) < _HEADER or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
        return 0
    return _HEADER + _syncsafe(head[6:10]) + (_HEADER if head[5] & 0x10 else 0)


def read_id3(data: bytes, tags: Tags) -> None:
    """A whole tag into `tags`; one that is damaged is read as far as it can be."""
    version, flags = data[3], data[5]
    if version not in (3, 4):
        tags.left_out.append(f"an ID3v2.{version} tag")
        return
    body = data[_HEADER : _HEADER + _syncsafe(data[6:10])]
    if version == 3 and flags & 0x80:
        body = body.replace(b"\xff\x00", b"\xff")
    place = 0
    if flags & 0x40:  # an extended header; 2.4 counts its own length in
        place = _syncsafe(body[:4]) if version == 4 else 4 + struct.unpack_from(">I", body)[0]
    while place + _HEADER <= len(body) and body[place]:
        name = body[place : place + 4].decode("latin-1")
        size = _syncsafe(body[place + 4 : place + 8]) if version == 4 else struct.unpack_from(">I", body, place + 4)[0]
        status, place = body[place + 9], place + _HEADER
        content, place = body[place : place + size], place + size
        if len(content) < size:
            raise ValueError("a frame ends after its tag")
        if status & (0x0C if version == 4 else 0xC0):  # compressed or encrypted
            tags.left_out.append(f"the frame {name}")
            continue
        if version == 4:
            content = content[4:] if status & 0x01 else content
            content = content.replace(b"\xff\x00", b"\xff") if status & 0x02 else content
        _read_frame(name, content, tags)


def _read_frame(name: str, content: bytes, tags: Tags) -> None:
    if not content or content[0] >= len(_ENCODINGS):
        return
    code, rest = content[0], content[1:]
    if name == "TXXX":
        key, value = _split(rest, code)
        tags.add(_text(key, code), _text(value, code))
    elif name == "COMM":
        about, text = _split(rest[3:], code)
        if not _text(about, code).startswith("iTun"):  # numbers about the old encoding
            tags.add("COMMENT", _text(text, code))
    elif name == "APIC":
        mime, _, rest = rest.partition(b"\0")
        description, image = _split(rest[1:], code)
        if image:
            tags.pictures.append(Picture(rest[0], mime.decode("latin-1"), _text(description, code), image))
    elif name in _NAMES:
        for value in _text(rest, code).split("\0"):
            _add_text(_NAMES[name], value, tags)
    elif name not in ("TSSE", "TENC", "PRIV", "TLEN"):
        tags.left_out.append(f"the frame {name}")


def _add_text(name: str, value: str, tags: Tags) -> None:
    number, slash, total = value.partition("/")
    if slash and name in _TOTALS:
        tags.add(_TOTALS[name], total)
        value = number
    tags.add(name, value)


def _split(data: bytes, code: int) -> tuple[bytes, bytes]:
    """At the first end of a text: one zero byte, or two that begin at an even place."""
    if code not in (1, 2):
        first, _, rest = data.partition(b"\0")
        return first, rest
    for place in range(0, len(data) - 1, 2):
        if data[place : place + 2] == b"\0\0":
            return data[:place], data[place + 2 :]
    return data, b""


def _text(data: bytes, code: int) -> str:
    return data.decode(_ENCODINGS[code], "replace").lstrip("\ufeff").rstrip("\0")


def id3(tags: Tags) -> bytes:
    """The tag in version 2.4, UTF-8; b"" for no tags."""
    frames = []
    for name, values in tags.texts.items():
        if name in _TOTALS.values() or not values:
            continue
        if name in _TOTALS and (total := tags.texts.get(_TOTALS[name])):
            values = [f"{values[0]}/{total[0]}"]
        text = "\0".join(values).encode()
        if name == "COMMENT":
            frames.append(_frame("COMM", b"\x03eng\0" + text))
        elif name in _FRAMES:
            frames.append(_frame(_FRAMES[name], b"\x03" + text))
        else:
            frames.append(_frame("TXXX", b"\x03" + name.encode() + b"\0" + text))
    for x in tags.pictures:
        head = b"\x03" + x.mime.encode("latin-1", "replace") + b"\0" + bytes([x.kind & 0xFF])
        frames.append(_frame("APIC", head + x.description.encode() + b"\0" + x.data))
    body = b"".join(frames)
    return b"ID3\x04\x00\x00" + _as_syncsafe(len(body)) + body if body else b""


def _frame(name: str, content: bytes) -> bytes:
    return name.encode() + _as_syncsafe(len(content)) + b"\0\0" + content


def _syncsafe(four: bytes) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(four, (21, 14, 7, 0), strict=True))


def _as_syncsafe(size: int) -> bytes:
    return bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
