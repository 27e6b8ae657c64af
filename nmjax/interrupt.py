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
_MOMENT = 0.02  # s
_FORGOTTEN = ("_xla_gc_callback", "__del__")
_IMPORT = "<frozen importlib"


def listen() -> None:
    """From now on Ctrl-C and SIGTERM are a KeyboardInterrupt in the main thread, at a place that can take it; the
    signal's number is its argument."""
    for number in _SIGNALS:
        signal.signal(number, _heard)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def hold() -> None:
    """They wait for `listen`, over an exec as well."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def code_of(error: KeyboardInterrupt) -> int:
    """The exit code: 128 and the signal's number, as a shell reports it."""
    return 128 + (error.args[0] if error.args else signal.SIGINT)


def end(code: int) -> None:
    """The process ends here and now; at its usual end, XLA's threads crash where they were interrupted."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _heard(number: int, frame) -> None:
    place = frame
    while place is not None:
        if place.f_code.co_name in _FORGOTTEN or place.f_code.co_filename.startswith(_IMPORT):
            later = threading.Timer(_MOMENT, os.kill, (os.getpid(), number))
            later.daemon = True
            later.start()
            return
        place = place.f_back
    raise KeyboardInterrupt(number)
