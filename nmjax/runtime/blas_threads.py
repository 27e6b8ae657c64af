"""One thread for NumPy's matrix products, where the program itself works in several threads and processes.

Why: OpenBLAS starts a thread for each core, and they wait for each other in loops. Beside the process that measures the
track they find no core. Measured on 2 cores beside other work, the master of a song of 210 s: 5.5 and 6.8 s of CPU time
with two threads, 3.9 and 3.7 with one.
"""

from __future__ import annotations

import os


def use_one_blas_thread() -> None:
    """Sets OPENBLAS_NUM_THREADS for this process and its children, unless it is set. Call it before NumPy's import."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
