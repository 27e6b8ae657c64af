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
from nmjax.training.state import count, initial_state, initial_variables
from nmjax.training.step import Dice, make_train_step

_STEPS = 4


def measure(config: Config) -> dict[str, float]:
    """Parameters of each part, XLA's own count of FLOPs and bytes for the compiled step, seconds per step on noise."""
    variables = initial_variables(build_model(config), config.seed)
    state, dice = (
        initial_state(config, variables),
        Dice(jnp.zeros((), jnp.int32), style_of(STYLE_HZ, style_covariance([]))),
    )
    samples = round(config.data.excerpt_seconds * SAMPLE_RATE)
    noise = np.random.default_rng(0).standard_normal((config.data.batch_size, samples, config.data.channels))
    batch = {"target": jnp.asarray(0.1 * noise, jnp.float32), "length": jnp.full(len(noise), samples, jnp.int32)}
    batch["number"] = jnp.arange(len(noise), dtype=jnp.int32)
    found = {f"{name} parameters": count(part) for name, part in variables["params"].items()}
    found["parameters"] = count(variables["params"])
    compiled = jax.jit(make_train_step(config), donate_argnums=0).lower(state, batch, dice).compile()
    memory = compiled.memory_analysis()
    found["flops"] = float(compiled.cost_analysis().get("flops", float("nan")))
    found["bytes"] = float(memory.argument_size_in_bytes + memory.temp_size_in_bytes)
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
