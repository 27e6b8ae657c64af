"""Ctrl-C that is heard, and not where Python would forget it or a library would die of it.

A KeyboardInterrupt may come between any two steps. In a callback of the garbage collector (JAX has one) or in `__del__`
Python prints and forgets it; in an import it can end the process, since extension modules do not expect it. There it is
put off by a moment.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

_MOMENT = 0.02  # s
_FORGOTTEN = ("_xla_gc_callback", "__del__")
_IMPORT = "<frozen importlib"


def listen() -> None:
    """From now on Ctrl-C is a KeyboardInterrupt in the main thread, at a place that can take it."""
    signal.signal(signal.SIGINT, _heard)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def hold() -> None:
    """Ctrl-C waits for `listen`, over an exec as well."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


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
    raise KeyboardInterrupt
