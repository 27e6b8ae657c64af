"""Cost of a train step on noise: parameters, FLOPs, memory and time."""

from __future__ import annotations

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from nmjax.config import Config
from nmjax.data import SONG_SPECTRUM_HZ, spectrum_covariance
from nmjax.models import SAMPLE_RATE, build_model
from nmjax.runtime.slow_compile_alarm import hide_slow_compile_alarm
from nmjax.training.augment import eq_distribution
from nmjax.training.state import TrainState, count_params, create_train_state, initial_variables
from nmjax.training.step import RandomInputs, jit_train_step

_TIMED_STEPS = 4


def noise_inputs(config: Config) -> tuple[TrainState, dict[str, jax.Array], RandomInputs]:
    """The arguments of a train step: the initial state, a batch of noise, and the random inputs."""
    data, samples = config.data, round(config.data.excerpt_seconds * SAMPLE_RATE)
    noise = np.random.default_rng(0).standard_normal((data.batch_size, samples, data.channels))
    batch = {
        "target": jnp.asarray(0.1 * noise, jnp.float32),
        "length": jnp.full(len(noise), samples, jnp.int32),
        "number": jnp.arange(len(noise), dtype=jnp.int32),
    }
    random_inputs = RandomInputs(jnp.zeros((), jnp.int32), eq_distribution(SONG_SPECTRUM_HZ, spectrum_covariance([])))
    return create_train_state(config, initial_variables(build_model(config), config.seed)), batch, random_inputs


def step_bytes(program: jax.stages.Compiled) -> int:
    """XLA's estimate of a program's memory: arguments, temporaries, and outputs that do not alias an argument."""
    memory = program.memory_analysis()
    if memory is None:
        return 0
    outputs = memory.output_size_in_bytes - memory.alias_size_in_bytes
    return memory.argument_size_in_bytes + memory.temp_size_in_bytes + outputs


def profile_step(config: Config) -> dict[str, float]:
    """Parameters of each module, XLA's count of FLOPs and bytes of the compiled step, and seconds per step."""
    state, batch, random_inputs = noise_inputs(config)
    params = state.variables["params"]
    profile: dict[str, float] = {
        f"{name} parameters": count_params(module_params) for name, module_params in params.items()
    }
    profile["parameters"] = count_params(params)
    with hide_slow_compile_alarm():
        compiled = jit_train_step(config).lower(state, batch, random_inputs).compile()
    profile["flops"] = float((compiled.cost_analysis() or {}).get("flops", float("nan")))
    profile["bytes"] = float(step_bytes(compiled))
    seconds = []
    for _ in range(_TIMED_STEPS):
        start = time.perf_counter()
        state, metrics = compiled(state, batch, random_inputs)
        jax.block_until_ready(metrics)
        seconds.append(time.perf_counter() - start)
    profile["seconds"] = statistics.median(seconds[1:])
    return profile


def print_profile(config: Config) -> None:
    """Print the result of `profile_step` as a table."""
    profile = profile_step(config)
    data = config.data
    title = f"Phase {config.phase}, {data.batch_size} × {data.excerpt_seconds} s × {data.channels} channel(s)"
    table = Table(title=title)
    table.add_column("quantity")
    table.add_column("value", justify="right")
    for name, value in profile.items():
        if "parameters" in name:
            table.add_row(name, f"{value:,.0f}")
    table.add_row("FLOPs per step (counted by XLA)", f"{profile['flops'] / 1e9:,.1f} GFLOP")
    table.add_row("memory of a step (estimated by XLA)", f"{profile['bytes'] / 1e9:,.2f} GB")
    table.add_row(f"time per step ({jax.devices()[0].device_kind})", f"{profile['seconds']:,.2f} s")
    table.add_row("excerpts per second", f"{data.batch_size / profile['seconds']:,.2f}")
    Console().print(table)
