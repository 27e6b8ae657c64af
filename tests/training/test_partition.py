"""The compiled train step of four devices: each transforms its own rows, and only gradients travel."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEVICES, BATCH = 4, 16


def compiled_step(devices, phase, change):
    """What `partition_worker` prints; without optimization of the machine code, which changes nothing here."""
    environment = {**os.environ, "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    command = [sys.executable, "-m", "tests.training.partition_worker", str(devices), phase, change]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.slow  # compiles the step twice
@pytest.mark.parametrize(("phase", "encoder"), [("1b", "tcn"), ("1b", "spectral"), ("2", "tcn"), ("2", "spectral")])
def test_every_device_computes_its_own_share(phase, encoder):
    one, four = (compiled_step(devices, phase, f"model.encoder={encoder}") for devices in (1, DEVICES))
    sizes_of_one = {sizes[0] for sizes in one["ffts"]}
    assert BATCH in sizes_of_one <= {BATCH, 2 * BATCH}  # phase 2 encodes mid and side
    assert {sizes[0] for sizes in four["ffts"]} == {size // DEVICES for size in sizes_of_one}
    assert len(four["ffts"]) == len(one["ffts"])
    assert max(four["gathers"], default=0) <= four["parameters"]
    assert four["flops"] == pytest.approx(one["flops"] / DEVICES, rel=0.1)
    # The gradients and, besides them, sums over the batch such as BatchNorm's statistics.
    assert four["parameters"] < four["reduced"] < 1.1 * four["parameters"]
