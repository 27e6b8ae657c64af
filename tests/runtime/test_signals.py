"""Ctrl-C where Python alone would discard it or interrupt an import."""

import os
import subprocess
import sys

import pytest

DURING_GC = """
import gc, time
def _xla_gc_callback(phase, info):
    if phase == "start":
        os.kill(os.getpid(), signal.SIGINT)
        gc.callbacks.clear()
        time.sleep(0.01)
gc.callbacks.append(_xla_gc_callback)
gc.collect()
"""
DURING_IMPORT = """
import sys, types, importlib.abc, importlib.util, time
class Loader(importlib.abc.Loader):
    def exec_module(self, module):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        print("complete", flush=True)
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_loader(name, Loader()) if name == "slow" else None
sys.meta_path.insert(0, Finder())
import slow
"""
WHILE_BLOCKED = """
signals.block_signals()
os.kill(os.getpid(), signal.SIGINT)
print("complete", flush=True)
signals.install_handlers()
"""
SCRIPT = """
import os, signal, time
from nmjax.runtime import signals
signals.install_handlers()
try:
    exec({code!r})
    time.sleep(20)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    signals.exit_immediately(130)
"""


def run_interrupted(code, **variables):
    command = [sys.executable, "-c", SCRIPT.format(code=code)]
    environment = os.environ | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("code", "output"),
    [
        (DURING_GC, "interrupted\n"),
        (DURING_IMPORT, "complete\ninterrupted\n"),
        (WHILE_BLOCKED, "complete\ninterrupted\n"),
    ],
    ids=["garbage collection", "import", "blocked"],
)
def test_ctrl_c_is_handled_shortly_after(code, output):
    process = run_interrupted(code)
    assert (process.returncode, process.stdout, process.stderr) == (130, output, "")


def test_the_delay_can_be_switched_off():
    process = run_interrupted(DURING_IMPORT, NMJAX_DEFER_SIGNALS="0")
    assert (process.returncode, process.stdout) == (130, "interrupted\n")
