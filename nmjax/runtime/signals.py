"""Signal handlers: Ctrl-C and SIGTERM raise KeyboardInterrupt, but only where the exception reaches the caller.

Why: Python raises KeyboardInterrupt between any two bytecodes. In a callback of the garbage collector (JAX registers
one) or in `__del__` the exception is printed and discarded, so the program continues; in an import it can crash an
extension module. The handler therefore looks at the interrupted frames and, in these three cases, sends the signal
again 20 ms later. NMJAX_DEFER_SIGNALS=0 switches this off.

Measured by a timer during `infer.py` on the example track (2,272 samples): 64 % of the samples fell into imports and
5 % into JAX's callback. One Ctrl-C in 20 would be lost without the handler.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

_SIGNALS = {signal.SIGINT, signal.SIGTERM}
_RETRY_DELAY_S = 0.02
_UNSAFE_FUNCTIONS = ("_xla_gc_callback", "__del__")
_IMPORT_FILE_PREFIX = "<frozen importlib"


def install_handlers() -> None:
    """From now on Ctrl-C and SIGTERM raise KeyboardInterrupt(signal number) in the main thread."""
    for signal_number in _SIGNALS:
        signal.signal(signal_number, _handle_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def block_signals() -> None:
    """Delay both signals until `install_handlers`, across an exec too."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def exit_code(error: KeyboardInterrupt) -> int:
    """128 plus the signal's number, as shells report it."""
    return 128 + (error.args[0] if error.args else signal.SIGINT)


def exit_immediately(code: int) -> None:
    """Flush the output and end the process without cleanup: after an interruption XLA's threads crash in a normal
    exit."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _handle_signal(signal_number: int, frame: FrameType | None) -> None:
    if os.environ.get("NMJAX_DEFER_SIGNALS") != "0" and _is_unsafe(frame):
        timer = threading.Timer(_RETRY_DELAY_S, os.kill, (os.getpid(), signal_number))
        timer.daemon = True
        timer.start()
        return
    raise KeyboardInterrupt(signal_number)


def _is_unsafe(frame: FrameType | None) -> bool:
    """Whether an exception raised in this frame would be discarded or could interrupt an import."""
    while frame is not None:
        code = frame.f_code
        if code.co_name in _UNSAFE_FUNCTIONS or code.co_filename.startswith(_IMPORT_FILE_PREFIX):
            return True
        frame = frame.f_back
    return False
