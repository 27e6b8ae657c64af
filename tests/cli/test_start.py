"""What a plain master imports: packages that take long to import and that it does not need are not among it."""

import subprocess
import sys

import pytest

from tests.synthetic_audio import music, write_audio

HEAVY = ("scipy", "orbax", "optax", "pyloudnorm", "pyarrow", "grain", "matplotlib", "dask", "pandas")


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_master_imports_no_heavy_package(tmp_path, rate):
    write_audio(tmp_path / "track.wav", 0.9 * music(3.0, rate), rate)
    script = (
        "import sys; from nmjax.cli.main import main; code = main(['infer', 'track.wav', '--quiet', '--lufs', '-12']); "
        f"print(code, sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.stdout == "0 []\n", result.stderr
