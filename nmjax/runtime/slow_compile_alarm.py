"""Filter of stderr that removes XLA's alarm about a slow compilation. NMJAX_COMPILE_ALARM=1 shows it.

Why: after two minutes of compiling, XLA prints a block that asks for a bug report, although nothing is wrong: a train
step takes that long on two cores. XLA has no switch for it, and its log level would hide real errors as well. So stderr
passes through a process that leaves the block out. A process and not a thread, because what XLA prints when it aborts
must be passed on after the death of this program.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_FILTER_SCRIPT = Path(__file__).with_name("alarm_filter.py")
_STDERR = 2
_MAX_WAIT_S = 2.0  # for the last lines; a process that inherited stderr may keep the pipe open


@contextlib.contextmanager
def hide_slow_compile_alarm() -> Iterator[None]:
    """Leave XLA's block about a slow compilation out of stderr; every other line passes."""
    if os.environ.get("NMJAX_COMPILE_ALARM") == "1":
        yield
        return
    # In a session of its own: Ctrl-C is for the program, whose last words the filter has to pass on.
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_FILTER_SCRIPT)], stdin=subprocess.PIPE, stdout=_STDERR, start_new_session=True
    )
    assert process.stdin is not None
    terminal = os.dup(_STDERR)
    os.dup2(process.stdin.fileno(), _STDERR)
    process.stdin.close()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, _STDERR)
        os.close(terminal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_MAX_WAIT_S)
