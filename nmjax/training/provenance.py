"""Provenance of a run: `config.yaml` with all settings, and `starts.json` with an entry for each start."""

from __future__ import annotations

import datetime
import json
import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import jax
import yaml

from nmjax import __version__
from nmjax.config import Config
from nmjax.runtime import atomic_files

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "soundfile", "soxr")


def record_start(out: Path, config: Config, step: int) -> None:
    """Write `config.yaml`, and add an entry to `starts.json`.

    The entry holds the time, the step, the command, the versions, the git revision of the source and the devices.

    Args:
        out: Run folder.
        config: Settings of the run.
        step: Step from which the run starts or resumes.

    Raises:
        CannotWriteError: The folder cannot be written.
    """
    atomic_files.write_text(out / "config.yaml", yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    path = out / "starts.json"
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError):  # the first start, or a file that was edited
        entries = []
    atomic_files.write_text(path, json.dumps([*entries, _start_entry(step)], indent=1) + "\n")


def _start_entry(step: int) -> dict:
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "step": step,
        "command": shlex.join(sys.argv),
        "nmjax": __version__,
        "git_revision": git_revision(Path(__file__).parent),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "devices": [str(device.device_kind) for device in jax.devices()],
        "processes": jax.process_count(),
    }


def git_revision(folder: Path) -> str | None:
    """The git revision of the checkout that contains a folder, with "+" if it has changes; None without a checkout."""

    def git(*args: str) -> str:
        return subprocess.run(["git", "-C", str(folder), *args], capture_output=True, text=True, check=True).stdout

    try:
        return git("rev-parse", "HEAD").strip() + "+" * bool(git("status", "--porcelain", "--", ".").strip())
    except (OSError, subprocess.CalledProcessError):
        return None
