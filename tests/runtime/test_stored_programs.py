"""Stored programs: another process traces nothing, and anything that changes the result compiles again."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
import jax, numpy as np
from nmjax.dsp import Bands
from nmjax.runtime.stored_programs import StoredJit
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
traced = []
def scale_gain(bands, factor, power):
    traced.append(1)
    return Bands(bands.freq_hz, bands.gain_db * factor**power, bands.q), {"sum": bands.q.sum()}
f = StoredJit(scale_gain, static_argnums=(2,))
size = int(sys.argv[2])
bands = Bands(np.full((1, size), 1e3, np.float32), np.ones((1, size), np.float32), np.full((1, size), 2.0, np.float32))
f.load(bands, 3.0, int(sys.argv[3]))
assert len(traced) <= 1
for _ in range(2):
    scaled, sums = f(bands, 3.0, int(sys.argv[3]))
assert isinstance(scaled, Bands) and scaled.kind == "peaking"
print(len(traced), float(scaled.gain_db[0, 0]), float(sums["sum"]))
"""


def run_script(cache, size=4, power=2):
    file = cache.parent / "script.py"
    if not file.exists():
        file.write_text(SCRIPT)
    command = [sys.executable, str(file), str(cache), str(size), str(power)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def test_a_second_process_traces_nothing(cache):
    assert run_script(cache) == ["1", "9.0", "8.0"]
    assert len(list(cache.glob("*.program"))) == 1
    assert run_script(cache) == ["0", "9.0", "8.0"]


def test_other_shapes_and_static_arguments_are_other_programs(cache):
    assert run_script(cache) == ["1", "9.0", "8.0"]
    assert run_script(cache, size=5) == ["1", "9.0", "10.0"]
    assert run_script(cache, power=1) == ["1", "3.0", "8.0"]
    assert len(list(cache.glob("*.program"))) == 3


@pytest.mark.parametrize("content", [b"", b"not a program", None])
def test_a_damaged_program_is_compiled_again(cache, content):
    run_script(cache)
    (path,) = cache.glob("*.program")
    path.write_bytes(path.read_bytes()[:1000] if content is None else content)
    assert run_script(cache) == ["1", "9.0", "8.0"]
    assert run_script(cache) == ["0", "9.0", "8.0"]


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a file away")
def test_a_program_of_another_user_is_not_run(cache):
    run_script(cache)
    (path,) = cache.glob("*.program")
    os.chown(path, 12_345, -1)
    assert run_script(cache) == ["1", "9.0", "8.0"]
    assert path.stat().st_uid == 0  # it was replaced
