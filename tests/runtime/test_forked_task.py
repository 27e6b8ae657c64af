"""A function in a forked process: its messages, its failure, and its end. Each test runs in a fresh Python."""

import subprocess
import sys

import pytest

from nmjax.runtime import forked_task

HEAD = """
import os, sys, time
from nmjax.runtime.forked_task import ForkedTask, can_fork
assert can_fork()
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")


def run_script(script):
    result = subprocess.run([sys.executable, "-c", HEAD + script], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout, result.stderr


def test_messages_arrive_in_order():
    script = """
def work(requests, send):
    for n in range(3):
        send({"n": n, "process": os.getpid()})
task = ForkedTask(work)
messages = list(task.messages())
assert [m["n"] for m in messages] == [0, 1, 2] and {m["process"] for m in messages} != {os.getpid()}
task.close()
print("done")
"""
    assert run_script(script) == ("done\n", "")


def test_a_failure_ends_the_messages_in_silence():
    script = """
def work(requests, send):
    send(1)
    raise ValueError("broken")
task = ForkedTask(work)
print(list(task.messages()))
task.close()
"""
    assert run_script(script) == ("[1]\n", "")


def test_close_ends_a_child_that_still_works():
    script = """
def work(requests, send):
    send(os.getpid())
    time.sleep(600)
task = ForkedTask(work)
child = next(task.messages())
task.close()
try:
    os.kill(child, 0)
except ProcessLookupError:
    print("gone")
"""
    assert run_script(script) == ("gone\n", "")


def test_a_process_with_several_threads_does_not_fork():
    import threading

    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert not forked_task.can_fork()
    finally:
        stop.set()
        thread.join()


def test_requests_reach_the_child_until_the_task_is_closed():
    script = """
def work(requests, send):
    for request in requests:
        send(request * 2)
task = ForkedTask(work)
messages = task.messages()
for value in (1, "ab"):
    task.send(value)
    print(next(messages))
task.close()
try:
    task.send(3)
except (OSError, ValueError) as error:
    print("closed")
"""
    assert run_script(script) == ("2\nabab\nclosed\n", "")
