"""ID3v2 tags as bytes: reads versions 2.3 and 2.4 (id3.org), writes 2.4."""

from __future__ import annotations

import struct

from nmjax.audio.tags.model import Picture, Tags

_TAGS_BY_FRAME = {
    "TIT1": "GROUPING",
    "TIT2": "TITLE",
    "TIT3": "SUBTITLE",
    "TPE1": "ARTIST",
    "TPE2": "ALBUMARTIST",
    "TPE3": "CONDUCTOR",
    "TPE4": "REMIXER",
    "TALB": "ALBUM",
    "TDRC": "DATE",
    "TYER": "DATE",
    "TRCK": "TRACKNUMBER",
    "TPOS": "DISCNUMBER",
    "TCON": "GENRE",
    "TCOM": "COMPOSER",
    "TEXT": "LYRICIST",
    "TCOP": "COPYRIGHT",
    "TSRC": "ISRC",
    "TPUB": "ORGANIZATION",
    "TLAN": "LANGUAGE",
    "TBPM": "BPM",
    "TKEY": "INITIALKEY",
    "TMOO": "MOOD",
}
_FRAMES_BY_TAG = {name: frame for frame, name in _TAGS_BY_FRAME.items() if frame != "TYER"}
_TOTAL_TAGS = {"TRACKNUMBER": "TRACKTOTAL", "DISCNUMBER": "DISCTOTAL"}  # "3/12" in ID3
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_HEADER_BYTES = 10


def id3_size(header: bytes) -> int:
    """Size in bytes of the tag with this header (10 bytes); 0 if it is none."""
    if len(header) < _HEADER_BYTES or header[:3] != b"ID3" or max(header[6:10]) > 0x7F:
        return 0
    return _HEADER_BYTES + _decode_syncsafe(header[6:10]) + (_HEADER_BYTES if header[5] & 0x10 else 0)


def read_id3(data: bytes, tags: Tags) -> None:
    """Read a complete tag into `tags`.

    Raises:
        ValueError, IndexError, struct.error: it is damaged; what precedes the damage has been read.
    """
    version, flags = data[3], data[5]
    if version not in (3, 4):
        tags.skipped.append(f"an ID3v2.{version} tag")
        return
    body = data[_HEADER_BYTES : _HEADER_BYTES + _decode_syncsafe(data[6:10])]
    if version == 3 and flags & 0x80:
        body = body.replace(b"\xff\x00", b"\xff")
    offset = 0
    if flags & 0x40:  # extended header; in 2.4 its size includes itself
        offset = _decode_syncsafe(body[:4]) if version == 4 else 4 + struct.unpack_from(">I", body)[0]
    while offset + _HEADER_BYTES <= len(body) and body[offset]:
        frame_id = body[offset : offset + 4].decode("latin-1")
        size = (
            _decode_syncsafe(body[offset + 4 : offset + 8])
            if version == 4
            else struct.unpack_from(">I", body, offset + 4)[0]
        )
        frame_flags, offset = body[offset + 9], offset + _HEADER_BYTES
        content, offset = body[offset : offset + size], offset + size
        if len(content) < size:
            raise ValueError("a frame ends after its tag")
        if frame_flags & (0x0C if version == 4 else 0xC0):  # compressed or encrypted
            tags.skipped.append(f"the frame {frame_id}")
            continue
        if version == 4:
            content = content[4:] if frame_flags & 0x01 else content
            content = content.replace(b"\xff\x00", b"\xff") if frame_flags & 0x02 else content
        _read_frame(frame_id, content, tags)


def _read_frame(frame_id: str, content: bytes, tags: Tags) -> None:
    if not content or content[0] >= len(_ENCODINGS):
        return
    encoding, payload = content[0], content[1:]
    if frame_id == "TXXX":
        key, value = _split_at_terminator(payload, encoding)
        tags.add(_decode_text(key, encoding), _decode_text(value, encoding))
    elif frame_id == "COMM":
        comment_description, text = _split_at_terminator(payload[3:], encoding)
        if not _decode_text(comment_description, encoding).startswith("iTun"):  # iTunes' data on the old encoding
            tags.add("COMMENT", _decode_text(text, encoding))
    elif frame_id == "APIC":
        mime, _, payload = payload.partition(b"\0")
        description, image = _split_at_terminator(payload[1:], encoding)
        if image:
            tags.pictures.append(
                Picture(payload[0], mime.decode("latin-1"), _decode_text(description, encoding), image)
            )
    elif frame_id in _TAGS_BY_FRAME:
        for value in _decode_text(payload, encoding).split("\0"):
            _add_text(_TAGS_BY_FRAME[frame_id], value, tags)
    elif frame_id not in ("TSSE", "TENC", "PRIV", "TLEN"):
        tags.skipped.append(f"the frame {frame_id}")


def _add_text(name: str, value: str, tags: Tags) -> None:
    number, slash, total = value.partition("/")
    if slash and name in _TOTAL_TAGS:
        tags.add(_TOTAL_TAGS[name], total)
        value = number
    tags.add(name, value)


def _split_at_terminator(data: bytes, encoding: int) -> tuple[bytes, bytes]:
    """Split at the first terminator: a zero byte, or in UTF-16 two at an even offset."""
    if encoding not in (1, 2):
        first, _, second = data.partition(b"\0")
        return first, second
    for offset in range(0, len(data) - 1, 2):
        if data[offset : offset + 2] == b"\0\0":
            return data[:offset], data[offset + 2 :]
    return data, b""


def _decode_text(data: bytes, encoding: int) -> str:
    return data.decode(_ENCODINGS[encoding], "replace").lstrip("\ufeff").rstrip("\0")


def encode_id3(tags: Tags) -> bytes:
    """Encode a tag in version 2.4 and UTF-8; b"" for no tags."""
    frames = []
    for name, values in tags.texts.items():
        if name in _TOTAL_TAGS.values() or not values:
            continue
        if name in _TOTAL_TAGS and (total := tags.texts.get(_TOTAL_TAGS[name])):
            values = [f"{values[0]}/{total[0]}"]
        text = "\0".join(values).encode()
        if name == "COMMENT":
            frames.append(_encode_frame("COMM", b"\x03eng\0" + text))
        elif name in _FRAMES_BY_TAG:
            frames.append(_encode_frame(_FRAMES_BY_TAG[name], b"\x03" + text))
        else:
            frames.append(_encode_frame("TXXX", b"\x03" + name.encode() + b"\0" + text))
    for picture in tags.pictures:
        header = b"\x03" + picture.mime.encode("latin-1", "replace") + b"\0" + bytes([picture.kind & 0xFF])
        frames.append(_encode_frame("APIC", header + picture.description.encode() + b"\0" + picture.data))
    body = b"".join(frames)
    return b"ID3\x04\x00\x00" + _encode_syncsafe(len(body)) + body if body else b""


def _encode_frame(frame_id: str, content: bytes) -> bytes:
    return frame_id.encode() + _encode_syncsafe(len(content)) + b"\0\0" + content


def _decode_syncsafe(data: bytes) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(data, (21, 14, 7, 0), strict=True))


def _encode_syncsafe(size: int) -> bytes:
    return bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
