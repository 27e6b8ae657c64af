"""Files that appear whole or not at all: temporary siblings, atomic commits, errors of a full disk."""

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

from nmjax.runtime.errors import CannotWriteError


@contextlib.contextmanager
def temporary_sibling(path: Path) -> Iterator[Path]:
    """A name in the folder of `path` for something half-written; gone at the end if it was not renamed.

    A full disk or a folder that cannot be written becomes a CannotWriteError.
    """
    temporary = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(4)}{path.suffix}")
    try:  # from here on: Ctrl-C may come before the next line
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        yield temporary
    except OSError as error:
        raise CannotWriteError(write_error_message(path, error)) from None
    finally:
        with contextlib.suppress(OSError):  # a name or place that could not be made in the first place
            temporary.unlink(missing_ok=True)


def remove_stale_temporaries(paths: Iterable[Path]) -> None:
    """Remove the temporary files of `temporary_beside` that a killed process left beside `paths`; nobody may be at
    work on these."""
    stems_by_folder = defaultdict(set)
    for path in paths:
        stems_by_folder[path.parent].add((path.stem[:40], path.suffix))
    for folder, stem_suffixes in stems_by_folder.items():
        for name in os.listdir(folder) if folder.is_dir() else ():
            match = re.fullmatch(r"\.(.+)-[a-z0-9_]{8}(\.[^.]*|)", name, re.DOTALL)
            if match and match.groups() in stem_suffixes:
                (folder / name).unlink(missing_ok=True)


def commit_file(temporary: Path, path: Path) -> None:
    """Give a finished temporary file its name and the permissions a new file has, on the disk before the rename."""
    commit_files([(temporary, path)])


_umask_lock = threading.Lock()


def commit_files(files: Sequence[tuple[Path, Path]]) -> None:
    """The same for several (temporary, path): all are on the disk before the first rename, and the renames, in this
    order, have nothing between them."""
    with _umask_lock:  # it can only be read by setting it
        umask = os.umask(0)
        os.umask(umask)
    for temporary, _ in files:
        os.chmod(temporary, 0o666 & ~umask)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
    for temporary, path in files:
        os.replace(temporary, path)


def write_text(path: Path, text: str) -> None:
    """A small text file, whole or not at all."""
    with temporary_sibling(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        commit_file(temporary, path)


def write_error_message(path: Path, error: OSError) -> str:
    """The sentence for a path that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full: '{path}' was not written; make room or choose another place."
    return f"'{path}' cannot be written ({error.strerror or error}); choose another place."


def _raise_if_disk_full(path: Path) -> None:
    """A full disk as the sentence that it is; libsndfile only says that writing failed."""
    if shutil.disk_usage(path.parent).free < 1 << 16:
        raise CannotWriteError(f"The disk is full: nothing was written to '{path.parent}'; make room.")
