"""Copies tags from file to file; the first bytes of a file decide its format."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from typing import BinaryIO

from nmjax.audio.tags.id3 import encode_id3, id3_size, read_id3
from nmjax.audio.tags.iff import append_iff_tags, read_iff_tags
from nmjax.audio.tags.model import MAX_TAG_BYTES, Tags
from nmjax.audio.tags.ogg import read_headers, rewrite_comments
from nmjax.audio.tags.vorbis import encode_comments, encode_picture, read_comments, read_picture
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import CannotWriteError

_MAX_LISTED = 8
_MAX_LEADING_TAGS = 10
_DAMAGED_TAG_ERRORS = (ValueError, IndexError, struct.error)
_VORBIS_PREFIX, _OPUS_PREFIX = b"\x03vorbis", b"OpusTags"
_COMMENT_BLOCK, _PICTURE_BLOCK, _PADDING_BLOCK, _LAST_BLOCK_FLAG = 4, 6, 1, 0x80  # types of FLAC blocks


def copy_tags(source: Path, target: Path) -> list[str]:
    """Copy tags and pictures from `source` to `target`; the target's audio is unchanged.

    Returns:
        A sentence for each problem: damaged tags, and tags that are not supported.

    Raises:
        CannotWriteError: the disk is full.
    """
    tags, notes = Tags(), []
    try:
        with open(source, "rb") as file:
            _read_into(file, tags)
    except (*_DAMAGED_TAG_ERRORS, OSError):
        notes.append(f"The tags of '{source.name}' are damaged; only the readable ones were copied.")
    if tags.skipped:
        skipped = ", ".join([*dict.fromkeys(tags.skipped)][:_MAX_LISTED])
        notes.append(f"Not copied from '{source.name}': {skipped}.")
    if tags:
        original_size = target.stat().st_size
        try:
            _write_tags(target, tags)
        except CannotWriteError:
            raise
        except OSError as error:
            raise CannotWriteError(atomic_files.write_error_message(target, error)) from None
        except _DAMAGED_TAG_ERRORS:
            os.truncate(target, original_size)  # removes what was appended
            notes.append(f"The tags of '{source.name}' could not be written to the master.")
    return notes


def read_tags(path: Path) -> Tags:
    """The tags of a file.

    Raises:
        ValueError, IndexError, struct.error: they are damaged.
    """
    tags = Tags()
    with open(path, "rb") as file:
        _read_into(file, tags)
    return tags


def _read_into(file: BinaryIO, tags: Tags) -> None:
    magic = _read_leading_id3(file, tags)
    if magic[:4] == b"fLaC":
        for block_type, block in _read_flac_blocks(file):
            if block_type == _COMMENT_BLOCK:
                read_comments(block, tags)
            elif block_type == _PICTURE_BLOCK:
                tags.pictures.append(read_picture(block))
    elif magic[:4] == b"OggS":
        packet = read_headers(file)[0][1]
        prefix = next((candidate for candidate in (_VORBIS_PREFIX, _OPUS_PREFIX) if packet.startswith(candidate)), None)
        if prefix:
            read_comments(packet[len(prefix) :], tags)
    elif magic[:4] in (b"RIFF", b"RF64", b"FORM"):
        read_iff_tags(file, tags)


def _read_leading_id3(file: BinaryIO, tags: Tags) -> bytes:
    """Read ID3 tags at the start (MP3, some FLAC files). Leaves the file behind them and returns the next 12 bytes."""
    header = file.read(12)
    for _ in range(_MAX_LEADING_TAGS):
        if not (size := id3_size(header[:10])):
            break
        if size > MAX_TAG_BYTES:
            raise ValueError("the tag is too large")
        file.seek(file.tell() - len(header))
        id3_tags = Tags()
        read_id3(file.read(size), id3_tags)
        tags.fill_missing(id3_tags)
        header = file.read(12)
    file.seek(file.tell() - len(header))
    return header


def _read_flac_blocks(file: BinaryIO) -> list[tuple[int, bytes]]:
    """Type and content of the metadata blocks of a FLAC file; leaves the file at the audio."""
    file.read(4)
    blocks, total_bytes = [], 0
    while True:
        header = file.read(4)
        size = int.from_bytes(header[1:4], "big")
        total_bytes += 4 + size
        block = file.read(size) if total_bytes <= 4 * MAX_TAG_BYTES else b""
        if len(header) < 4 or len(block) < size:
            raise ValueError("a FLAC block ends early")
        blocks.append((header[0] & ~_LAST_BLOCK_FLAG, block))
        if header[0] & _LAST_BLOCK_FLAG:
            return blocks


def _write_tags(target: Path, tags: Tags) -> None:
    with open(target, "rb+") as file:
        magic = file.read(4)
        file.seek(0)
        if magic in (b"RIFF", b"RF64", b"FORM"):
            append_iff_tags(file, tags)
            return
    with atomic_files.temporary_sibling(target) as temporary:
        with open(target, "rb") as file, open(temporary, "wb") as out:
            if magic == b"fLaC":
                _write_flac(file, out, tags)
            elif magic == b"OggS":
                packet = read_headers(file)[0][1]
                file.seek(0)
                is_opus = packet.startswith(_OPUS_PREFIX)
                prefix, framing = (_OPUS_PREFIX, b"") if is_opus else (_VORBIS_PREFIX, b"\x01")
                rewrite_comments(file, out, prefix + encode_comments(tags, with_pictures=True) + framing)
            else:
                out.write(encode_id3(tags))
                shutil.copyfileobj(file, out)
        os.replace(temporary, target)


def _write_flac(file: BinaryIO, out: BinaryIO, tags: Tags) -> None:
    blocks = [x for x in _read_flac_blocks(file) if x[0] not in (_COMMENT_BLOCK, _PICTURE_BLOCK, _PADDING_BLOCK)]
    blocks += [
        (_COMMENT_BLOCK, encode_comments(tags, with_pictures=False)),
        *((_PICTURE_BLOCK, encode_picture(x)) for x in tags.pictures),
    ]
    out.write(b"fLaC")
    for number, (block_type, block) in enumerate(blocks):
        if len(block) >= 1 << 24:
            raise ValueError("the block is too large")
        last_flag = _LAST_BLOCK_FLAG if number == len(blocks) - 1 else 0
        out.write(bytes([block_type | last_flag]) + len(block).to_bytes(3, "big") + block)
    shutil.copyfileobj(file, out)
