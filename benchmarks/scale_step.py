"""The train step compiled for simulated CPU devices, for `scale.py`. Nothing is run."""

from __future__ import annotations

import math
import re
import time

import jax
import numpy as np

from nmjax.config import load_config
from nmjax.data import SONG_SPECTRUM_HZ, spectrum_covariance
from nmjax.models import SAMPLE_RATE, build_model
from nmjax.training.augment import eq_distribution
from nmjax.training.sharding import DataSharding
from nmjax.training.state import create_train_state, initial_variables
from nmjax.training.step import RandomInputs, jit_train_step

TYPE_BYTES = {"pred": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "c64": 8}
SMALL_BYTES = 65_536


def result_bytes(text: str) -> int:
    """Bytes of all arrays in the type of an instruction, such as `(f32[2,15]{1,0}, f32[2]{0})`."""
    arrays = re.findall(rf"\b({'|'.join(TYPE_BYTES)})\[([\d,]*)\]", text)
    return sum(TYPE_BYTES[kind] * math.prod(int(size) for size in sizes.split(",") if size) for kind, sizes in arrays)


def collectives(program: str, name: str) -> list[int]:
    """Bytes of each collective of a name; they are the same for operands and results of an all-reduce.

    Raises:
        ValueError: one is in a loop, so that it is not known how often it runs.
    """
    entry = program.index("\nENTRY ")
    matches = list(re.finditer(rf" = (.*?) {name}(?:-start)?\(", program))
    if any(match.start() < entry for match in matches):
        raise ValueError(f"{name} in a loop or a branch")
    return [result_bytes(match[1]) for match in matches]


def compile_step(phase: str, devices: int, rows: int) -> dict[str, float]:
    """Collectives and operations of the step of `rows` stereo excerpts of 5 s on each device, at width 1.0."""
    jax.config.update("jax_num_cpu_devices", devices)
    config = load_config(phase, [], [f"data.batch_size={devices * rows}"])
    sharding, samples = DataSharding(config), round(config.data.excerpt_seconds * SAMPLE_RATE)
    state = jax.eval_shape(lambda: create_train_state(config, initial_variables(build_model(config), 0)))
    inputs = RandomInputs(np.int32(0), eq_distribution(SONG_SPECTRUM_HZ, spectrum_covariance([])))
    state, inputs = sharding.restore_targets((state, inputs))
    shapes = {"target": (samples, config.data.channels), "length": (), "number": ()}
    batch = {
        name: jax.ShapeDtypeStruct(
            (devices * rows, *shape), np.float32 if shape else np.int32, sharding=sharding.batch_sharding
        )
        for name, shape in shapes.items()
    }
    step, start = jit_train_step(config, out_shardings=sharding.replicated_sharding), time.perf_counter()
    compiled = sharding.on_mesh(lambda: step.lower(state, batch, inputs).compile())()
    program = compiled.as_text()
    reduced = collectives(program, "all-reduce")
    passed = collectives(program, "collective-permute") + collectives(program, "all-to-all")
    return {
        "parameter_bytes": sum(4 * x.size for x in jax.tree.leaves(state.variables["params"])),
        "reduced_bytes": sum(reduced),
        "all_reduces": len(reduced),
        "small": sum(x < SMALL_BYTES for x in reduced),
        "gathered_bytes": sum(collectives(program, "all-gather")),
        "passed_bytes": sum(passed),
        "tflop": compiled.cost_analysis()["flops"] / 1e12,
        "compile_s": time.perf_counter() - start,
    }
