"""Train some steps on synthetic batches and print the losses; one of the processes of a device layout.

    python -m tests.training.loss_trace_worker DEVICES [PORT PROCESS PROCESSES] [key=value …]

DEVICES is the number of CPU devices of this process. Prints the exact losses as a JSON list.
"""

import contextlib
import json
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np

from nmjax.runtime import distributed
from tests.synthetic_audio import music
from tests.training.tiny_run import RecordingLogger, smooth_eq_distribution, tiny_config

BATCH, STEPS, SECONDS = 16, 20, 0.45


class SyntheticBatches:
    """This process's rows of batch k, whose examples have the numbers 16·k to 16·k + 15."""

    def __init__(self):
        self._next = 0

    def __next__(self):
        numbers = np.arange(BATCH * self._next, BATCH * (self._next + 1), dtype=np.int32)
        self._next += 1
        own_numbers = np.array_split(numbers, jax.process_count())[jax.process_index()]
        target = np.stack([music(SECONDS, channels=2, seed=int(n)) for n in own_numbers]).astype(np.float32)
        return {"target": target, "length": np.full(len(own_numbers), target.shape[1], np.int32), "number": own_numbers}

    def get_state(self):
        return self._next

    def set_state(self, state):
        self._next = state

    def close(self): ...


def main(devices: int, *arguments: str) -> None:
    """Train 20 steps of phase 1b."""
    from nmjax.models import build_model
    from nmjax.training.loop import TrainingLoop
    from nmjax.training.state import create_train_state, initial_variables

    jax.config.update("jax_num_cpu_devices", devices)
    changes = [word for word in arguments if "=" in word]
    if address := [int(word) for word in arguments if "=" not in word]:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        distributed.initialize(f"127.0.0.1:{address[0]}", address[2], address[1])
    # the learning rate of the shipped phase_1b.yaml: its warm-up takes 1000 steps
    intervals = ["train.steps=100000", "train.warmup_steps=1000", "train.checkpoint_every=100000"]
    sizes = [f"data.batch_size={BATCH}", "data.channels=2", "model.width=0.06"]
    config = tiny_config("1b", *sizes, *intervals, *changes)
    state, logger = (
        create_train_state(config, initial_variables(build_model(config), 0)),
        RecordingLogger(crash_at=STEPS),
    )
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingLoop(
            config=config,
            state=state,
            eq_distribution=smooth_eq_distribution(),
            make_batches=lambda _: SyntheticBatches(),
            validation_batches=[],
            out=Path(folder),
        )
        run.latest_checkpoints = run.best_checkpoints = NullCheckpoints()
        with contextlib.suppress(InterruptedError):
            run.train(logger)
        run.close()
    print(json.dumps([logger.losses[step] for step in range(1, STEPS + 1)]))


class NullCheckpoints:
    """Saves nothing."""

    def save(self, *_): ...


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
