"""Copies stdin to stdout without XLA's block about a slow compilation. A program of its own: see slow_compile_alarm.

The block is a line of the log that names `slow_operation_alarm.cc`, perhaps an empty line, and a line with "Very slow
compile?" between two lines of asterisks. The same file reports other things, such as slow constant folding: they pass.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator

_START = re.compile(rb".*slow_operation_alarm\.cc:\d+\] (The operation took \S+)?\s*")
_MAX_LINES = 5  # of a block
_BLOCK = re.compile(_START.pattern + rb"\n\*+\n.*Very slow compile\?.*\n\*+\n")


def drop_alarm(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines without the blocks, as soon as it is clear that they belong to none."""
    held: list[bytes] = []  # lines that may be a block
    for line in lines:
        if _START.fullmatch(line):
            yield from held  # a block that was interrupted
            held = [line]
        elif not held:
            yield line
        else:
            held.append(line)
            is_block = _BLOCK.fullmatch(b"".join(held))
            if is_block or len(held) == _MAX_LINES:
                yield from [] if is_block else held
                held = []
    yield from held


if __name__ == "__main__":
    for passed_line in drop_alarm(sys.stdin.buffer):
        sys.stdout.buffer.write(passed_line)
        sys.stdout.buffer.flush()
