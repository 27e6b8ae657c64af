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

from nmjax import io
from nmjax.errors import BadInputError, CannotWriteError
from nmjax.inference.decibels import finite
from nmjax.inference.many.jobs import Job, shown
from nmjax.inference.many.manifest import DONE, FAILED, STARTED, Manifest, Record, digest_of_file, written
from nmjax.inference.progress import say

_MOST_ROWS = 60  # of the table at the end


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a track. out: the audio. verdict: the delivery's, PASS or FAIL. lufs: LUFS, and true_peak_db:
    dBTP, of the file; None where there is none."""

    out: Path
    verdict: str
    lufs: float | None
    true_peak_db: float | None
    notes: list[str]


Master = Callable[[Path, Path], Outcome]
"""Masters a track into the second path and what belongs to it, all at once or nothing; BadInputError for a track that
cannot be used."""


@dataclasses.dataclass
class Summary:
    """What a run did. done, failed: lines of the manifest. skipped: done by an earlier run. stopped: the sentence that
    says why work was left, or nothing."""

    done: list[Record] = dataclasses.field(default_factory=list)
    failed: list[Record] = dataclasses.field(default_factory=list)
    skipped: list[Job] = dataclasses.field(default_factory=list)
    stopped: str = ""

    @property
    def exit_code(self) -> int:
        """0 if every track is mastered, 1 if not."""
        return 1 if self.failed or self.stopped else 0

    def as_tree(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "done": [vars(record) for record in self.done],
            "failed": [vars(record) for record in self.failed],
            "skipped": [{"track": str(job.track), "out": str(job.out)} for job in self.skipped],
            "stopped": self.stopped,
        }


@dataclasses.dataclass
class Run:
    """A run at work. todo: what is to be done, in this order."""

    todo: list[Job]
    options: str
    summary: Summary
    _manifest: Manifest
    _progress: Progress
    _console: Console

    def begin(self, jobs: Sequence[Job]) -> None:
        """To be called before work on them, which makes their outputs this run's."""
        self._manifest.add(_stamped(_record(job, self.options, STARTED)) for job in jobs)
        if len(jobs) == 1:
            self._progress.update(self._progress.task_ids[0], name=shown(jobs[0].track.name))

    def settle(self, record: Record) -> None:
        """To be called with what became of a job."""
        record = _stamped(record)
        self._manifest.add([record])
        failed = record.status == FAILED
        (self.summary.failed if failed else self.summary.done).append(record)
        place = f"{len(self.summary.done) + len(self.summary.failed)}/{len(self.todo)}"
        name = shown(os.path.basename(record.track))
        say(self._console, f"{place} {name}: {shown(record.sentence) if failed else _measures(record)}")
        self._progress.advance(self._progress.task_ids[0])


def run_all(
    jobs: Sequence[Job], master: Master, manifest_path: Path, options: str, console: Console, force: bool = False
) -> Summary:
    """Master each track that is not done yet, one at a time in this process, and show a summary.

    A track that fails does not stop the rest; a disk that cannot be written does.

    Args:
        options: a digest of what was asked for (`digest_of`); tracks done with another one are done again.
        force: overwrite files that no earlier run wrote.

    Raises:
        BadInputError: before any work: see `Manifest`, and an output that would be overwritten.
        KeyboardInterrupt: after the summary; the manifest is right, and nothing half-written lies about.
    """
    with started(jobs, manifest_path, options, console, force) as run:
        for job in run.todo:
            run.begin([job])
            try:
                record = attempted(job, options, master)
            except CannotWriteError as error:  # it would stop each of the others after its work
                run.settle(failure(job, options, str(error)))
                run.summary.stopped = f"Stopped: {error}"
                break
            except Exception as error:  # one track in thousands must not cost the rest
                record = failure(job, options, unexpected(error))
            run.settle(record)
    return run.summary


@contextlib.contextmanager
def started(
    jobs: Sequence[Job], manifest_path: Path, options: str, console: Console, force: bool = False
) -> Iterator[Run]:
    """A run over the jobs that are not done; at its end, or when it is interrupted, it shows what was done."""
    columns = (
        TextColumn("{task.fields[name]}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Manifest(manifest_path) as manifest:
        summary = Summary(skipped=[job for job in jobs if manifest.is_done(job, options)])
        skipped = set(summary.skipped)
        todo = [job for job in jobs if job not in skipped]
        if not force:
            _check_foreign(todo, manifest)
        if manifest.unreadable:
            say(console, f"{manifest.unreadable} lines of '{shown(manifest_path)}' could not be read; "
                          "what they were about is done again.")  # fmt: skip
        interrupted = filter(manifest.was_interrupted, todo)
        io.remove_leftovers(file for job in interrupted for file in (*job.files, job.receipt))
        todo.sort(key=manifest.was_interrupted)  # what a run died of comes last, and does not keep the rest waiting
        try:
            with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
                progress.add_task("", total=len(todo), name="")
                yield Run(todo, options, summary, manifest, progress, console)
        except KeyboardInterrupt:
            summary.stopped = "Stopped; the same command goes on."
            raise
        finally:
            _show(summary, len(todo), console)


def attempted(job: Job, options: str, master: Master) -> Record:
    """Master a job; a track that cannot be used becomes a record that says why.

    Raises:
        CannotWriteError, and whatever else `master` raises but BadInputError.
    """
    start = time.monotonic()
    try:
        stat, digest = job.track.stat(), digest_of_file(job.track)  # before the work: a change during it is one
    except OSError as error:
        return failure(job, options, f"'{shown(job.track)}' cannot be read ({error.strerror}); check the file.")
    record = _record(job, options, FAILED, size=stat.st_size, mtime_ns=stat.st_mtime_ns, sha256=digest)
    try:
        outcome = master(job.track, job.out)
    except CannotWriteError:
        raise
    except BadInputError as error:
        return dataclasses.replace(record, sentence=str(error), seconds=_since(start))
    return dataclasses.replace(
        record,
        status=DONE,
        files={file.name: facts for file in job.files if (facts := written(file))},
        verdict=outcome.verdict,
        lufs=finite(outcome.lufs),
        true_peak_db=finite(outcome.true_peak_db),
        notes=outcome.notes,
        seconds=_since(start),
    )


def failure(job: Job, options: str, sentence: str) -> Record:
    """The record of a job that failed outside of its master."""
    return _record(job, options, FAILED, sentence=sentence)


def unexpected(error: BaseException) -> str:
    """The sentence for an error that nobody foresaw."""
    return f"An error that was not foreseen ({type(error).__name__}: {error}); try the track alone."


def _record(job: Job, options: str, status: str, **more) -> Record:
    return Record(os.path.abspath(job.track), os.path.abspath(job.out), status, options, **more)


def _stamped(record: Record) -> Record:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return dataclasses.replace(record, time=now)


def _since(start: float) -> float:
    return round(time.monotonic() - start, 2)


def _check_foreign(jobs: Sequence[Job], manifest: Manifest) -> None:
    foreign = [file for job in jobs if (file := manifest.foreign(job))]
    if foreign:
        others = f" (and {len(foreign) - 1} others like it)" if len(foreign) > 1 else ""
        raise BadInputError(
            f"'{shown(foreign[0])}'{others} was not written by this command or was changed since; "
            "add --force to overwrite it, or choose another --out."
        )


def _measures(record: Record) -> str:
    lufs = "no loudness" if record.lufs is None else f"{record.lufs:.1f} LUFS"
    peak = "" if record.true_peak_db is None else f", {record.true_peak_db:.1f} dBTP"
    return f"{record.verdict}, {lufs}{peak} → {shown(os.path.basename(record.out))}"


def _show(summary: Summary, todo: int, console: Console) -> None:
    """What was done in a sentence, and a table of what a person should look at."""
    failed, left = len(summary.failed), todo - len(summary.done) - len(summary.failed)
    parts = [f"{len(summary.done)} mastered"]
    parts += [f"{len(summary.skipped)} done before"] if summary.skipped else []
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{left} left"] if left else []
    look_at = [r for r in summary.done if r.verdict != "PASS" or r.notes] + summary.failed
    if look_at:
        table = Table("track", "verdict", "LUFS", "dBTP", "notes")
        for r in look_at[-_MOST_ROWS:]:  # failures stand last
            numbers = ("" if x is None else f"{x:.1f}" for x in (r.lufs, r.true_peak_db))
            notes = "\n".join(shown(text) for text in [r.sentence, *r.notes] if text)
            verdict = r.verdict if r.status == DONE else "failed"
            table.add_row(*map(Text, (shown(os.path.basename(r.track)), verdict, *numbers, notes)))
        console.print(table)
        if len(look_at) > _MOST_ROWS:
            say(console, f"{len(look_at) - _MOST_ROWS} more rows of this table stand in the manifest.")
    say(console, ", ".join(parts) + ".")
    if summary.stopped:
        say(console, summary.stopped)
