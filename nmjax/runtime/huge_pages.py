"""Large pages for large arrays: a tenth to a sixth of a training step on a CPU otherwise goes into page faults.

XLA asks for its temporary arrays anew at each step, and Linux hands such memory out in pages of 4 kB. glibc (2.35 and
later) asks for pages of 2 MB where the variable GLIBC_TUNABLES says so, which a process must have when it starts.
"""

from __future__ import annotations

import os
import platform
import sys

_TUNABLES_VARIABLE, _HUGE_PAGE_TUNABLE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"


def restart_with_huge_pages() -> None:
    """Starts this program again, in the same process and with the same arguments, with large pages asked for.

    To be called before anything else is done. Nothing happens where they were asked for (or refused) already, nor on
    another system than Linux with glibc 2.35.
    """
    tunables = os.environ.get(_TUNABLES_VARIABLE, "")
    if _HUGE_PAGE_TUNABLE in tunables or not _is_supported():
        return
    os.environ[_TUNABLES_VARIABLE] = ":".join(filter(None, [tunables, f"{_HUGE_PAGE_TUNABLE}=1"]))
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _is_supported() -> bool:
    libc, version = platform.libc_ver()
    return sys.platform == "linux" and libc == "glibc" and tuple(map(int, version.split(".")[:2])) >= (2, 35)
