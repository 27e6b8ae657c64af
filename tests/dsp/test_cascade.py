"""The cascade against SciPy in float64, for any block length and any chunking."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp.cascade import cascade, cascade_per_sample, initial_state
from nmjax.dsp.svf import peaking

from .oracles import error_db, noise, peaking_sos, random_bands, sosfilt_batch

IN_BLOCKS = jax.jit(cascade, static_argnums=3)
PER_SAMPLE = jax.jit(cascade_per_sample)
FORMS = pytest.mark.parametrize("run", [IN_BLOCKS, PER_SAMPLE], ids=["blocks", "samples"])


def worst_error_db(run, audio, settings, sample_rate, dtype=jnp.float32):
    """The filter's output from rest against sosfilt."""
    svf = peaking(*(jnp.asarray(x, dtype) for x in settings), sample_rate)
    y, _ = run(jnp.asarray(audio, dtype), svf, initial_state(svf, audio.shape[0], audio.shape[2], dtype))
    return error_db(y, sosfilt_batch(audio, peaking_sos(*settings, sample_rate)))


def random_case(time, dtype=jnp.float32):
    """Noise, random filters in series and a state away from rest."""
    audio = jnp.asarray(noise(5, 4, time, 2), dtype)
    svf = peaking(*(jnp.asarray(x, dtype) for x in random_bands(6, 4, 5)), 44_100.0)
    return audio, svf, jnp.asarray(noise(7, 4, 2, 5, 2), dtype)


@FORMS
@pytest.mark.parametrize("bands", [5, 10])
@pytest.mark.parametrize("sample_rate", [44_100.0, 48_000.0])
def test_float32_is_scipys_sosfilt(sample_rate, bands, run):
    settings = random_bands(bands, 48, bands)
    assert worst_error_db(run, noise(1, 48, 8000, 1), settings, sample_rate) <= -105.0


@FORMS
def test_float64_is_scipys_sosfilt(run):
    with jax.enable_x64(True):
        assert worst_error_db(run, noise(2, 24, 8000, 2), random_bands(3, 24, 5), 44_100.0, jnp.float64) <= -200.0


def test_every_corner_of_the_range_is_precise():
    """Low, narrow bands, where a direct form loses its digits, and high ones, where tan is steepest."""
    grid = np.meshgrid([20.0, 30.0, 100.0, 1000.0, 20_000.0], [-12.0, 12.0], [0.5, 5.0])
    settings = tuple(x.reshape(-1, 1).astype(np.float32) for x in grid)
    assert worst_error_db(IN_BLOCKS, noise(4, 20, 8000, 1), settings, 44_100.0) <= -115.0


@pytest.mark.parametrize("time", [1, 63, 64, 200])
def test_blocks_end_in_the_state_of_the_recursion(time):
    y, last = IN_BLOCKS(*random_case(time))
    with jax.enable_x64(True):
        reference, reference_last = PER_SAMPLE(*random_case(time, jnp.float64))
    assert error_db(y, reference) <= -105.0
    assert error_db(last, reference_last) <= -105.0


@pytest.mark.parametrize("block_length", [1, 7, 256, 2000])
def test_any_block_length_gives_the_same(block_length):
    y, last = IN_BLOCKS(*random_case(1500), block_length)
    reference, reference_last = IN_BLOCKS(*random_case(1500))
    assert error_db(y, reference) <= -105.0
    assert error_db(last, reference_last) <= -105.0


@pytest.mark.parametrize("size", [1, 64, 65, 1000])
def test_any_chunking_gives_the_same(size):
    audio, svf, state = random_case(1500)
    whole, whole_last = IN_BLOCKS(audio, svf, state)
    time = 200 if size == 1 else 1500
    chunks = []
    for start in range(0, time, size):
        y, state = IN_BLOCKS(audio[:, start : min(start + size, time)], svf, state)
        chunks.append(y)
    assert error_db(jnp.concatenate(chunks, axis=1), whole[:, :time]) <= -105.0
    if time == 1500:
        assert error_db(state, whole_last) <= -105.0


def test_channels_and_signals_do_not_mix():
    audio, svf, state = random_case(200)
    y, last = IN_BLOCKS(audio, svf, state)
    changed, changed_last = IN_BLOCKS(audio.at[0, :, 1].multiply(-3.0), svf, state.at[0, 1].set(0.0))
    for signal, channel in [(0, 0), (1, 0), (1, 1)]:
        np.testing.assert_array_equal(changed[signal, :, channel], y[signal, :, channel])
        np.testing.assert_array_equal(changed_last[signal, channel], last[signal, channel])
    assert error_db(changed[:1, :, 1], y[:1, :, 1]) > -20.0
