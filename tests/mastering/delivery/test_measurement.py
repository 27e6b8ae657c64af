"""The meter of a stream against pyloudnorm, and against the whole signal at once."""

import jax.numpy as jnp
import numpy as np
import pyloudnorm
import pytest

from nmjax.dsp import true_peak_db
from nmjax.mastering.delivery.meter import measure_stream
from tests.synthetic_audio import music


def split_chunks(audio, size):
    return (audio[i : i + size] for i in range(0, len(audio), size))


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 1)])
def test_loudness_is_pyloudnorms_and_peaks_are_those_of_the_whole(rate, channels):
    loud, quiet = music(4.0, rate, channels, seed=1), 0.02 * music(3.04, rate, channels, seed=2)
    audio = np.concatenate([loud, quiet, loud]).astype(np.float32)
    result = measure_stream(split_chunks(audio, 7001), rate, channels)
    assert result.frames == len(audio)
    assert result.lufs == pytest.approx(
        pyloudnorm.Meter(rate, "DeMan").integrated_loudness(audio.astype(np.float64)), abs=0.02
    )
    assert result.peak == np.abs(audio).max()
    assert result.true_peak_db == pytest.approx(float(true_peak_db(jnp.asarray(audio)[None], rate)[0]), abs=1e-4)


def test_true_peak_between_chunks_and_after_the_end():
    """A sine's peak between two samples, once at the boundary of two blocks of the meter, once at the end."""
    rate, piece = 8_000, 24_000  # the meter measures 3 s at a time
    for position in (piece, piece + 40):
        audio = np.zeros((piece + 40, 1), np.float32)
        t = np.arange(-6, 6) + 0.5
        crest = np.cos(2 * np.pi * 0.25 * t)[:, None].astype(np.float32)
        audio[position - 6 : position + 6] = crest[: len(audio) - position + 6]
        result = measure_stream(split_chunks(audio, 4096), rate, 1)
        assert result.true_peak_db == pytest.approx(float(true_peak_db(jnp.asarray(audio)[None], rate)[0]), abs=1e-4)
        assert result.true_peak_db > 20 * np.log10(result.peak) + 1.0


def test_silence_and_less_than_400_ms_have_no_loudness():
    assert measure_stream(split_chunks(np.zeros((50_000, 2), np.float32), 4096), 44_100, 2).lufs == -np.inf
    short = measure_stream(split_chunks(music(0.39).astype(np.float32), 4096), 44_100, 2)
    assert short.lufs == -np.inf
    assert short.peak > 0.0
