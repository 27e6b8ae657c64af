"""Ctrl-C and SIGTERM that are heard, and not where Python would forget them or a library would die of them.

A KeyboardInterrupt may come between any two steps. In a callback of the garbage collector (JAX has one) or in `__del__`
Python prints and forgets it; in an import it can end the process, since extension modules do not expect it. There it is
put off by a moment.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

_SIGNALS = {signal.SIGINT, signal.SIGTERM}
_RETRY_DELAY_S = 0.02  # s
_UNSAFE_FUNCTIONS = ("_xla_gc_callback", "__del__")
_IMPORT_FILE_PREFIX = "<frozen importlib"


def install_handlers() -> None:
    """From now on Ctrl-C and SIGTERM are a KeyboardInterrupt in the main thread, at a place that can take it; the
    signal's number is its argument."""
    for signal_number in _SIGNALS:
        signal.signal(signal_number, _handle_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def block_signals() -> None:
    """They wait for `listen`, over an exec as well."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def exit_code(error: KeyboardInterrupt) -> int:
    """The exit code: 128 and the signal's number, as a shell reports it."""
    return 128 + (error.args[0] if error.args else signal.SIGINT)


def exit_immediately(code: int) -> None:
    """The process ends here and now; at its usual end, XLA's threads crash where they were interrupted."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _handle_signal(signal_number: int, frame) -> None:
    current = frame
    while current is not None:
        if current.f_code.co_name in _UNSAFE_FUNCTIONS or current.f_code.co_filename.startswith(_IMPORT_FILE_PREFIX):
            timer = threading.Timer(_RETRY_DELAY_S, os.kill, (os.getpid(), signal_number))
            timer.daemon = True
            timer.start()
            return
        current = current.f_back
    raise KeyboardInterrupt(signal_number)
