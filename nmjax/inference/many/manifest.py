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

from nmjax import io
from nmjax.errors import BadInputError, CannotWriteError
from nmjax.inference.many.jobs import Job, shown

FORMAT = "nmjax manifest 1"
NAME = "nmjax-manifest.jsonl"
STARTED, DONE, FAILED = "started", "done", "failed"


def _line(tree: Mapping[str, Any]) -> bytes:
    return json.dumps(tree, allow_nan=False).encode() + b"\n"


_HEADER = _line({"format": FORMAT})


@dataclasses.dataclass(frozen=True)
class Record:
    """A line: what became of an input (or that work on it has started).

    track, out: absolute paths here, relative to the manifest in the file where they lie below its folder. options: a
    digest of what was asked for. size (bytes), mtime_ns, sha256: of the input, before the work. files: name → size and
    mtime_ns of each file written. sentence: why it failed. verdict, lufs, true_peak_db (dBTP), notes: the delivery's.
    seconds: the work. time: when the line was made, UTC.
    """

    track: str
    out: str
    status: str
    options: str
    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""
    files: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    sentence: str = ""
    verdict: str = ""
    lufs: float | None = None
    true_peak_db: float | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    time: str = ""


def digest_of(options: Mapping[str, Any]) -> str:
    """A short digest of all that decides what a master is: settings, delivery, checkpoint. Values as JSON has them."""
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:16]


def manifest_in(jobs: Iterable[Job], out_dir: Path | None) -> Path:
    """The manifest's place: in `out_dir`, else in the innermost folder that holds all masters."""
    folders = [os.path.abspath(job.out.parent) for job in jobs]
    return (out_dir or Path(os.path.commonpath(folders))) / NAME


def digest_of_file(path: str | Path) -> str:
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
        self.unreadable = 0  # lines
        self._folder = os.path.abspath(path.parent)
        self._last: dict[str, Record] = {}
        self._done: dict[str, Record] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise CannotWriteError(io.unwritable(path, error)) from None
        try:
            self._lock()
            self._read()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_) -> None:
        os.close(self._file)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInputError(
                f"Another run is at work with '{shown(self.path)}'; wait for it, or choose another --out."
            ) from None
        except OSError:  # some network disks know no locks, and are where the work of many machines lies
            pass

    def _read(self) -> None:
        text = self.path.read_bytes()
        lines = text.split(b"\n")
        if not (_HEADER.startswith(text) if len(lines) < 2 else _parsed(lines[0]).get("format") == FORMAT):
            raise BadInputError(
                f"'{shown(self.path)}' is no manifest of this program; move it, or choose another --out."
            )
        for line in filter(None, lines[1:]):
            try:
                self._take(self._long(Record(**_parsed(line))))
            except TypeError:  # the end of a line that a dying machine did not finish, or another program's words
                self.unreadable += 1
        if len(lines) < 2:  # new, or torn in its first line
            os.ftruncate(self._file, 0)
            self._write(_HEADER)
        elif lines[-1]:
            self._write(b"\n")

    def add(self, records: Iterable[Record]) -> None:
        """Append lines; they are on the disk when this returns."""
        records = list(records)
        self._write(b"".join(_line(self._short(record)) for record in records))
        for record in records:
            self._take(record)

    def _write(self, text: bytes) -> None:
        try:
            left = memoryview(text)
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError as error:
            raise CannotWriteError(io.unwritable(self.path, error)) from None

    def _take(self, record: Record) -> None:
        self._last[record.out] = record
        if record.status == DONE:
            self._done[record.out] = record

    def _short(self, record: Record) -> dict[str, Any]:
        """As in the file: paths below its folder relative to it, so that the folder can be moved; no empty fields."""
        tree = {key: value for key, value in vars(record).items() if value not in (None, "", [], {})}
        for key in ("track", "out"):
            if tree[key].startswith(self._folder + os.sep):
                tree[key] = os.path.relpath(tree[key], self._folder)
        return tree

    def _long(self, record: Record) -> Record:
        if not isinstance(record.files, dict):
            raise TypeError
        return dataclasses.replace(
            record, track=os.path.join(self._folder, record.track), out=os.path.join(self._folder, record.out)
        )

    def was_interrupted(self, job: Job) -> bool:
        """Whether the last that was heard of it is its start."""
        last = self._last.get(os.path.abspath(job.out))
        return last is not None and last.status == STARTED

    def is_done(self, job: Job, options: str) -> bool:
        """Whether this very input was mastered with these options and its files are still there.

        An input whose date alone differs (copied, touched) is read and compared.
        """
        last = self._last.get(os.path.abspath(job.out))
        if last is None or (last.status, last.options, last.track) != (DONE, options, os.path.abspath(job.track)):
            return False
        here = written(job.out)
        if not here or here[:1] != last.files.get(job.out.name, [])[:1] or not all(f.exists() for f in job.files):
            return False
        try:
            stat = job.track.stat()
            same_date = stat.st_mtime_ns == last.mtime_ns
            return stat.st_size == last.size and (same_date or digest_of_file(job.track) == last.sha256)
        except OSError:  # it will be tried, and what is wrong with it said
            return False

    def foreign(self, job: Job) -> Path | None:
        """A file that the job would overwrite and that no run wrote, or that was changed since."""
        if self.was_interrupted(job):
            return None
        done = self._done.get(os.path.abspath(job.out))
        for file in job.files:
            if os.path.lexists(file) and (done is None or done.files.get(file.name) != written(file)):
                return file
        return None


def written(file: Path) -> list[int] | None:
    """Size in bytes and mtime in ns; None where there is no file."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        tree = json.loads(line)
    except ValueError:
        return {}
    return tree if isinstance(tree, dict) else {}
