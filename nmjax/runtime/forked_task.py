"""A function in a child process that is forked before anything large is imported, so that both work at once.

Why not a thread: importing JAX holds Python's lock for most of its time, and two threads of short NumPy calls wait for
each other: together they take as long as one after the other. Why not `multiprocessing`: its child would start Python
and import everything again.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

_TASKS_FOLDER = "/proc/self/task"
_END = object()  # of the messages


def can_fork() -> bool:
    """Whether a fork is safe: on Linux, while this process has one thread."""
    return sys.platform == "linux" and os.path.isdir(_TASKS_FOLDER) and len(os.listdir(_TASKS_FOLDER)) == 1


class ForkedTask:
    """A child process that runs `function(requests, send)`.

    `requests` iterates over what the parent sends, until it closes the task; `send` passes an object to `messages`.
    Call `close` at the end. Check `can_fork` before.

    Args:
        function: an exception in it ends the messages; nothing is printed.
    """

    def __init__(self, function: Callable[[Iterator[Any], Callable[[Any], None]], None]):
        request_reader, request_writer = os.pipe()
        message_reader, message_writer = os.pipe()
        self._process_id = os.fork()
        if not self._process_id:
            os.close(request_writer)
            os.close(message_reader)
            _run_child(function, request_reader, message_writer)
        os.close(request_reader)
        os.close(message_writer)
        self._writer, self._reader = os.fdopen(request_writer, "wb"), os.fdopen(message_reader, "rb")

    def send(self, request: Any) -> None:
        """Passes an object to the child.

        Raises:
            OSError: it has ended.
        """
        pickle.dump(request, self._writer, pickle.HIGHEST_PROTOCOL)
        self._writer.flush()

    def messages(self) -> Iterator[Any]:
        """What the child sends, until it ends."""
        return _unpickled(self._reader)

    def close(self) -> None:
        """Ends the child where it still works."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process_id, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._process_id, 0)
        for file in (self._writer, self._reader):
            with contextlib.suppress(OSError):
                file.close()


def _unpickled(file: BinaryIO) -> Iterator[Any]:
    while True:
        try:
            yield pickle.load(file)
        except (EOFError, pickle.UnpicklingError):
            return


def _run_child(
    function: Callable[[Iterator[Any], Callable[[Any], None]], None], request_reader: int, message_writer: int
) -> None:
    """Never returns: the child must not continue the program of its parent."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDWR), 2)
        with os.fdopen(request_reader, "rb") as reader, os.fdopen(message_writer, "wb") as writer:
            messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
            thread = threading.Thread(target=_write_messages, args=(messages.get, writer), daemon=True)
            thread.start()
            try:
                function(_unpickled(reader), messages.put)
            finally:
                messages.put(_END)
                thread.join()
        code = 0
    finally:
        os._exit(code)


def _write_messages(next_message: Callable[[], Any], writer: BinaryIO) -> None:
    """Writes messages beside the work, which need not wait until the parent reads them."""
    try:
        while (message := next_message()) is not _END:
            pickle.dump(message, writer, pickle.HIGHEST_PROTOCOL)
            writer.flush()
    except OSError:  # the parent has ended
        os._exit(1)
