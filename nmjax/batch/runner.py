"""Runs a batch: each track once; failures are reported at the end, and a second run resumes.

How a track is mastered is passed in, so that one process (`run_sequential`) and a cluster (`dask_runner.run_dask`)
share everything else: which jobs are pending, the manifest, progress and summary.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nmjax.audio.units import json_number
from nmjax.batch.batch_summary import BatchSummary, format_result, print_summary
from nmjax.batch.jobs import Job
from nmjax.batch.manifest import DONE, FAILED, STARTED, Manifest, ManifestEntry, file_sha256, file_stamp
from nmjax.runtime import atomic_files
from nmjax.runtime.console import print_line
from nmjax.runtime.errors import BadInputError, CannotWriteError
from nmjax.runtime.text import to_printable


@dataclasses.dataclass(frozen=True)
class TrackOutcome:
    """Measurements of a mastered track.

    Attributes:
        compliance: PASS, FAIL where a delivery misses its loudness or ceiling, or NOT MEASURED (silence).
        lufs, true_peak_db: of the first master, in LUFS and dBTP.
        input_lufs, input_true_peak_db, input_loudness_range_lu: of the input.
        residual_level_db: level of the residual relative to the track; None where none was rendered.
        notes: messages for the user.
        summary: what was done, in sentences.
        reference: how near the master came to its reference, as in the manifest.
        findings: of the diagnosis, each as for JSON.
    """

    compliance: str
    lufs: float
    true_peak_db: float
    input_lufs: float
    input_true_peak_db: float
    input_loudness_range_lu: float
    residual_level_db: float | None
    notes: list[str]
    summary: list[str]
    reference: dict[str, Any] | None
    findings: list[dict[str, Any]]


MasterFn = Callable[[Job], TrackOutcome]
"""Masters a job; writes all its files or none. Raises BadInputError for a track that cannot be used."""


@dataclasses.dataclass(frozen=True)
class BatchPlan:
    """What a run is to do.

    Attributes:
        jobs: all jobs, also those that are done.
        manifest_path: where the manifest is or will be.
        options_digest: from `digest_options`; jobs done with other options are done again.
        force: overwrite files that no earlier run has written.
    """

    jobs: Sequence[Job]
    manifest_path: Path
    options_digest: str
    force: bool = False


@dataclasses.dataclass
class BatchRun:
    """A run in progress. pending: the jobs to do, in this order."""

    pending: list[Job]
    options_digest: str
    summary: BatchSummary
    _manifest: Manifest
    _progress: Progress
    _console: Console

    def start_jobs(self, jobs: Sequence[Job]) -> None:
        """Record that work on jobs begins, before any of their files exists."""
        entries = [ManifestEntry.for_job(job, STARTED, self.options_digest).with_time() for job in jobs]
        self._manifest.add(entries)
        if len(jobs) == 1:
            self._progress.update(self._progress.task_ids[0], name=to_printable(jobs[0].track.name))

    def finish_job(self, entry: ManifestEntry) -> None:
        """Record the result of a job."""
        entry = entry.with_time()
        self._manifest.add([entry])
        is_failed = entry.status == FAILED
        (self.summary.failed if is_failed else self.summary.done).append(entry)
        progress = f"{len(self.summary.done) + len(self.summary.failed)}/{len(self.pending)}"
        name = to_printable(os.path.basename(entry.track))
        result = to_printable(entry.error) if is_failed else format_result(entry)
        print_line(self._console, f"{progress} {name}: {result}")
        self._progress.advance(self._progress.task_ids[0])


def run_sequential(
    plan: BatchPlan, master: MasterFn, console: Console, prepare: Callable[[Job], None] | None = None
) -> BatchSummary:
    """Master all pending jobs in this process, one after another, and print a summary.

    Args:
        plan: the jobs.
        master: masters one.
        console: shows progress and the summary.
        prepare: called with each job before the one before it is mastered.

    A track that fails does not stop the others; an output folder that cannot be written does.

    Raises:
        BadInputError: before any work; see `Manifest`, or a foreign file would be overwritten.
        KeyboardInterrupt: after the summary; no partial files are left.
    """
    with open_run(plan, console) as run:
        if prepare and run.pending:
            prepare(run.pending[0])
        for job, following in itertools.zip_longest(run.pending, run.pending[1:]):
            if prepare and following:
                prepare(following)
            run.start_jobs([job])
            try:
                entry = master_job(job, plan.options_digest, master)
            except CannotWriteError as error:  # every other job would also fail after its work
                run.finish_job(failed_entry(job, plan.options_digest, str(error)))
                run.summary.stop_reason = f"Stopped: {error}"
                break
            except Exception as error:  # a bug that one of thousands of tracks meets must not stop the others
                entry = failed_entry(job, plan.options_digest, unexpected_error_message(error))
            run.finish_job(entry)
    return run.summary


@contextlib.contextmanager
def open_run(plan: BatchPlan, console: Console) -> Iterator[BatchRun]:
    """A run over the jobs that are not done; prints the summary at its end, also after Ctrl-C."""
    columns = (
        TextColumn("{task.fields[name]}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Manifest(plan.manifest_path) as manifest:
        summary, pending = BatchSummary(), []
        for job in plan.jobs:
            if entry := manifest.find_done(job, plan.options_digest):
                summary.skipped.append(entry)
            else:
                pending.append(job)
        if not plan.force:
            _check_foreign_files(pending, manifest)
        if manifest.num_unreadable:
            path = to_printable(plan.manifest_path)
            print_line(
                console, f"{manifest.num_unreadable} lines of '{path}' cannot be read; their tracks are mastered again."
            )
        interrupted = filter(manifest.was_interrupted, pending)
        atomic_files.remove_stale_temporaries(file for job in interrupted for file in (*job.files, job.done_marker))
        pending.sort(key=manifest.was_interrupted)  # a track that crashes the process does not delay the others
        try:
            with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
                progress.add_task("", total=len(pending), name="")
                yield BatchRun(pending, plan.options_digest, summary, manifest, progress, console)
        except KeyboardInterrupt:
            summary.stop_reason = "Stopped; run the same command again to continue."
            raise
        finally:
            print_summary(summary, len(pending), console)


def master_job(job: Job, options_digest: str, master: MasterFn) -> ManifestEntry:
    """Master a job; a track that cannot be used becomes a failed entry.

    Raises:
        CannotWriteError: the output folder cannot be written.
        Exception: whatever else `master` raises, except BadInputError.
    """
    start_time = time.monotonic()
    try:
        stat, digest = job.track.stat(), file_sha256(job.track)  # before the work, so that a change during it is seen
    except OSError as error:
        message = f"'{to_printable(job.track)}' cannot be read ({error.strerror}); check the file."
        return failed_entry(job, options_digest, message)
    entry = ManifestEntry.for_job(
        job, FAILED, options_digest, size=stat.st_size, mtime_ns=stat.st_mtime_ns, sha256=digest
    )
    try:
        outcome = master(job)
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
        input_lufs=json_number(outcome.input_lufs),
        input_true_peak_db=json_number(outcome.input_true_peak_db),
        input_loudness_range_lu=json_number(outcome.input_loudness_range_lu),
        residual_level_db=json_number(outcome.residual_level_db),
        notes=outcome.notes,
        summary=outcome.summary,
        reference=outcome.reference,
        findings=outcome.findings,
        seconds=_elapsed_seconds(start_time),
    )


def failed_entry(job: Job, options_digest: str, message: str) -> ManifestEntry:
    """The entry of a job that failed outside of `master_job`."""
    return ManifestEntry.for_job(job, FAILED, options_digest, error=message)


def unexpected_error_message(error: BaseException) -> str:
    """The message for an error that is not a BadInputError."""
    return f"Unexpected error ({type(error).__name__}: {error}); run this track alone to see where it comes from."


def _elapsed_seconds(start: float) -> float:
    return round(time.monotonic() - start, 2)


def _check_foreign_files(jobs: Sequence[Job], manifest: Manifest) -> None:
    foreign_files = [file for job in jobs if (file := manifest.find_foreign_file(job))]
    if foreign_files:
        suffix = f" (and {len(foreign_files) - 1} more)" if len(foreign_files) > 1 else ""
        raise BadInputError(
            f"'{to_printable(foreign_files[0])}'{suffix} was not written by this command or was changed since; "
            "add --force to overwrite it, or choose another --out."
        )
