"""Imports without garbage collection in between.

Why: importing JAX and all that follows makes some hundred thousand objects that stay. Python's collector looks through
them again and again while they are made, and in every full collection later. Measured on 2 CPU cores, the master of a
track of 30 s: 2.05 → 1.57 s of CPU time, with programs that were stored before.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Pauses the collector, and exempts what was made meanwhile from it: it stays until the process ends.

    Where the collector is off already, nothing happens.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
