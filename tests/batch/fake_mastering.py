"""A master for tests that worker processes can import: it writes what it read, backwards and slowly."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from pathlib import Path

from nmjax.batch.runner import TrackOutcome
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError


def output_names(track: Path) -> list[Path]:
    """MP3 becomes WAV, as in the real one."""
    suffix = ".wav" if track.suffix == ".mp3" else track.suffix
    return [track.with_name(f"{track.stem}-mastered{ending}") for ending in (suffix, ".json")]


def master(track: Path, out: Path, seconds: float = 0.0, log: Path | None = None) -> TrackOutcome:
    """A track named `bad…` cannot be used, `bug…` raises something else, `flaky…` does so twice, `stop…` is a Ctrl-C
    halfway, `deadly…` kills the process. log: gets a line at each start."""
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
        atomic_files.temporary_sibling(out.with_suffix(".json")) as settings,
    ):
        for part in (content[: len(content) // 2], content[len(content) // 2 :]):
            with open(temporary, "ab") as file:
                file.write(part)
            if track.name.startswith("stop"):
                raise KeyboardInterrupt
            time.sleep(seconds / 2)
        settings.write_text("{}")
        atomic_files.commit_file(settings, out.with_suffix(".json"))
        atomic_files.commit_file(temporary, out)
    return TrackOutcome(out, "PASS", -14.0, float("-inf"), [])


@dataclasses.dataclass(frozen=True)
class FakeMasterFactory:
    """What Dask's workers get. log: gets a line at each start of a track and at each making of a master."""

    seconds: float
    log: Path

    def __call__(self):
        with open(self.log, "a") as file:
            file.write(f"made {os.getpid()}\n")
        return lambda track, out: master(track, out, self.seconds, self.log)
