"""What a batch has done, and how it is told."""

from __future__ import annotations

import dataclasses
import os

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nmjax.batch.manifest import DONE, ManifestEntry
from nmjax.runtime.console import print_line
from nmjax.runtime.exit_codes import ExitCode
from nmjax.runtime.number_format import format_fixed
from nmjax.runtime.text import to_printable

_MAX_ROWS = 60  # of the table in the summary


@dataclasses.dataclass
class BatchSummary:
    """The result of a run.

    Attributes:
        done, failed: jobs of this run.
        skipped: jobs that an earlier run has done.
        stop_reason: why jobs are left; empty where none is.
    """

    done: list[ManifestEntry] = dataclasses.field(default_factory=list)
    failed: list[ManifestEntry] = dataclasses.field(default_factory=list)
    skipped: list[ManifestEntry] = dataclasses.field(default_factory=list)
    stop_reason: str = ""

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        if self.failed or self.stop_reason:
            return ExitCode.TRACKS_FAILED
        is_compliant = all(entry.compliance != "FAIL" for entry in (*self.done, *self.skipped))
        return ExitCode.SUCCESS if is_compliant else ExitCode.OUT_OF_SPEC


def format_result(entry: ManifestEntry) -> str:
    """The result of a job in a line."""
    lufs = "no loudness" if entry.lufs is None else format_fixed(entry.lufs, "LUFS")
    peak = "" if entry.true_peak_db is None else f", {format_fixed(entry.true_peak_db, 'dBTP')}"
    return f"{entry.compliance}, {lufs}{peak} → {to_printable(os.path.basename(entry.out))}"


def print_summary(summary: BatchSummary, num_jobs: int, console: Console) -> None:
    """Print counts, and a table of the tracks that failed, miss their delivery or have notes."""
    num_failed, num_left = len(summary.failed), num_jobs - len(summary.done) - len(summary.failed)
    parts = [f"{len(summary.done)} mastered"]
    parts += [f"{len(summary.skipped)} done before"] if summary.skipped else []
    parts += [f"{num_failed} failed"] if num_failed else []
    parts += [f"{num_left} left"] if num_left else []
    flagged = [entry for entry in summary.done if entry.compliance != "PASS" or entry.notes] + summary.failed
    if flagged:
        table = Table("track", "compliance", "LUFS", "dBTP", "notes")
        for entry in flagged[-_MAX_ROWS:]:  # failures come last
            numbers = ("" if value is None else format_fixed(value) for value in (entry.lufs, entry.true_peak_db))
            notes = "\n".join(to_printable(text) for text in [entry.error, *entry.notes] if text)
            status = entry.compliance if entry.status == DONE else "failed"
            table.add_row(*map(Text, (to_printable(os.path.basename(entry.track)), status, *numbers, notes)))
        console.print(table)
        if len(flagged) > _MAX_ROWS:
            print_line(console, f"{len(flagged) - _MAX_ROWS} more rows of this table are in the manifest.")
    print_line(console, ", ".join(parts) + ".")
    if summary.stop_reason:
        print_line(console, summary.stop_reason)
