"""The manifest of a batch: a log of JSON lines from which a second run resumes.

Lines are only appended, and each is on the disk before work on the next track begins. A track has a line `started`
before its master can exist and `done` or `failed` after it; the last line about an output counts. An output without a
line was not written by a batch and is not overwritten without `--force`.
"""

from __future__ import annotations

import dataclasses
import datetime
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nmjax.batch.jobs import Job
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError, CannotWriteError
from nmjax.runtime.text import to_printable

MANIFEST_FORMAT = "nmjax manifest 2"
MANIFEST_NAME = "nmjax-manifest.jsonl"
STARTED, DONE, FAILED = "started", "done", "failed"


def _encode_line(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, allow_nan=False).encode() + b"\n"


_HEADER = _encode_line({"format": MANIFEST_FORMAT})


@dataclasses.dataclass(frozen=True)
class ManifestEntry:
    """A line of the manifest: the state of a track.

    Attributes:
        track, out: input and first master; absolute here, in the file relative to its folder where they are below it.
        status: `STARTED`, `DONE` or `FAILED`.
        options_digest: digest of the options.
        size, mtime_ns, sha256: of the input before the work, in bytes and nanoseconds.
        files: name of each written file → size and mtime_ns; the masters, then the settings file.
        error: why it failed.
        compliance: PASS, FAIL or NOT MEASURED.
        lufs, true_peak_db: of the first master, in LUFS and dBTP; None where not finite.
        input_lufs, input_true_peak_db, input_loudness_range_lu: of the input.
        residual_level_db: level of the residual relative to the track; None for none or a silent one.
        notes: messages about the master.
        summary: what was done, in sentences.
        reference: how near the master came to its reference, see `nmjax.reference.outcome`; None without one.
        findings: of the diagnosis, see `nmjax.mastering.diagnosis.finding`.
        seconds: duration of the work.
        time: when the line was written, UTC.
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
    input_lufs: float | None = None
    input_true_peak_db: float | None = None
    input_loudness_range_lu: float | None = None
    residual_level_db: float | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    summary: list[str] = dataclasses.field(default_factory=list)
    reference: dict[str, Any] | None = None
    findings: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    time: str = ""

    @classmethod
    def for_job(cls, job: Job, status: str, options_digest: str, **fields: Any) -> ManifestEntry:
        """An entry about a job."""
        return cls(os.path.abspath(job.track), os.path.abspath(job.out), status, options_digest, **fields)

    def with_time(self) -> ManifestEntry:
        """The entry with the current time."""
        return dataclasses.replace(self, time=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))


def digest_options(options: Mapping[str, Any]) -> str:
    """A short digest of a JSON-serializable mapping."""
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:16]


def locate_manifest(jobs: Iterable[Job], out_dir: Path | None) -> Path:
    """The manifest's path: in `out_dir`, else in the innermost folder that holds all masters."""
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
                f"Another run is using '{to_printable(self.path)}'; wait for it, or choose another --out."
            ) from None
        except OSError:  # some network file systems have no locks
            pass

    def _read(self) -> None:
        text = self.path.read_bytes()
        lines = text.split(b"\n")
        if not (_HEADER.startswith(text) if len(lines) < 2 else _parse_line(lines[0]).get("format") == MANIFEST_FORMAT):
            raise BadInputError(
                f"'{to_printable(self.path)}' is not a manifest of this version; move it, or choose another --out."
            )
        for line in filter(None, lines[1:]):
            try:
                self._index_entry(self._from_json(ManifestEntry(**_parse_line(line))))
            except TypeError:  # a line cut short by a crash, or written by another program
                self.num_unreadable += 1
        if len(lines) < 2:  # new, or cut short in its first line
            os.ftruncate(self._fd, 0)
            self._write(_HEADER)
        elif lines[-1]:
            self._write(b"\n")

    def add(self, entries: Iterable[ManifestEntry]) -> None:
        """Append lines and flush them to the disk."""
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
        """The fields of a line, without empty ones; paths below the manifest's folder become relative to it."""
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
        """Whether the last line about a job is its start."""
        latest = self._latest.get(os.path.abspath(job.out))
        return latest is not None and latest.status == STARTED

    def find_done(self, job: Job, options_digest: str) -> ManifestEntry | None:
        """The entry of a job whose input was mastered with these options and whose files still exist; else None.

        An input whose modification time alone differs (copied, touched) is read and compared.
        """
        entry = self._latest.get(os.path.abspath(job.out))
        if entry is None or entry.status != DONE or entry.options_digest != options_digest:
            return None
        stamp = file_stamp(job.out)
        has_same_size = stamp is not None and stamp[:1] == entry.files.get(job.out.name, [])[:1]
        if entry.track != os.path.abspath(job.track) or not has_same_size or not all(x.exists() for x in job.files):
            return None
        try:
            stat = job.track.stat()
            is_same = stat.st_size == entry.size and (
                stat.st_mtime_ns == entry.mtime_ns or file_sha256(job.track) == entry.sha256
            )
        except OSError:  # the job is tried, and reports the problem
            return None
        return entry if is_same else None

    def find_foreign_file(self, job: Job) -> Path | None:
        """A file that the job would overwrite and that no run wrote, or that was changed since; else None."""
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
