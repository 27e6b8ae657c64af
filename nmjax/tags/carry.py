"""From one file's tags to another's, by what each file begins with."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from typing import BinaryIO

from nmjax import io
from nmjax.errors import CannotWriteError
from nmjax.tags.chunks import append_chunks, read_chunks
from nmjax.tags.id3 import id3, read_id3, size_of
from nmjax.tags.model import MOST_BYTES, Tags
from nmjax.tags.ogg import read_headers, write_with
from nmjax.tags.vorbis import comments, picture, read_comments, read_picture

_MOST_NAMED = 8
_MOST_TAGS = 10
_DAMAGED = (ValueError, IndexError, struct.error)
_VORBIS, _OPUS = b"\x03vorbis", b"OpusTags"
_COMMENT, _PICTURE, _PADDING, _LAST = 4, 6, 1, 0x80  # FLAC's kinds of blocks


def copy_tags(source: Path, target: Path) -> list[str]:
    """Carry titles and covers from `source` to `target`, whose audio stays as it is.

    Returns:
        What could not be carried, as sentences; nothing here raises for a tag that is damaged.

    Raises:
        CannotWriteError: the disk is full.
    """
    tags, notes = Tags(), []
    try:
        with open(source, "rb") as file:
            _read(file, tags)
    except (*_DAMAGED, OSError):
        notes.append(f"The tags of '{source.name}' are damaged; what could be read of them was carried over.")
    if tags.left_out:
        what = ", ".join([*dict.fromkeys(tags.left_out)][:_MOST_NAMED])
        notes.append(f"Not carried over from '{source.name}': {what}.")
    if tags:
        size = target.stat().st_size
        try:
            _write(target, tags)
        except CannotWriteError:
            raise
        except OSError as error:
            raise CannotWriteError(io.unwritable(target, error)) from None
        except _DAMAGED:
            os.truncate(target, size)  # what was appended
            notes.append(f"The tags of '{source.name}' could not be written to the master.")
    return notes


def read_tags(path: Path) -> Tags:
    """The tags of a file (a ValueError, IndexError or struct.error where they are damaged)."""
    tags = Tags()
    with open(path, "rb") as file:
        _read(file, tags)
    return tags


def _read(file: BinaryIO, tags: Tags) -> None:
    head = _read_in_front(file, tags)
    if head[:4] == b"fLaC":
        for kind, block in _flac_blocks(file):
            if kind == _COMMENT:
                read_comments(block, tags)
            elif kind == _PICTURE:
                tags.pictures.append(read_picture(block))
    elif head[:4] == b"OggS":
        packet = read_headers(file)[0][1]
        prefix = next((x for x in (_VORBIS, _OPUS) if packet.startswith(x)), None)
        if prefix:
            read_comments(packet[len(prefix) :], tags)
    elif head[:4] in (b"RIFF", b"RF64", b"FORM"):
        read_chunks(file, tags)


def _read_in_front(file: BinaryIO, tags: Tags) -> bytes:
    """The ID3 tags before MP3, and before some FLAC files. Leaves the file at what follows; returns how that begins."""
    head = file.read(12)
    for _ in range(_MOST_TAGS):
        if not (size := size_of(head[:10])):
            break
        if size > MOST_BYTES:
            raise ValueError("a tag without end")
        file.seek(file.tell() - len(head))
        found = Tags()
        read_id3(file.read(size), found)
        tags.add_all(found)
        head = file.read(12)
    file.seek(file.tell() - len(head))
    return head


def _flac_blocks(file: BinaryIO) -> list[tuple[int, bytes]]:
    """The metadata blocks of a FLAC file that is at its start; afterwards it stands at the audio."""
    file.read(4)
    blocks, total = [], 0
    while True:
        head = file.read(4)
        size = int.from_bytes(head[1:4], "big")
        total += 4 + size
        block = file.read(size) if total <= 4 * MOST_BYTES else b""
        if len(head) < 4 or len(block) < size:
            raise ValueError("a FLAC block ends early")
        blocks.append((head[0] & ~_LAST, block))
        if head[0] & _LAST:
            return blocks


def _write(target: Path, tags: Tags) -> None:
    with open(target, "rb+") as file:
        head = file.read(4)
        file.seek(0)
        if head in (b"RIFF", b"RF64", b"FORM"):
            append_chunks(file, tags)
            return
    with io.temporary_beside(target) as temporary:
        with open(target, "rb") as file, open(temporary, "wb") as out:
            if head == b"fLaC":
                _write_flac(file, out, tags)
            elif head == b"OggS":
                packet = read_headers(file)[0][1]
                file.seek(0)
                opus = packet.startswith(_OPUS)
                write_with(file, out, (_OPUS if opus else _VORBIS) + comments(tags, True) + (b"" if opus else b"\x01"))
            else:
                out.write(id3(tags))
                shutil.copyfileobj(file, out)
        os.replace(temporary, target)


def _write_flac(file: BinaryIO, out: BinaryIO, tags: Tags) -> None:
    blocks = [x for x in _flac_blocks(file) if x[0] not in (_COMMENT, _PICTURE, _PADDING)]
    blocks += [(_COMMENT, comments(tags, False)), *((_PICTURE, picture(x)) for x in tags.pictures)]
    out.write(b"fLaC")
    for number, (kind, block) in enumerate(blocks):
        if len(block) >= 1 << 24:
            raise ValueError("no room")
        last = _LAST if number == len(blocks) - 1 else 0
        out.write(bytes([kind | last]) + len(block).to_bytes(3, "big") + block)
    shutil.copyfileobj(file, out)
