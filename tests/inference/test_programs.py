"""Compiled programs on the disk, each case in processes of its own."""

import os
import stat
import subprocess
import sys

import pytest

SCRIPT = """
import jax, jax.numpy as jnp
from jax import monitoring
from nmjax.inference.programs import keep_programs
hits = []
monitoring.register_event_listener(lambda name, **_: hits.append(name) if name.endswith("cache_hits") else None)
keep_programs()
print(float(jax.jit(lambda x: jnp.sum(x * 2.0))(jnp.arange(5.0))), len(hits))
"""


def result(cache):
    """Sum, and programs that were found."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    total, hits = done.stdout.split()
    return float(total), int(hits)


def test_a_second_process_finds_what_the_first_compiled_and_a_damaged_program_is_compiled_again(tmp_path):
    assert result(tmp_path) == (20.0, 0)
    (folder,) = (tmp_path / "nmjax" / "xla").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700  # programs are run: nobody else may write them
    total, hits = result(tmp_path)
    assert total == 20.0 and hits >= 1
    for entry in folder.iterdir():
        entry.write_bytes(entry.read_bytes()[:50])
    assert result(tmp_path) == (20.0, 0)


@pytest.mark.parametrize("where", ["", "nmjax/xla"])
def test_without_a_place_for_them_it_works_and_says_nothing(tmp_path, where):
    """A file stands where the folder should be; a folder's rights would not stop the superuser."""
    place = tmp_path / "home" / where
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("")
    assert result(tmp_path / "home") == (20.0, 0)
