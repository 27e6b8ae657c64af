"""Atomic file writes: a file appears complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nmjax.runtime.errors import BadInputError, CannotWriteError


@contextlib.contextmanager
def temporary_sibling(path: Path) -> Iterator[Path]:
    """An empty temporary file in the folder of `path`, removed at the end unless it was renamed. Folders are created.

    Raises:
        CannotWriteError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(4)}{path.suffix}")
    try:  # before the file exists: Ctrl-C may come between two lines
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        yield temporary
    except OSError as error:
        raise CannotWriteError(write_error_message(path, error)) from None
    finally:
        with contextlib.suppress(OSError):  # where the file could not be created
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary file to write; it becomes `path` when the block ends without an exception.

    Raises:
        CannotWriteError: the disk is full or the folder cannot be written.
    """
    with temporary_sibling(path) as temporary:
        yield temporary
        commit_file(temporary, path)


def remove_stale_temporaries(paths: Iterable[Path]) -> None:
    """Remove the temporary files that a killed process left beside `paths`; no other process may be writing them."""
    stems_by_folder = defaultdict(set)
    for path in paths:
        stems_by_folder[path.parent].add((path.stem[:40], path.suffix))
    for folder, stem_suffixes in stems_by_folder.items():
        for name in os.listdir(folder) if folder.is_dir() else ():
            match = re.fullmatch(r"\.(.+)-[a-z0-9_]{8}(\.[^.]*|)", name, re.DOTALL)
            if match and match.groups() in stem_suffixes:
                (folder / name).unlink(missing_ok=True)


def commit_file(temporary: Path, path: Path) -> None:
    """Flush a finished temporary file to disk, give it a new file's permissions, and rename it to `path`."""
    commit_files([(temporary, path)])


_umask_lock = threading.Lock()


def commit_files(files: Sequence[tuple[Path, Path]]) -> None:
    """Commit several (temporary, path): all are on disk before the first rename, and the renames follow each other."""
    with _umask_lock:  # the mask can be read only by setting it
        umask = os.umask(0)
        os.umask(umask)
    for temporary, _ in files:
        os.chmod(temporary, 0o666 & ~umask)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
    for temporary, path in files:
        os.replace(temporary, path)


def write_text(path: Path, text: str) -> None:
    """Write a small text file (UTF-8, \\n) atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_error_message(path: Path, error: OSError) -> str:
    """The message for a path that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full: '{path}' was not written. Free some space or choose another folder."
    return f"'{path}' cannot be written ({error.strerror or error}). Choose another path."


def existing_file_error(path: Path) -> BadInputError:
    """The error about an output that would replace a file."""
    return BadInputError(f"'{path}' exists already; add --force to overwrite it, or name another file.")


def raise_if_disk_full(path: Path) -> None:
    """Raise a CannotWriteError if the disk of `path` is full; libsndfile reports only that writing failed."""
    if shutil.disk_usage(path.parent).free < 1 << 16:
        raise CannotWriteError(f"The disk is full: nothing was written to '{path.parent}'. Free some space.")
