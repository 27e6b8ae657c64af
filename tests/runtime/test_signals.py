"""Ctrl-C at places where Python alone would forget it or end in a traceback."""

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
        print("whole", flush=True)
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_loader(name, Loader()) if name == "slow" else None
sys.meta_path.insert(0, Finder())
import slow
"""
WHILE_DEFERRED = """
signals.block_signals()
os.kill(os.getpid(), signal.SIGINT)
print("whole", flush=True)
signals.install_handlers()
"""
SCRIPT = """
import os, signal, time
from nmjax.runtime import signals
signals.install_handlers()
try:
    exec({place!r})
    time.sleep(20)
except KeyboardInterrupt:
    print("heard", flush=True)
    signals.exit_immediately(130)
"""


@pytest.mark.parametrize(
    ("place", "said"), [(DURING_GC, "heard\n"), (DURING_IMPORT, "whole\nheard\n"), (WHILE_DEFERRED, "whole\nheard\n")]
)
def test_ctrl_c_is_handled_shortly_after(place, said):
    code = SCRIPT.format(place=place)
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=15, check=False)
    assert (process.returncode, process.stdout, process.stderr) == (130, said, "")
