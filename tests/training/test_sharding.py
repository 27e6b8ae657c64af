"""One device, eight devices, and two processes of four devices each train the same."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training.loss_trace_worker import STEPS

ROOT = Path(__file__).parents[2]


def start_worker(*arguments):
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", "tests.training.loss_trace_worker", *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def losses(process):
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    return np.array(json.loads(stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def single_device_losses():
    """The losses of one device."""
    return losses(start_worker(1))


@pytest.mark.slow  # tests/training/test_resume.py trains on one device and resumes with others
def test_eight_devices_train_as_one_does(single_device_losses):
    assert len(set(single_device_losses)) == STEPS
    np.testing.assert_allclose(losses(start_worker(8)), single_device_losses, rtol=1e-5)


@pytest.mark.slow  # two processes that compile the step each
def test_two_processes_of_four_devices_train_as_one_device_does(single_device_losses):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    first, second = (start_worker(4, port, process, 2) for process in range(2))
    ours, theirs = losses(first), losses(second)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(ours, single_device_losses, rtol=1e-5)
