"""A function in a child process that is forked before anything large is imported, so that both work at once.

Why not a thread: importing JAX holds Python's lock for most of its time, and two threads of short NumPy calls wait for
each other: together they take as long as one after the other. Why not `multiprocessing`: its child would start Python
and import everything again.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

_TASKS_FOLDER = "/proc/self/task"


def can_fork() -> bool:
    """Whether a fork is safe: on Linux, while this process has one thread."""
    return sys.platform == "linux" and os.path.isdir(_TASKS_FOLDER) and len(os.listdir(_TASKS_FOLDER)) == 1


class ForkedTask:
    """A child process that runs `function(send)`; `send` passes an object to `messages`.

    Call `close` at the end. Check `can_fork` before.

    Args:
        function: an exception in it ends the messages; nothing is printed.
    """

    def __init__(self, function: Callable[[Callable[[Any], None]], None]):
        read_end, write_end = os.pipe()
        self._process_id = os.fork()
        if not self._process_id:
            _run_child(function, write_end)
        os.close(write_end)
        self._reader = os.fdopen(read_end, "rb")

    def messages(self) -> Iterator[Any]:
        """What the child sends, until it ends."""
        while True:
            try:
                yield pickle.load(self._reader)
            except (EOFError, pickle.UnpicklingError):
                return

    def close(self) -> None:
        """Ends the child where it still works."""
        self._reader.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process_id, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._process_id, 0)


def _run_child(function: Callable[[Callable[[Any], None]], None], write_end: int) -> None:
    """Never returns: the child must not continue the program of its parent."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDWR), 2)
        with os.fdopen(write_end, "wb") as writer:

            def send(message: Any) -> None:
                pickle.dump(message, writer, pickle.HIGHEST_PROTOCOL)
                writer.flush()  # fails where the parent has ended, and with it this process

            function(send)
        code = 0
    finally:
        os._exit(code)
