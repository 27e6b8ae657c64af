"""Strict test session: rank promotion raises, warnings are errors (pyproject), array shapes are checked."""

import os
import signal
import tempfile
from importlib.metadata import version
from pathlib import Path

import jax
import pytest

import tests.typecheck  # noqa: F401  (the import hook looks it up as an attribute of `tests`)

# Compiled programs are stored for later sessions and shared by the workers and by the processes that tests start.
_DEFAULT_CACHE = Path(__file__).parents[1] / ".pytest_cache" / f"xla-{version('jaxlib')}"
_CACHE_SETTINGS = {
    "jax_compilation_cache_dir": os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(_DEFAULT_CACHE),
    "jax_persistent_cache_min_compile_time_secs": 0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
for _name, _value in _CACHE_SETTINGS.items():
    jax.config.update(_name, _value)
    os.environ[_name.upper()] = str(_value)

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for the workers, whose BLAS threads would wait for each other
jax.config.update("jax_num_cpu_devices", 4)
# A shell's background jobs ignore Ctrl-C, and so would every process that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="nmjax-tests-")  # indexes and decoded copies of test music
jax.config.update("jax_numpy_rank_promotion", "raise")

# Node ids of tests that take seconds and rarely fail; `make test-all` runs them.
SLOW_TESTS = Path(__file__).with_name("slow_tests.txt")

_MAX_MEMORY_MAPS = 25_000  # Linux allows 65,530 a process; one module adds up to 20,000
_LONG_TESTS = ("tests/test_end_to_end.py", "tests/training/")
_OPTIMIZED = {"dsp", "reference"}  # folders whose programs take longer to run than to compile


@pytest.hookimpl(tryfirst=True)  # before pytest selects by `-m`
def pytest_collection_modifyitems(items):
    """Mark the tests that are listed in slow_tests.txt, and start with the modules of few long tests.

    Otherwise one of them would be the last, and one worker would wait for the other. The rest stays in its order: a
    folder's modules follow each other, so that they share compiled programs (`_compilation`).
    """
    slow_tests = set(SLOW_TESTS.read_text().splitlines())
    for item in items:
        if item.nodeid in slow_tests:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG_TESTS))


@pytest.fixture(autouse=True, scope="module")
def _compilation(request):
    """Set how programs are compiled, and free those of earlier modules before their memory maps pass Linux's limit.

    Without optimizations a network compiles in two thirds of the time and a training step in half, and both run at a
    third of the speed. A module for which running counts more says `OPTIMIZED_PROGRAMS = True`. Processes that a test
    starts compile as its module does.
    """
    folder = request.path.relative_to(Path(__file__).parent).parts[0]
    unoptimized = folder not in _OPTIMIZED and not getattr(request.module, "OPTIMIZED_PROGRAMS", False)
    if jax.config.values["jax_disable_most_optimizations"] != unoptimized:
        _free_programs()  # what is in memory does not tell programs of either setting apart
        jax.config.update("jax_disable_most_optimizations", unoptimized)
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(int(unoptimized))
    yield
    if _count_memory_maps() > _MAX_MEMORY_MAPS:
        _free_programs()


def _free_programs() -> None:
    from nmjax.runtime.stored_programs import clear_programs  # after the import hook of jaxtyping

    jax.clear_caches()
    clear_programs()


def _count_memory_maps() -> int:
    maps = Path("/proc/self/maps")
    return maps.read_bytes().count(b"\n") if maps.exists() else 0
