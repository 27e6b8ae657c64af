"""XLA's block about a slow compilation does not reach the terminal; everything else does, also from a dying process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nmjax.runtime.alarm_filter import drop_alarm

STARS = "*" * 32
HEADER = "2026-01-02 03:04:05.931165: E external/xla/xla/service/slow_operation_alarm.cc:73] "
QUESTION = (
    "[Compiling module jit_step] Very slow compile? If you want to file a bug, run with envvar "
    "XLA_FLAGS=--xla_dump_to=/tmp/foo and attach the results."
)
ALARM = f"{HEADER}\n{STARS}\n{QUESTION}\n{STARS}\n"
ALARM_AT_THE_END = f"{HEADER}The operation took 2m12.850942799s\n\n{STARS}\n{QUESTION}\n{STARS}\n"
SHORT_HEADER = "E1129 16:13:45.277501    6996 slow_operation_alarm.cc:73] "  # of jaxlib 0.10
SHORT_ALARM = ALARM.replace(HEADER, SHORT_HEADER)
REAL_ERROR = "2026-01-02 03:04:06.1: E external/xla/xla/client.cc:12] INTERNAL: no memory\n"
FOLDING = (
    f"{HEADER}Constant folding an instruction is taking > 1s:\n\n  %reduce = f32[] reduce(%a)\n\n"
    "This isn't necessarily a bug.\n"
)

SCRIPT = """
import os, sys
from nmjax.runtime.slow_compile_alarm import hide_slow_compile_alarm
with hide_slow_compile_alarm():
    os.write(2, os.environ["TEXT"].encode())  # as C++ code does
    if os.environ.get("ABORT"):
        os.abort()
print("after", file=sys.stderr)
"""


def filtered(text):
    return b"".join(drop_alarm(text.encode().splitlines(keepends=True))).decode()


@pytest.mark.parametrize("alarm", [ALARM, ALARM_AT_THE_END, ALARM + ALARM_AT_THE_END, SHORT_ALARM])
def test_the_block_is_left_out_between_other_lines(alarm):
    assert filtered(f"before\n{alarm}{REAL_ERROR}") == f"before\n{REAL_ERROR}"


@pytest.mark.parametrize(
    "text",
    [
        REAL_ERROR,
        FOLDING,
        f"{STARS}\n{QUESTION}\n{STARS}\n",  # without the line of the log
        f"{HEADER}\n{STARS}\n{REAL_ERROR}{REAL_ERROR}",  # a block that is interrupted
        f"{HEADER}\n{REAL_ERROR}" + "line\n" * 10,
        HEADER,  # the end of the stream within a block
        f"{HEADER}\n{STARS}\n",
        "no newline",
    ],
)
def test_everything_else_passes_unchanged(text):
    assert filtered(text) == text


def test_a_block_after_an_interrupted_one_is_left_out():
    assert filtered(f"{HEADER}\n{ALARM}x\n") == f"{HEADER}\nx\n"


def run_script(text, **variables):
    environment = os.environ | {"TEXT": text} | variables
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return process.returncode, process.stderr


def test_stderr_of_a_process_is_filtered_and_restored():
    assert run_script(ALARM + REAL_ERROR) == (0, f"{REAL_ERROR}after\n")


def test_the_last_words_of_an_aborted_process_arrive():
    assert run_script(ALARM + REAL_ERROR, ABORT="1") == (-signal.SIGABRT, REAL_ERROR)


def test_the_filter_can_be_switched_off():
    assert run_script(ALARM, NMJAX_COMPILE_ALARM="1") == (0, f"{ALARM}after\n")
