"""Every matrix product and convolution requests the highest precision: the default on GPU and TPU is lower."""

import jax
import jax.numpy as jnp
import pytest

from nmjax.dsp import (
    Compressor,
    Saturator,
    Width,
    bark_spectrum_db,
    compress,
    equalize_time_varying,
    initial_meter_state,
    saturate,
    update_meter,
    widen,
)
from nmjax.dsp.equalizer import Bands, equalize
from nmjax.dsp.loudness import clamped_loudness, integrated_loudness
from nmjax.dsp.stft import magnitudes
from nmjax.dsp.true_peak import true_peak_db
from nmjax.losses.loudness import lufs_loss
from nmjax.losses.spectral import a_weighted_loss, mr_stft_loss
from tests.products import is_highest, precisions

AUDIO = jnp.zeros((2, 20_000, 2))  # above 400 ms, so that loudness measures something
BANDS = Bands(*(jnp.ones((2, 3)) for _ in range(3)))


def energy(function):
    return lambda *arguments: jnp.sum(jnp.square(jax.tree.leaves(function(*arguments))[0]))


def render(audio, bands):
    return equalize(audio, bands, 44_100.0)


def loudness(audio):
    return integrated_loudness(audio, 44_100.0)


def render_varying(audio, bands):
    points = jax.tree.map(lambda x: jnp.stack([x, x]), bands)
    return equalize_time_varying(audio, points, audio.shape[1], 44_100.0)


def true_peak(audio):
    return true_peak_db(audio, 44_100.0)


def processor_chain(audio, settings):
    compressor, saturator, width = settings
    audio, _ = compress(audio, compressor, 44_100.0, None, 100.0)
    return widen(saturate(audio, saturator, 44_100.0), width, 44_100.0)


PROCESSOR_SETTINGS = (
    Compressor(-jnp.full((2,), 20.0), *jnp.full((5, 2), 5.0)),
    Saturator(*jnp.full((3, 2), 0.5)),
    Width(*jnp.full((2, 2), 0.5)),
)
CASES = {
    "equalizer": (render, (AUDIO, BANDS)),
    "its gradient": (jax.grad(energy(render), argnums=(0, 1)), (AUDIO, BANDS)),
    "its tangent": (lambda *at: jax.jvp(render, at, at), (AUDIO, BANDS)),
    "compressor, saturator and width": (processor_chain, (AUDIO, PROCESSOR_SETTINGS)),
    "their gradient": (jax.grad(energy(processor_chain), argnums=(0, 1)), (AUDIO, PROCESSOR_SETTINGS)),
    "loudness": (loudness, (AUDIO,)),
    "its gradient too": (jax.grad(lambda x: jnp.sum(clamped_loudness(x, 44_100.0))), (AUDIO,)),
    "lufs distance's gradient": (jax.grad(lambda x, y: lufs_loss(x, y, 44_100.0)), (AUDIO, AUDIO)),
    "settings that change": (render_varying, (AUDIO, BANDS)),
    "a stream's meter": (lambda audio: update_meter(audio, 44_100.0, initial_meter_state(2, 2)), (AUDIO,)),
    "bark bands": (lambda audio: bark_spectrum_db(audio, 44_100.0, 512), (AUDIO,)),
    "true peak": (true_peak, (AUDIO,)),
    "true peak's gradient": (jax.grad(energy(true_peak)), (AUDIO,)),
}


@pytest.mark.parametrize("function, arguments", CASES.values(), ids=CASES.keys())
def test_every_product_requests_the_highest_precision(function, arguments):
    result = precisions(function, *arguments)
    assert result, "no product was found"
    assert all(map(is_highest, result)), result


@pytest.mark.parametrize(
    "function",
    [
        magnitudes,
        jax.grad(lambda x, window: mr_stft_loss(x, 0.5 * x, 44_100.0, (window,))),
        jax.grad(lambda x, window: a_weighted_loss(x, 0.5 * x, 44_100.0, window)),
    ],
    ids=["magnitudes", "mr_stft's gradient", "a_weighted's gradient"],
)
def test_spectra_have_no_product_in_default_precision(function):
    """They are Fourier transforms without products; a product added later must request its precision."""
    assert all(map(is_highest, precisions(lambda x: function(x, 512), AUDIO)))


def test_the_walk_finds_nested_default_products():
    matrix = jnp.eye(3)

    def hidden(x):
        x, _ = jax.lax.scan(lambda carry, _: (jax.jit(lambda y: matrix @ y)(carry), None), x, None, 2)
        return jax.lax.cond(x[0] > 0, lambda y: jnp.convolve(y, y)[:3], jax.checkpoint(lambda y: matrix @ y), x)

    result = precisions(jax.vmap(hidden), jnp.ones((2, 3)))
    assert len(result) >= 3
    assert not any(map(is_highest, result))
