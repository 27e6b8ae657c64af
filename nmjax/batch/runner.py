"""Many tracks in one run: each once, those that fail reported at the end, a second run goes on where the first stopped.

What masters a track is given from outside, so that one process (`run_all`) and a cluster (`catalogue.run_dask`) share
everything else: what is to be done, the manifest, what is shown.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from nmjax.audio.units import json_number
from nmjax.batch.jobs import Job, to_printable
from nmjax.batch.manifest import DONE, FAILED, STARTED, Manifest, ManifestEntry, file_sha256, file_stamp
from nmjax.runtime import atomic_files
from nmjax.runtime.console import print_line
from nmjax.runtime.errors import BadInputError, CannotWriteError

_MAX_ROWS = 60  # of the table at the end


@dataclasses.dataclass(frozen=True)
class TrackOutcome:
    """What became of a track. out: the audio. verdict: the delivery's, PASS or FAIL. lufs: LUFS, and true_peak_db:
    dBTP, of the file; None where there is none."""

    out: Path
    compliance: str
    lufs: float | None
    true_peak_db: float | None
    notes: list[str]


MasterFn = Callable[[Path, Path], TrackOutcome]
"""Masters a track into the second path and what belongs to it, all at once or nothing; BadInputError for a track that
cannot be used."""


@dataclasses.dataclass
class BatchSummary:
    """What a run did. done, failed: lines of the manifest. skipped: done by an earlier run. stopped: the sentence that
    says why work was left, or nothing."""

    done: list[ManifestEntry] = dataclasses.field(default_factory=list)
    failed: list[ManifestEntry] = dataclasses.field(default_factory=list)
    skipped: list[Job] = dataclasses.field(default_factory=list)
    stop_reason: str = ""

    @property
    def exit_code(self) -> int:
        """0 if every track is mastered, 1 if not."""
        return 1 if self.failed or self.stop_reason else 0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "done": [vars(record) for record in self.done],
            "failed": [vars(record) for record in self.failed],
            "skipped": [{"track": str(job.track), "out": str(job.out)} for job in self.skipped],
            "stopped": self.stop_reason,
        }


@dataclasses.dataclass
class BatchRun:
    """A run at work. todo: what is to be done, in this order."""

    pending: list[Job]
    options_digest: str
    summary: BatchSummary
    _manifest: Manifest
    _progress: Progress
    _console: Console

    def start_jobs(self, jobs: Sequence[Job]) -> None:
        """To be called before work on them, which makes their outputs this run's."""
        self._manifest.add(_add_timestamp(_make_entry(job, self.options_digest, STARTED)) for job in jobs)
        if len(jobs) == 1:
            self._progress.update(self._progress.task_ids[0], name=to_printable(jobs[0].track.name))

    def finish_job(self, entry: ManifestEntry) -> None:
        """To be called with what became of a job."""
        entry = _add_timestamp(entry)
        self._manifest.add([entry])
        is_failed = entry.status == FAILED
        (self.summary.failed if is_failed else self.summary.done).append(entry)
        progress = f"{len(self.summary.done) + len(self.summary.failed)}/{len(self.pending)}"
        name = to_printable(os.path.basename(entry.track))
        print_line(
            self._console, f"{progress} {name}: {to_printable(entry.error) if is_failed else _format_result(entry)}"
        )
        self._progress.advance(self._progress.task_ids[0])


def run_sequential(
    jobs: Sequence[Job],
    master: MasterFn,
    manifest_path: Path,
    options_digest: str,
    console: Console,
    force: bool = False,
) -> BatchSummary:
    """Master each track that is not done yet, one at a time in this process, and show a summary.

    A track that fails does not stop the rest; a disk that cannot be written does.

    Args:
        options: a digest of what was asked for (`digest_of`); tracks done with another one are done again.
        force: overwrite files that no earlier run wrote.

    Raises:
        BadInputError: before any work: see `Manifest`, and an output that would be overwritten.
        KeyboardInterrupt: after the summary; the manifest is right, and nothing half-written lies about.
    """
    with open_run(jobs, manifest_path, options_digest, console, force) as run:
        for job in run.pending:
            run.start_jobs([job])
            try:
                entry = master_job(job, options_digest, master)
            except CannotWriteError as error:  # it would stop each of the others after its work
                run.finish_job(failed_entry(job, options_digest, str(error)))
                run.summary.stop_reason = f"Stopped: {error}"
                break
            except Exception as error:  # one track in thousands must not cost the rest
                entry = failed_entry(job, options_digest, unexpected_error_message(error))
            run.finish_job(entry)
    return run.summary


@contextlib.contextmanager
def open_run(
    jobs: Sequence[Job], manifest_path: Path, options_digest: str, console: Console, force: bool = False
) -> Iterator[BatchRun]:
    """A run over the jobs that are not done; at its end, or when it is interrupted, it shows what was done."""
    columns = (
        TextColumn("{task.fields[name]}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Manifest(manifest_path) as manifest:
        summary = BatchSummary(skipped=[job for job in jobs if manifest.is_done(job, options_digest)])
        skipped = set(summary.skipped)
        pending = [job for job in jobs if job not in skipped]
        if not force:
            _check_foreign_files(pending, manifest)
        if manifest.num_unreadable:
            print_line(console, f"{manifest.num_unreadable} lines of '{to_printable(manifest_path)}' could not be read; "
                          "what they were about is done again.")  # fmt: skip
        interrupted = filter(manifest.was_interrupted, pending)
        atomic_files.remove_stale_temporaries(file for job in interrupted for file in (*job.files, job.done_marker))
        pending.sort(key=manifest.was_interrupted)  # what a run died of comes last, and does not keep the rest waiting
        try:
            with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
                progress.add_task("", total=len(pending), name="")
                yield BatchRun(pending, options_digest, summary, manifest, progress, console)
        except KeyboardInterrupt:
            summary.stop_reason = "Stopped; the same command goes on."
            raise
        finally:
            _print_summary(summary, len(pending), console)


def master_job(job: Job, options_digest: str, master: MasterFn) -> ManifestEntry:
    """Master a job; a track that cannot be used becomes a record that says why.

    Raises:
        CannotWriteError, and whatever else `master` raises but BadInputError.
    """
    start_time = time.monotonic()
    try:
        stat, digest = job.track.stat(), file_sha256(job.track)  # before the work: a change during it is one
    except OSError as error:
        return failed_entry(
            job, options_digest, f"'{to_printable(job.track)}' cannot be read ({error.strerror}); check the file."
        )
    entry = _make_entry(job, options_digest, FAILED, size=stat.st_size, mtime_ns=stat.st_mtime_ns, sha256=digest)
    try:
        outcome = master(job.track, job.out)
    except CannotWriteError:
        raise
    except BadInputError as error:
        return dataclasses.replace(entry, error=str(error), seconds=_elapsed_seconds(start_time))
    return dataclasses.replace(
        entry,
        status=DONE,
        files={file.name: stamp for file in job.files if (stamp := file_stamp(file))},
        compliance=outcome.compliance,
        lufs=json_number(outcome.lufs),
        true_peak_db=json_number(outcome.true_peak_db),
        notes=outcome.notes,
        seconds=_elapsed_seconds(start_time),
    )


def failed_entry(job: Job, options_digest: str, message: str) -> ManifestEntry:
    """The record of a job that failed outside of its master."""
    return _make_entry(job, options_digest, FAILED, sentence=message)


def unexpected_error_message(error: BaseException) -> str:
    """The sentence for an error that nobody foresaw."""
    return f"An error that was not foreseen ({type(error).__name__}: {error}); try the track alone."


def _make_entry(job: Job, options_digest: str, status: str, **fields) -> ManifestEntry:
    return ManifestEntry(os.path.abspath(job.track), os.path.abspath(job.out), status, options_digest, **fields)


def _add_timestamp(entry: ManifestEntry) -> ManifestEntry:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return dataclasses.replace(entry, time=now)


def _elapsed_seconds(start: float) -> float:
    return round(time.monotonic() - start, 2)


def _check_foreign_files(jobs: Sequence[Job], manifest: Manifest) -> None:
    foreign_files = [file for job in jobs if (file := manifest.find_foreign_file(job))]
    if foreign_files:
        suffix = f" (and {len(foreign_files) - 1} others like it)" if len(foreign_files) > 1 else ""
        raise BadInputError(
            f"'{to_printable(foreign_files[0])}'{suffix} was not written by this command or was changed since; "
            "add --force to overwrite it, or choose another --out."
        )


def _format_result(entry: ManifestEntry) -> str:
    lufs = "no loudness" if entry.lufs is None else f"{entry.lufs:.1f} LUFS"
    peak = "" if entry.true_peak_db is None else f", {entry.true_peak_db:.1f} dBTP"
    return f"{entry.compliance}, {lufs}{peak} → {to_printable(os.path.basename(entry.out))}"


def _print_summary(summary: BatchSummary, num_jobs: int, console: Console) -> None:
    """What was done in a sentence, and a table of what a person should look at."""
    num_failed, num_left = len(summary.failed), num_jobs - len(summary.done) - len(summary.failed)
    parts = [f"{len(summary.done)} mastered"]
    parts += [f"{len(summary.skipped)} done before"] if summary.skipped else []
    parts += [f"{num_failed} failed"] if num_failed else []
    parts += [f"{num_left} left"] if num_left else []
    flagged = [entry for entry in summary.done if entry.compliance != "PASS" or entry.notes] + summary.failed
    if flagged:
        table = Table("track", "verdict", "LUFS", "dBTP", "notes")
        for entry in flagged[-_MAX_ROWS:]:  # failures stand last
            numbers = ("" if value is None else f"{value:.1f}" for value in (entry.lufs, entry.true_peak_db))
            notes = "\n".join(to_printable(text) for text in [entry.error, *entry.notes] if text)
            status = entry.compliance if entry.status == DONE else "failed"
            table.add_row(*map(Text, (to_printable(os.path.basename(entry.track)), status, *numbers, notes)))
        console.print(table)
        if len(flagged) > _MAX_ROWS:
            print_line(console, f"{len(flagged) - _MAX_ROWS} more rows of this table stand in the manifest.")
    print_line(console, ", ".join(parts) + ".")
    if summary.stop_reason:
        print_line(console, summary.stop_reason)
