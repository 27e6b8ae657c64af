"""What has been mastered, a line of JSON each, so that a second run goes on where the first stopped.

Lines are only added, and each is on the disk before the next file is begun. A file has a line `started` before its
master can exist and `done` or `failed` after; the last line about an output counts. So an output without a line is
somebody else's and is never overwritten unasked.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nmjax.batch.jobs import Job, to_printable
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError, CannotWriteError

MANIFEST_FORMAT = "nmjax manifest 1"
MANIFEST_NAME = "nmjax-manifest.jsonl"
STARTED, DONE, FAILED = "started", "done", "failed"


def _encode_line(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, allow_nan=False).encode() + b"\n"


_HEADER = _encode_line({"format": MANIFEST_FORMAT})


@dataclasses.dataclass(frozen=True)
class ManifestEntry:
    """A line: what became of an input (or that work on it has started).

    track, out: absolute paths here, relative to the manifest in the file where they lie below its folder. options: a
    digest of what was asked for. size (bytes), mtime_ns, sha256: of the input, before the work. files: name → size and
    mtime_ns of each file written. sentence: why it failed. verdict, lufs, true_peak_db (dBTP), notes: the delivery's.
    seconds: the work. time: when the line was made, UTC.
    """

    track: str
    out: str
    status: str
    options_digest: str
    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""
    files: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    error: str = ""
    compliance: str = ""
    lufs: float | None = None
    true_peak_db: float | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    time: str = ""


def digest_options(options: Mapping[str, Any]) -> str:
    """A short digest of all that decides what a master is: settings, delivery, checkpoint. Values as JSON has them."""
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:16]


def locate_manifest(jobs: Iterable[Job], out_dir: Path | None) -> Path:
    """The manifest's place: in `out_dir`, else in the innermost folder that holds all masters."""
    folders = [os.path.abspath(job.out.parent) for job in jobs]
    return (out_dir or Path(os.path.commonpath(folders))) / MANIFEST_NAME


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a whole file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Manifest:
    """An open manifest, locked for this process; a context manager.

    Raises:
        BadInputError: another run holds it, or it is another kind of file.
        CannotWriteError: its folder cannot be written, or the disk is full.
    """

    def __init__(self, path: Path):
        self.path = path
        self.num_unreadable = 0  # lines
        self._folder = os.path.abspath(path.parent)
        self._latest: dict[str, ManifestEntry] = {}
        self._latest_done: dict[str, ManifestEntry] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise CannotWriteError(atomic_files.write_error_message(path, error)) from None
        try:
            self._lock()
            self._read()
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_) -> None:
        os.close(self._fd)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInputError(
                f"Another run is at work with '{to_printable(self.path)}'; wait for it, or choose another --out."
            ) from None
        except OSError:  # some network disks know no locks, and are where the work of many machines lies
            pass

    def _read(self) -> None:
        text = self.path.read_bytes()
        lines = text.split(b"\n")
        if not (_HEADER.startswith(text) if len(lines) < 2 else _parse_line(lines[0]).get("format") == MANIFEST_FORMAT):
            raise BadInputError(
                f"'{to_printable(self.path)}' is no manifest of this program; move it, or choose another --out."
            )
        for line in filter(None, lines[1:]):
            try:
                self._index_entry(self._from_json(ManifestEntry(**_parse_line(line))))
            except TypeError:  # the end of a line that a dying machine did not finish, or another program's words
                self.num_unreadable += 1
        if len(lines) < 2:  # new, or torn in its first line
            os.ftruncate(self._fd, 0)
            self._write(_HEADER)
        elif lines[-1]:
            self._write(b"\n")

    def add(self, entries: Iterable[ManifestEntry]) -> None:
        """Append lines; they are on the disk when this returns."""
        entries = list(entries)
        self._write(b"".join(_encode_line(self._to_json(entry)) for entry in entries))
        for entry in entries:
            self._index_entry(entry)

    def _write(self, text: bytes) -> None:
        try:
            remaining = memoryview(text)
            while remaining:
                remaining = remaining[os.write(self._fd, remaining) :]
            os.fsync(self._fd)
        except OSError as error:
            raise CannotWriteError(atomic_files.write_error_message(self.path, error)) from None

    def _index_entry(self, entry: ManifestEntry) -> None:
        self._latest[entry.out] = entry
        if entry.status == DONE:
            self._latest_done[entry.out] = entry

    def _to_json(self, entry: ManifestEntry) -> dict[str, Any]:
        """As in the file: paths below its folder relative to it, so that the folder can be moved; no empty fields."""
        fields = {key: value for key, value in vars(entry).items() if value not in (None, "", [], {})}
        for key in ("track", "out"):
            if fields[key].startswith(self._folder + os.sep):
                fields[key] = os.path.relpath(fields[key], self._folder)
        return fields

    def _from_json(self, entry: ManifestEntry) -> ManifestEntry:
        if not isinstance(entry.files, dict):
            raise TypeError
        return dataclasses.replace(
            entry, track=os.path.join(self._folder, entry.track), out=os.path.join(self._folder, entry.out)
        )

    def was_interrupted(self, job: Job) -> bool:
        """Whether the last that was heard of it is its start."""
        latest = self._latest.get(os.path.abspath(job.out))
        return latest is not None and latest.status == STARTED

    def is_done(self, job: Job, options_digest: str) -> bool:
        """Whether this very input was mastered with these options and its files are still there.

        An input whose date alone differs (copied, touched) is read and compared.
        """
        latest = self._latest.get(os.path.abspath(job.out))
        if latest is None or (latest.status, latest.options_digest, latest.track) != (
            DONE,
            options_digest,
            os.path.abspath(job.track),
        ):
            return False
        current_stamp = file_stamp(job.out)
        if (
            not current_stamp
            or current_stamp[:1] != latest.files.get(job.out.name, [])[:1]
            or not all(file.exists() for file in job.files)
        ):
            return False
        try:
            stat = job.track.stat()
            same_mtime = stat.st_mtime_ns == latest.mtime_ns
            return stat.st_size == latest.size and (same_mtime or file_sha256(job.track) == latest.sha256)
        except OSError:  # it will be tried, and what is wrong with it said
            return False

    def find_foreign_file(self, job: Job) -> Path | None:
        """A file that the job would overwrite and that no run wrote, or that was changed since."""
        if self.was_interrupted(job):
            return None
        latest_done = self._latest_done.get(os.path.abspath(job.out))
        for file in job.files:
            if os.path.lexists(file) and (latest_done is None or latest_done.files.get(file.name) != file_stamp(file)):
                return file
        return None


def file_stamp(file: Path) -> list[int] | None:
    """Size in bytes and mtime in ns; None where there is no file."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _parse_line(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
