"""Files from a page: streamed to disk, bounded, under names that the server chooses."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from nmjax.audio.reader import READABLE_SUFFIXES
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError, CannotWriteError

DEFAULT_LIMIT_BYTES = 2_000_000_000
_SPARE_BYTES = 200_000_000  # of the disk, beyond the file itself, which is also stored decoded
_DECODED_SHARE = 4  # decoded audio of a lossless file takes up to four times its size, two of them at once
_MAX_NAME = 100
_UNSAFE = re.compile(r"[^\w\-. ()\[\]&+,'!#]", re.UNICODE)


class UploadError(BadInputError):
    """A body that cannot be taken. status: of HTTP."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


def safe_name(name: str, more_suffixes: tuple[str, ...] = ()) -> str:
    """A file name made of what a page calls a file: no folders, no control characters, no leading dot.

    Args:
        name: from the page.
        more_suffixes: that are allowed besides those of audio files.

    Raises:
        UploadError: the name has another suffix.
    """
    name = re.split(r"[/\\]", name)[-1]
    name = _UNSAFE.sub("_", "".join(c for c in name if c.isprintable())).strip(" .")
    path = Path(name)
    suffix = path.suffix.lower()
    if suffix not in READABLE_SUFFIXES and suffix not in more_suffixes:
        formats = "WAV, FLAC, OGG, Opus, MP3 or AIFF" + (", or a target file (.json)" if more_suffixes else "")
        raise UploadError(f"“{name[:60]}” is no audio file that can be read; choose {formats}.", 415)
    stem = path.stem.strip(" .")[:_MAX_NAME] or "track"
    while len(stem.encode()) > 2 * _MAX_NAME:  # file systems count bytes
        stem = stem[:-1]
    return f"{stem}{suffix}"


def check_room(folder: Path, announced_bytes: int | None, limit_bytes: int) -> None:
    """Refuses what is too large, or does not fit on the disk.

    Args:
        folder: where to.
        announced_bytes: by the request; None where it does not say.
        limit_bytes: the largest file.

    Raises:
        UploadError: one of these.
    """
    if announced_bytes is not None and announced_bytes > limit_bytes:
        raise UploadError(_too_large(limit_bytes), 413)
    needed = _SPARE_BYTES + _DECODED_SHARE * (announced_bytes or 0)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UploadError(
            f"The disk has {free / 1e9:.1f} GB left; this file needs {needed / 1e9:.1f} GB. Free some space.", 507
        )


async def receive(body: AsyncIterator[bytes], path: Path, announced_bytes: int | None, limit_bytes: int) -> None:
    """Write a body to a file, which appears complete or not at all.

    Raises:
        UploadError: the body is too large, empty or was cut off, or does not fit on the disk.
    """
    check_room(path.parent, announced_bytes, limit_bytes)
    received = 0
    with atomic_files.temporary_sibling(path) as temporary:
        with open(temporary, "wb") as file:
            async for part in body:
                received += len(part)
                if received > limit_bytes:
                    raise UploadError(_too_large(limit_bytes), 413)
                try:
                    file.write(part)
                    file.flush()
                except OSError as error:
                    raise CannotWriteError(atomic_files.write_error_message(path, error)) from None
        if announced_bytes is not None and received != announced_bytes:
            raise UploadError("The upload was cut off; drop the file again.", 400)
        if not received:
            raise UploadError(f"“{path.name}” is empty; choose another file.", 400)
        temporary.rename(path)


def _too_large(limit_bytes: int) -> str:
    return f"The file is larger than {limit_bytes / 1e9:g} GB; start the studio with a larger --upload-limit."
