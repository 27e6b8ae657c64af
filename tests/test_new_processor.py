"""The tutorial "A new processor in an hour", followed in a copy of the package: files, changes and commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.synthetic_audio import music, write_audio

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorials" / "new-processor.md"
BLOCK = re.compile(r'^```(python|diff) title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
COPIED = ("nmjax", "configs", "tests", "pyproject.toml", "docs/explanation")
CHAIN_TESTS = (  # existing tests that go through every processor
    "tests/dsp/test_tilt.py",
    "tests/models/test_processors.py",
    "tests/mastering/test_request.py",
    "tests/mastering/test_intensity.py",
)


def blocks():
    """Kind, file and text of each block of the page that names a file."""
    return BLOCK.findall(PAGE.read_text(encoding="utf-8"))


def apply_change(text, change):
    """A text with the lines of a change replaced; its lines without `+` must occur in it once."""
    lines = change.splitlines(keepends=True)
    before = "".join(line[1:] or "\n" for line in lines if not line.startswith("+"))
    after = "".join(line[1:] or "\n" for line in lines if not line.startswith("-"))
    assert text.count(before) == 1, before
    return text.replace(before, after)


def follow_page(folder):
    for kind, name, text in blocks():
        path = folder / name
        if kind == "python":
            assert not path.exists()
            path.write_text(text, encoding="utf-8")
        else:
            path.write_text(apply_change(path.read_text(encoding="utf-8"), text), encoding="utf-8")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the repository in which the page was followed."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
        else:
            shutil.copy(source, folder / name)
    follow_page(folder)
    return folder


def run(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    result = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    return result.returncode, result.stdout + result.stderr


def test_the_page_makes_two_files_that_pass_the_linter(checkout):
    assert sum(kind == "python" for kind, _, _ in blocks()) == 2
    names = sorted({name for _, name, _ in blocks() if name.endswith(".py")})
    for check in (["check"], ["format", "--check"]):
        code, output = run(checkout, "-m", "ruff", *check, *names)
        assert code == 0, output


@pytest.mark.slow
def test_the_tests_of_the_page_and_of_the_chain_pass(checkout):
    code, output = run(checkout, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", *CHAIN_TESTS)
    assert code == 0, output[-3000:]


@pytest.mark.slow
def test_the_commands_of_the_page_render_and_report(checkout):
    write_audio(checkout / "track.wav", music(4.0))
    commands = re.findall(r"^nmjax (infer .+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        code, output = run(checkout, "-m", "nmjax", *command.split())
        assert code in (0, 3), output[-3000:]
    settings = json.loads((checkout / "tilted.wav.json").read_text())
    assert settings["tilt"] == {"tilt_db": 3.0}
    without, tilted = (soundfile.read(checkout / f"{name}.wav")[0] for name in ("without", "tilted"))
    assert abs(without - tilted).max() > 1e-3
    assert ">Tilt<" in (checkout / "report.html").read_text()
    assert soundfile.info(checkout / "tilt-only.wav").frames == soundfile.info(checkout / "track.wav").frames


@pytest.mark.slow
def test_half_the_intensity_is_half_the_tilt(checkout):
    script = (
        "import jax.numpy as jnp\n"
        "from nmjax.dsp import Tilt\n"
        "from nmjax.mastering.intensity import scale_processor\n"
        "print(scale_processor('tilt', Tilt(jnp.array([3.0])), 0.5).tilt_db)"
    )
    assert run(checkout, "-c", script) == (0, "[1.5]\n")
