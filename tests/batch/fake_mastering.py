"""A stand-in for mastering that worker processes can import: it writes what it reads, backwards and slowly."""

from __future__ import annotations

import dataclasses
import functools
import os
import signal
import time
from pathlib import Path

from nmjax.batch.jobs import Job
from nmjax.batch.runner import TrackOutcome
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError


def output_names(track: Path) -> list[Path]:
    """A master and its settings file; MP3 becomes WAV."""
    master_file = track.with_name(f"{track.stem}-mastered{'.wav' if track.suffix == '.mp3' else track.suffix}")
    return [master_file, master_file.with_name(f"{master_file.name}.json")]


def master(job: Job, seconds: float = 0.0, log: Path | None = None) -> TrackOutcome:
    """Master a job; some names of tracks have an effect.

    `bad…` cannot be used, `bug…` raises another exception, `flaky…` does so twice, `stop…` is a Ctrl-C halfway, and
    `deadly…` kills the process. log: gets a line at each start.
    """
    track, (out, settings_file) = job.track, job.files
    if log:
        with open(log, "a") as file:
            file.write(f"{track.name} {os.getpid()}\n")
    if track.name.startswith("bad"):
        raise BadInputError(f"'{track}' is no music.")
    if track.name.startswith("bug"):
        raise RuntimeError("a bug")
    if track.name.startswith("deadly"):
        os.kill(os.getpid(), signal.SIGKILL)
    if track.name.startswith("flaky") and log.read_text().count(track.name) < 3:
        raise OSError("the network disk is away")
    content = track.read_bytes()[::-1]
    with (
        atomic_files.temporary_sibling(out) as temporary,
        atomic_files.temporary_sibling(settings_file) as settings,
    ):
        for part in (content[: len(content) // 2], content[len(content) // 2 :]):
            with open(temporary, "ab") as file:
                file.write(part)
            if track.name.startswith("stop"):
                raise KeyboardInterrupt
            time.sleep(seconds / 2)
        settings.write_text("{}")
        atomic_files.commit_file(settings, settings_file)
        atomic_files.commit_file(temporary, out)
    return TrackOutcome(
        compliance="PASS",
        lufs=-14.0,
        true_peak_db=float("-inf"),
        input_lufs=-20.0,
        input_true_peak_db=-3.0,
        input_loudness_range_lu=6.0,
        residual_level_db=None,
        notes=[],
        summary=[],
        reference=None,
        findings=[],
    )


@dataclasses.dataclass(frozen=True)
class FakeMasterFactory:
    """Makes `master` in a worker. log: gets a line at each start of a track and for each made `MasterFn`."""

    seconds: float
    log: Path

    def __call__(self):
        with open(self.log, "a") as file:
            file.write(f"made {os.getpid()}\n")
        return functools.partial(master, seconds=self.seconds, log=self.log)
