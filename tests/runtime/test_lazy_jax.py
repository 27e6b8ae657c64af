"""JAX comes when it is used, whoever uses it, and finds what waited for it."""

import os
import subprocess
import sys

import pytest

from tests.synthetic_audio import music, write_audio


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_jax_is_imported_at_its_first_use():
    code = """
import sys
from nmjax.runtime import lazy_jax
from nmjax.runtime.lazy_jax import jax, jnp
events = ["jax" in sys.modules]
lazy_jax.when_imported(lambda: events.append("then"))
events.append(float(jnp.sum(jnp.ones(3))))
lazy_jax.when_imported(lambda: events.append("now"))
print(events, jax.tree.map(abs, [-1]))
"""
    assert run_python(code) == "[False, 'then', 3.0, 'now'] [1]"


def test_settings_are_trees_for_whoever_imports_jax_later():
    code = """
import numpy as np
from nmjax.dsp import Bands
bands = Bands(*np.ones((3, 1, 2)), "notch")
import jax
print(jax.jit(lambda b: b.q + b.freq_hz)(bands), jax.tree.map(lambda x: 2.0 * x, bands).kind)
"""
    assert run_python(code) == "[[2. 2.]] notch"


def test_a_decorated_function_is_compiled_when_it_is_called():
    code = """
import sys
from nmjax.runtime.lazy_jax import jax, lazy_jit
@lazy_jit(static_argnums=1)
def scale(x, factor):
    return x * factor
before = "jax" in sys.modules
print(before, float(scale(2.0, 3)), scale.__name__)
"""
    assert run_python(code) == "False 6.0 scale"


HEAVY = ("jax", "flax", "scipy", "orbax", "tensorstore", "pyarrow", "matplotlib")
WITHOUT_JAX = {
    "an override and an intensity": "--intensity 1.3 --band 2.gain_db=-2 --deliver cd",
    "a reference": "--reference reference.wav",
    "the same song": "--reference reference.wav --same-song",
    "a style": "--style warm",
    "a compressor and a width": "--set compressor.ratio=2 --set compressor.threshold_db=-30 --set width.high=1.3",
    "gates": "--model 1c",
}


@pytest.mark.parametrize("options", WITHOUT_JAX.values(), ids=list(WITHOUT_JAX))
def test_a_plain_master_needs_no_jax(tmp_path, options):
    """At another rate than the model's."""
    code = f"""
import os, sys
import numpy as np, soundfile
from nmjax.cli.main import main
os.chdir({str(tmp_path)!r})
rng = np.random.default_rng(0)
for name, falls_off in (("track", 0.0), ("reference", 0.9)):
    audio = 0.1 * rng.standard_normal((8 * 48_000, 2))
    audio[1:] += falls_off * audio[:-1]
    audio *= 1.0 + np.sin(np.arange(len(audio)) / 9000.0)[:, None] * (falls_off > 0)
    soundfile.write(name + ".wav", 0.3 * audio, 48_000)
code = main(["infer", "track.wav", "-o", "master.wav", "--quiet", *{options!r}.split()])
print(code, [name for name in {HEAVY!r} if name in sys.modules])
"""
    assert run_python(code) == "0 []"


@pytest.mark.parametrize("error", ["ImportError", "RuntimeError"])
def test_a_broken_jax_is_one_sentence(tmp_path, error):
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").write_text(f"raise {error}('jaxlib is incompatible')")
    write_audio(tmp_path / "track.wav", music(3.0))
    command = [sys.executable, "-m", "nmjax", "infer", "track.wav", "--model", "2-master"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 2
    assert result.stderr.startswith("nmjax: This needs JAX, which cannot be imported (jaxlib is incompatible). Install")
    assert not (tmp_path / "track-mastered.wav").exists()
