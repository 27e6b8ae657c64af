"""What a step costs: parameters, FLOPs, memory and time, without any music."""

from __future__ import annotations

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from nmjax.config import Config
from nmjax.data import STYLE_HZ, style_covariance
from nmjax.models import SAMPLE_RATE, build_model
from nmjax.training.augment import style_of
from nmjax.training.state import TrainState, count, initial_state, initial_variables
from nmjax.training.step import Dice, jitted_train_step

_STEPS = 4


def noise_inputs(config: Config) -> tuple[TrainState, dict[str, jax.Array], Dice]:
    """A run's start, a batch of noise, and the dice: what a step takes, without any music."""
    data, samples = config.data, round(config.data.excerpt_seconds * SAMPLE_RATE)
    noise = np.random.default_rng(0).standard_normal((data.batch_size, samples, data.channels))
    batch = {
        "target": jnp.asarray(0.1 * noise, jnp.float32),
        "length": jnp.full(len(noise), samples, jnp.int32),
        "number": jnp.arange(len(noise), dtype=jnp.int32),
    }
    dice = Dice(jnp.zeros((), jnp.int32), style_of(STYLE_HZ, style_covariance([])))
    return initial_state(config, initial_variables(build_model(config), config.seed)), batch, dice


def step_bytes(program: jax.stages.Compiled) -> int:
    """XLA's estimate of what a compiled step needs: arguments, temporaries, and outputs in no argument's place."""
    m = program.memory_analysis()
    return m.argument_size_in_bytes + m.temp_size_in_bytes + m.output_size_in_bytes - m.alias_size_in_bytes


def measure(config: Config) -> dict[str, float]:
    """Parameters of each part, XLA's own count of FLOPs and bytes for the compiled step, seconds per step on noise."""
    state, batch, dice = noise_inputs(config)
    params = state.model["params"]
    found = {f"{name} parameters": count(part) for name, part in params.items()}
    found["parameters"] = count(params)
    compiled = jitted_train_step(config).lower(state, batch, dice).compile()
    found["flops"] = float(compiled.cost_analysis().get("flops", float("nan")))
    found["bytes"] = float(step_bytes(compiled))
    seconds = []
    for _ in range(_STEPS):
        start = time.perf_counter()
        state, metrics = compiled(state, batch, dice)
        jax.block_until_ready(metrics)
        seconds.append(time.perf_counter() - start)
    found["seconds"] = statistics.median(seconds[1:])
    return found


def report(config: Config) -> None:
    """Print `measure` as a table."""
    found = measure(config)
    data = config.data
    table = Table(
        title=f"Phase {config.phase}, {data.batch_size} × {data.excerpt_seconds} s × {data.channels} channel(s)"
    )
    table.add_column("what")
    table.add_column("figure", justify="right")
    for name, value in found.items():
        if "parameters" in name:
            table.add_row(name, f"{value:,.0f}")
    table.add_row("FLOPs per step (XLA's count)", f"{found['flops'] / 1e9:,.1f} GFLOP")
    table.add_row("memory of a step (XLA's estimate)", f"{found['bytes'] / 1e9:,.2f} GB")
    table.add_row(f"time per step ({jax.devices()[0].device_kind})", f"{found['seconds']:,.2f} s")
    table.add_row("excerpts per second", f"{data.batch_size / found['seconds']:,.2f}")
    Console().print(table)
