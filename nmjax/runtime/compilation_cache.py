"""Compiled programs are kept on the disk, so that only the first master of all waits for the compiler."""

from __future__ import annotations

import hashlib
import os
import platform
import warnings
from pathlib import Path

import jax


def enable_compilation_cache() -> None:
    """Have JAX keep what it compiles from now on below ~/.cache/nmjax/xla; nothing where that cannot be written.

    Programs are machine code for this processor, so that each kind of processor has a folder of its own, and they are
    run when they are read: the folder is the user's alone. A folder that is set already, by JAX_COMPILATION_CACHE_DIR
    or in a program of the user's, stays.
    """
    if jax.config.jax_compilation_cache_dir:
        return
    try:
        folder = _cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK) or folder.stat().st_uid != os.getuid():
            return
    except (OSError, RuntimeError):  # the latter: there is no home
        return
    warnings.filterwarnings(
        "ignore", "Error (reading|writing) persistent compilation cache"
    )  # a full disk, half a file
    jax.config.update("jax_compilation_cache_dir", str(folder.resolve()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _cache_folder() -> Path:
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache_home / "nmjax" / "xla" / hashlib.sha256(_cpu_fingerprint().encode()).hexdigest()[:16]


def _cpu_fingerprint() -> str:
    """What tells processors with other instructions apart."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:  # not Linux
        return f"{platform.machine()} {platform.processor()}"
    cpu_fields = ("model name", "flags", "Features", "CPU implementer", "CPU part")
    return "\n".join(line for line in lines if line.startswith(cpu_fields))
