"""Compile the train step for some CPU devices and print what each device of them does.

    python -m tests.training.partition_worker DEVICES PHASE [key=value …]

Prints as JSON: `ffts`, the shapes of the results of all Fourier transforms; `gathers`, the bytes of the result of each
all-gather; `reduced`, the bytes of all all-reduces together; `flops`; `parameters`, their bytes.
"""

import json
import re
import sys

import jax
import numpy as np

from tests.training.tiny_run import smooth_eq_distribution, tiny_config

BATCH, SAMPLES = 16, 16_384
_BYTES = {"f32": 4, "s32": 4, "u32": 4, "pred": 1, "c64": 8}


def shapes(text):
    """`[(type, dimensions)]` of all arrays in a piece of HLO."""
    return [
        (kind, [int(size) for size in sizes.split(",") if size])
        for kind, sizes in re.findall(r"\b(f32|s32|u32|pred|c64)\[([\d,]*)\]", text)
    ]


def num_bytes(text):
    return sum(_BYTES[kind] * int(np.prod(sizes)) for kind, sizes in shapes(text))


def results(program, operation):
    """The text of the results of an operation, wherever it occurs in a program."""
    return re.findall(rf"= (.*?) {operation}(?:-start)?\(", program)


def main(devices, phase, *changes):
    from nmjax.models import build_model
    from nmjax.training.sharding import DataSharding
    from nmjax.training.state import create_train_state, initial_variables
    from nmjax.training.step import RandomInputs, jit_train_step

    jax.config.update("jax_num_cpu_devices", devices)
    config = tiny_config(phase, f"data.batch_size={BATCH}", "data.channels=2", "model.width=0.06", *changes)
    sharding = DataSharding(config)
    state = create_train_state(config, initial_variables(build_model(config), 0))
    state, distribution, index = sharding.replicate((state, smooth_eq_distribution(), np.int32(0)))
    batch = sharding.shard_batch({
        "target": np.zeros((BATCH, SAMPLES, 2), np.float32),
        "length": np.full(BATCH, SAMPLES, np.int32),
        "number": np.arange(BATCH, dtype=np.int32),
    })  # fmt: skip
    step = jit_train_step(config, out_shardings=sharding.replicated_sharding)
    compiled = sharding.on_mesh(lambda *x: step.lower(*x).compile())(state, batch, RandomInputs(index, distribution))
    program = compiled.as_text()
    report = {
        "ffts": [sizes for text in results(program, "fft") for _, sizes in shapes(text)],
        "gathers": [num_bytes(text) for text in results(program, "all-gather")],
        "reduced": sum(num_bytes(text) for text in results(program, "all-reduce")),
        "flops": compiled.cost_analysis()["flops"],
        "parameters": sum(x.nbytes for x in jax.tree.leaves(state.variables["params"])),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
