"""Compiled programs on the disk, each case in processes of its own."""

import os
import stat
import subprocess
import sys

import pytest

SCRIPT = """
import jax, jax.numpy as jnp
from jax import monitoring
from nmjax.runtime.compilation_cache import enable_compilation_cache
hits = []
monitoring.register_event_listener(lambda name, **_: hits.append(name) if name.endswith("cache_hits") else None)
enable_compilation_cache()
print(float(jax.jit(lambda x: jnp.sum(x * 2.0))(jnp.arange(5.0))), len(hits))
"""


def run_script(cache, **variables):
    """Sum, and programs that were found."""
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment.update(XDG_CACHE_HOME=str(cache), **variables)
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=120
    )
    assert (process.returncode, process.stderr) == (0, "")
    total, hits = process.stdout.split()
    return float(total), int(hits)


def test_a_second_process_uses_the_cache_and_recompiles_damaged_entries(tmp_path):
    assert run_script(tmp_path) == (20.0, 0)
    (folder,) = (tmp_path / "nmjax" / "xla").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700  # programs are run: nobody else may write them
    total, hits = run_script(tmp_path)
    assert total == 20.0 and hits >= 1
    for entry in folder.iterdir():
        entry.write_bytes(entry.read_bytes()[:50])
    assert run_script(tmp_path) == (20.0, 0)


@pytest.mark.parametrize("where", ["", "nmjax/xla"])
def test_an_unusable_cache_folder_is_ignored_silently(tmp_path, where):
    """A file has the name of the folder; permissions of a folder would not stop the superuser."""
    cache_path = tmp_path / "home" / where
    cache_path.parent.mkdir(parents=True, exist_ok=True)
    cache_path.write_text("")
    assert run_script(tmp_path / "home") == (20.0, 0)


def test_a_folder_that_jax_was_given_is_used(tmp_path):
    assert run_script(tmp_path / "home", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own")) == (20.0, 0)
    assert any((tmp_path / "own").iterdir()) and not (tmp_path / "home").exists()
