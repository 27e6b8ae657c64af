"""JAX's persistent compilation cache: only the first master and the first start of a training wait for the compiler.

JAX_ENABLE_COMPILATION_CACHE=false switches it off, JAX_COMPILATION_CACHE_DIR moves it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import warnings
from pathlib import Path

from nmjax.runtime.lazy_jax import jax, when_imported


def enable_compilation_cache() -> None:
    """Store compiled programs in ~/.cache/nmjax/xla, as soon as JAX is imported; do nothing if the folder cannot be
    written or another one is set.

    Programs are machine code: each kind of processor has a folder of its own, which only the user may write.
    """
    when_imported(_enable)


def _enable() -> None:
    if jax.config.jax_compilation_cache_dir:  # pyright: ignore[reportAttributeAccessIssue]  added at run time
        return
    try:
        folder = _cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK) or folder.stat().st_uid != os.getuid():
            return
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return
    # A full disk or a truncated entry costs time, not correctness: JAX compiles again.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(folder.resolve()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _cache_folder() -> Path:
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache_home / "nmjax" / "xla" / hashlib.sha256(cpu_fingerprint().encode()).hexdigest()[:16]


@functools.cache
def cpu_fingerprint() -> str:
    """Text that differs between processors with different instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:  # not Linux
        return f"{platform.machine()} {platform.processor()}"
    cpu_fields = ("model name", "flags", "Features", "CPU implementer", "CPU part")
    return "\n".join(line for line in lines if line.startswith(cpu_fields))
