"""A strict session: several CPU devices, rank promotion raises, warnings are errors (pyproject), shapes are checked."""

import os
import signal
import tempfile

import jax
import pytest

import tests.typecheck  # noqa: F401  (the import hook looks it up as an attribute of `tests`)

jax.config.update("jax_num_cpu_devices", 4)
# A shell's background jobs ignore Ctrl-C, and so would every process that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="nmjax-tests-")  # for music that tests make and throw away
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True, scope="module")
def _free_compiled_programs():
    """Every compiled program keeps memory maps; a whole session's pass Linux's limit (65,530) and LLVM then crashes."""
    yield
    jax.clear_caches()
