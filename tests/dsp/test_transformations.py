"""The signal core under vmap and shard_map, its sequential steps, its range limits, and long signals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from nmjax.dsp import (
    Bands,
    Compressor,
    Saturator,
    Width,
    compress,
    equalize,
    equalize_time_varying,
    initial_meter_state,
    integrated_loudness,
    read_meter,
    saturate,
    update_meter,
    widen,
)
from nmjax.dsp.cascade import cascade, cascade_per_sample, choose_block_length, initial_state
from nmjax.dsp.svf import peaking
from tests.products import inner_jaxprs

from .oracles import error_db, noise, peaking_sos, random_bands, sosfilt_batch

RATE = 44_100.0
FIVE_SECONDS = 220_500


def render(audio, freq_hz, gain_db, q):
    return equalize(audio, Bands(freq_hz, gain_db, q), RATE)[0]


def energy(*arguments):
    return jnp.sum(render(*arguments) ** 2)


def gradients(*arguments):
    return jax.grad(energy, argnums=(0, 1, 2, 3))(*arguments)


def batch_inputs(batch, time=700):
    return jnp.asarray(noise(1, batch, time, 2)), *map(jnp.asarray, random_bands(2, batch, 5))


def processor_chain(audio, freq_hz, gain_db, q):
    """Compressor, saturator and width, with settings derived from the equalizer's that are always in range."""
    share, level, other = jnp.tanh(jnp.abs(gain_db[:, 0])), -20.0 + gain_db[:, 1], q[:, 0]
    audio, _ = compress(audio, Compressor(level, 1.0 + other, other, 10.0 * other, other, gain_db[:, 2]), RATE)
    return widen(saturate(audio, Saturator(other, share, share), RATE), Width(share, 2.0 * share), RATE)[0]


@pytest.mark.parametrize("function", [render, gradients, processor_chain])
def test_vmap_equals_a_loop(function):
    stacked = jax.tree.map(lambda x: x.reshape(3, 2, *x.shape[1:]), batch_inputs(6))
    result = jax.tree.leaves(jax.jit(jax.vmap(function))(*stacked))
    single = jax.jit(function)
    for i in range(3):
        for a, b in zip(result, jax.tree.leaves(single(*(x[i] for x in stacked))), strict=True):
            assert error_db(a[i], b) <= -105.0


def by_sample(audio, *settings):
    svf = peaking(*settings, RATE)
    return cascade_per_sample(audio, svf, initial_state(svf, audio.shape[0], audio.shape[2]))[0]


def render_varying(audio, *settings):
    points = jax.tree.map(lambda x: jnp.stack([x, 0.9 * x, x]), Bands(*settings))
    return equalize_time_varying(audio, points, 400, RATE)[0]


def loudness(audio, *settings):
    return integrated_loudness(audio, 4000.0), read_meter(
        update_meter(audio, 4000.0, initial_meter_state(audio.shape[0], 2)), 4000.0
    ).true_peak_db


@pytest.mark.parametrize("function", [render, gradients, by_sample, render_varying, loudness, processor_chain])
def test_shard_map_equals_one_device(function):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    spread = jax.shard_map(function, mesh=mesh, in_specs=PartitionSpec("data"), out_specs=PartitionSpec("data"))
    arguments = batch_inputs(8, 2000 if function is loudness else 700)
    result, whole = (jax.tree.leaves(jax.jit(f)(*arguments)) for f in (spread, function))
    assert len(result[0].sharding.device_set) == 4
    for a, b in zip(result, whole, strict=True):
        assert error_db(a, b) <= -105.0


def sequential_steps(jaxpr):
    """The total of sequential scan steps of a program; nested scans count once per step of the outer one."""
    total = 0
    for equation in jaxpr.eqns:
        inner = sum(sequential_steps(j) for value in equation.params.values() for j in inner_jaxprs(value))
        total += equation.params["length"] * max(1, inner) if equation.primitive.name == "scan" else inner
    return total


@pytest.mark.parametrize(("function", "most"), [(render, 64), (gradients, 128)])
def test_five_seconds_take_few_sequential_steps(function, most):
    """A plain scan over blocks of 60 samples takes 3,675."""
    shapes = [jax.ShapeDtypeStruct((2, FIVE_SECONDS, 1), jnp.float32)] + [jax.ShapeDtypeStruct((2, 5), jnp.float32)] * 3
    count = sequential_steps(jax.make_jaxpr(function)(*shapes).jaxpr)
    assert 20 <= count <= most


EDGES = [
    pytest.param(freq_hz, gain_db, q, id=f"{freq_hz} Hz {gain_db} dB Q {q}")
    for freq_hz in (1e-3, 20.0, 0.25 * RATE, 0.49 * RATE, 0.5 * RATE)
    for gain_db, q in ((0.0, 1.0), (24.0, 40.0), (-24.0, 0.1))
]


@pytest.mark.parametrize(("freq_hz", "gain_db", "q"), EDGES)
@pytest.mark.parametrize("level", [0.0, 0.1])
def test_value_and_gradient_are_finite_at_every_edge(freq_hz, gain_db, q, level):
    audio = jnp.asarray(level * noise(3, 1, 300, 1))
    value, slope = EDGE_VALUE_AND_GRAD(audio, *(jnp.full((1, 2), x) for x in (freq_hz, gain_db, q)))
    for x in jax.tree.leaves((value, slope)):
        assert np.all(np.isfinite(x))


EDGE_VALUE_AND_GRAD = jax.jit(jax.value_and_grad(energy, argnums=(0, 1, 2, 3)))


@pytest.mark.parametrize("dtype, most", [(jnp.float32, -105.0), (jnp.float64, -120.0)])
@pytest.mark.parametrize("size", [1025, 8193])
def test_any_chunking_gives_the_same(size, dtype, most):
    with jax.enable_x64(True):
        audio = jnp.asarray(noise(4, 2, 17_000, 1), dtype)
        svf = peaking(*(jnp.asarray(x, dtype) for x in random_bands(5, 2, 5)), RATE)
        state = initial_state(svf, 2, 1, dtype)
        whole, last = CASCADE(audio, svf, state)
        parts = []
        for start in range(0, 17_000, size):
            y, state = CASCADE(audio[:, start : start + size], svf, state)
            parts.append(np.asarray(y))
    assert error_db(np.concatenate(parts, axis=1), whole) <= most
    assert error_db(state, last) <= most


CASCADE = jax.jit(cascade)


@pytest.mark.parametrize("seconds", [60, pytest.param(600, marks=pytest.mark.slow)])
def test_the_float32_error_does_not_grow_over_minutes(seconds):
    """The error of the last five seconds against that of the first five."""
    audio = np.tile(noise(6, 1, 44_100, 1), (1, seconds, 1))
    settings = tuple(x[:1] for x in random_bands(7, 1, 5))
    y = np.asarray(jax.jit(render)(jnp.asarray(audio), *map(jnp.asarray, settings)))
    reference = sosfilt_batch(audio, peaking_sos(*settings, RATE))
    first, last = (error_db(y[:, cut], reference[:, cut]) for cut in (slice(0, 220_500), slice(-220_500, None)))
    assert first <= -115.0
    assert last <= first + 1.0


@pytest.mark.parametrize("time", [1, 47, 64, 100, 220_500, 240_000, 13_230_000])
def test_a_block_divides_the_signal_where_it_can(time):
    block = choose_block_length(time)
    dividing = [length for length in range(48, 97, 4) if time % length == 0]
    assert block in dividing if dividing else block == min(time, 64)
