"""Fewer memory pools of the C library, for a server with many threads.

Why: glibc gives threads pools ("arenas") of their own, up to eight for each core, and keeps in each what was freed
there. The studio decodes, renders and serves in a dozen threads. Measured with three tracks of four minutes, a network
with processors and a residual: 839 MB of memory, with two pools 649 MB.
"""

from __future__ import annotations

import ctypes
import platform
import sys

_M_ARENA_MAX = -8  # of malloc.h


def limit_malloc_arenas(count: int = 2) -> bool:
    """Let all threads share `count` pools; whether the C library can do that (glibc on Linux)."""
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    return ctypes.CDLL(None).mallopt(_M_ARENA_MAX, count) == 1
