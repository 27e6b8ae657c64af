"""The restart with a tuned allocator: once, in the same process, with the other tunables unchanged."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nmjax.runtime import allocator

SCRIPT = """
import os, sys
from nmjax.runtime.allocator import restart_with_tuned_allocator
before = os.getpid()
print("start", before, os.environ.get("GLIBC_TUNABLES", ""), sys.argv[1:], flush=True)
restart_with_tuned_allocator()
"""


def run_script(tmp_path, tunables=None, **variables):
    """The output of a script that asks for it: a line for each start."""
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    env = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    env |= variables
    env |= {} if tunables is None else {"GLIBC_TUNABLES": tunables}
    command = [sys.executable, str(file), "a b", "--flag"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.skipif(not allocator.is_supported(), reason="Linux with glibc 2.35 alone")
def test_a_program_starts_again_once_with_its_arguments(tmp_path):
    first, second = (line.split(" ", 3) for line in run_script(tmp_path, "glibc.malloc.check=0"))
    assert first[1] == second[1]
    assert second[2].startswith("glibc.malloc.check=0:glibc.malloc.hugetlb=1:")
    assert first[3] == second[3] == "['a b', '--flag']"


@pytest.mark.parametrize("choice", ["glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=1"])
def test_an_explicit_setting_wins(tmp_path, choice):
    assert len(run_script(tmp_path, choice)) == 1


def test_the_restart_can_be_switched_off(tmp_path):
    assert len(run_script(tmp_path, NMJAX_HUGE_PAGES="0")) == 1
