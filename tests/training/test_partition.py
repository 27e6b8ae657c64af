"""The compiled train step of four devices: each transforms its own rows, and only gradients travel."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEVICES, BATCH = 4, 16


def compiled_step(devices, change):
    """What `partition_worker` prints; without optimization of the machine code, which changes nothing here."""
    environment = {**os.environ, "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    command = [sys.executable, "-m", "tests.training.partition_worker", str(devices), change]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.slow  # compiles the step twice
@pytest.mark.parametrize("encoder", ["tcn", "spectral"])
def test_every_device_computes_its_own_share(encoder):
    one, four = (compiled_step(devices, f"model.encoder={encoder}") for devices in (1, DEVICES))
    assert {sizes[0] for sizes in one["ffts"]} == {BATCH}
    assert {sizes[0] for sizes in four["ffts"]} == {BATCH // DEVICES}
    assert len(four["ffts"]) == len(one["ffts"])
    assert max(four["gathers"], default=0) <= four["parameters"]
    assert four["flops"] == pytest.approx(one["flops"] / DEVICES, rel=0.1)
    # The gradients and, besides them, sums over the batch such as BatchNorm's statistics.
    assert four["parameters"] < four["reduced"] < 1.1 * four["parameters"]
