"""Exit codes of all commands."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What the exit code of a command means; the highest problem in this order decides."""

    SUCCESS = 0, "everything was done; a master that is NOT MEASURED (silent, or too short or quiet) does not fail"
    TRACKS_FAILED = 1, "some of many tracks could not be mastered, or the run was cut short"
    BAD_INPUT = 2, "an option or an input cannot be used; a message on stderr says which"
    OUT_OF_SPEC = 3, "all masters are written, and at least one misses its loudness or true-peak ceiling (FAIL)"
    INTERRUPTED = 130, "stopped by Ctrl-C"
    TERMINATED = 143, "stopped by SIGTERM"

    def __new__(cls, value: int, _meaning: str):
        member = int.__new__(cls, value)
        member._value_ = value
        return member

    def __init__(self, _value: int, meaning: str):
        self.meaning = meaning
