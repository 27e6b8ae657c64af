"""The folder of a session under the user's cache, found again after a restart or a crash, for one server at a time."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from pathlib import Path

from nmjax.runtime.errors import BadInputError


def sessions_folder() -> Path:
    """Where all sessions are."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nmjax" / "studio"


class SessionFolder:
    """A locked folder.

    Args:
        folder: where the session is.

    Raises:
        BlockingIOError: another server uses it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.tracks.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = open(folder / "lock", "w")  # noqa: SIM115  (until `close`)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise

    @property
    def tracks(self) -> Path:
        """The tracks' folders."""
        return self.folder / "tracks"

    @property
    def deliveries(self) -> Path:
        """The delivered files, by job."""
        return self.folder / "deliveries"

    def close(self) -> None:
        """Let another server use it; the system does the same where the process ends."""
        self._lock.close()


def open_session(new: bool = False, root: Path | None = None) -> SessionFolder:
    """The session that was used last and that no other server uses; otherwise an empty one.

    Args:
        new: start with an empty one.
        root: where all sessions are.

    Raises:
        BadInputError: the folder cannot be written.
    """
    root = root or sessions_folder()
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not new:
            folders = [path for path in root.iterdir() if (path / "tracks").is_dir()]
            for folder in sorted(folders, key=lambda path: (path / "tracks").stat().st_mtime, reverse=True):
                try:
                    return SessionFolder(folder)
                except BlockingIOError:
                    continue
        name = f"{time.strftime('%Y-%m-%d')}-{secrets.token_hex(3)}"
        return SessionFolder(root / name)
    except OSError as error:
        raise BadInputError(
            f"'{root}' cannot be used ({error.strerror or error}); set XDG_CACHE_HOME to a folder with room."
        ) from None
