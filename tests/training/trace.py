"""Train some steps on made-up batches and print the losses: one of the processes of a layout of devices.

    python -m tests.training.trace DEVICES [PORT PROCESS PROCESSES] [key=value …]

DEVICES are forced CPU devices of this process. Prints a JSON list of losses, exact to the last bit.
"""

import contextlib
import json
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np

from nmjax import hosts
from tests.music import music
from tests.training.tiny import Recorder, style, tiny

BATCH, STEPS, SECONDS = 16, 20, 0.45


class Batches:
    """This process's rows of batch k: numbers 16·k to 16·k + 15, other music each."""

    def __init__(self):
        self._next = 0

    def __next__(self):
        numbers = np.arange(BATCH * self._next, BATCH * (self._next + 1), dtype=np.int32)
        self._next += 1
        mine = np.array_split(numbers, jax.process_count())[jax.process_index()]
        target = np.stack([music(SECONDS, channels=2, seed=int(n)) for n in mine]).astype(np.float32)
        return {"target": target, "length": np.full(len(mine), target.shape[1], np.int32), "number": mine}

    def get_state(self):
        return self._next

    def set_state(self, state):
        self._next = state

    def close(self): ...


def main(devices: int, *rest: str) -> None:
    """The trace of a run of 20 steps, 1B."""
    from nmjax.models import build_model
    from nmjax.training.loop import Run
    from nmjax.training.state import initial_state, initial_variables

    jax.config.update("jax_num_cpu_devices", devices)
    changes = [word for word in rest if "=" in word]
    if place := [int(word) for word in rest if "=" not in word]:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        hosts.join(f"127.0.0.1:{place[0]}", place[2], place[1])
    # the learning rate of the shipped phase_1b.yaml: its warm-up takes 1000 steps
    rhythm = ["train.steps=100000", "train.warmup_steps=1000", "train.checkpoint_every=100000"]
    sizes = [f"data.batch_size={BATCH}", "data.channels=2", "model.width=0.06"]
    config = tiny("1b", *sizes, *rhythm, *changes)
    state, heard = initial_state(config, initial_variables(build_model(config), 0)), Recorder(crash_at=STEPS)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, state, style(), lambda _: Batches(), [], Path(folder))
        run.latest_checkpoints = run.best_checkpoints = NoCheckpoints()
        with contextlib.suppress(InterruptedError):
            run.train(heard)
        run.close()
    print(json.dumps([heard.losses[step] for step in range(1, STEPS + 1)]))


class NoCheckpoints:
    """A trace saves nothing."""

    def save(self, *_): ...


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
