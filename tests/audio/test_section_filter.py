"""Second-order sections against SciPy, sample by sample, however the signal is cut."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from nmjax.audio.section_filter import SectionFilter


def filtered(sos, audio, chunk_sizes):
    section_filter, chunks, start = SectionFilter(sos, len(audio)), [], 0
    for size in chunk_sizes:
        chunks.append(section_filter(audio[:, start : start + size]))
        start += size
    return np.concatenate([*chunks, section_filter(audio[:, start:])], axis=1)


@pytest.mark.parametrize("order", [1, 2, 7])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "chunk_sizes", [(), (1, 1, 30, 0, 31, 32, 33, 511, 512, 513), (16_383, 16_384, 16_385), (40_000,)]
)
def test_equals_scipy_for_any_chunks(order, channels, chunk_sizes):
    sos = butter(order, [0.002, 0.3], "bandpass", output="sos")
    audio = np.random.default_rng(order).standard_normal((channels, 60_000))
    np.testing.assert_allclose(filtered(sos, audio, chunk_sizes), sosfilt(sos, audio), rtol=0, atol=1e-9)


def test_the_state_is_scipys():
    sos = butter(4, 0.1, output="sos")
    audio = np.random.default_rng(0).standard_normal((2, 1000))
    section_filter = SectionFilter(sos, 2)
    section_filter(audio)
    _, state = sosfilt(sos, audio, zi=np.zeros((len(sos), 2, 2)))
    np.testing.assert_allclose(section_filter.state, np.moveaxis(state, 0, 1).reshape(2, -1), atol=1e-12)


def test_silence_ends_in_zeros_not_in_denormal_numbers():
    section_filter = SectionFilter(butter(2, 0.1, output="sos"), 1)
    section_filter(np.ones((1, 100)))
    output = section_filter(np.zeros((1, 20_000)))
    assert np.abs(output[0, :100]).max() > 1e-6
    section_filter(np.zeros((1, 20_000)))
    assert not section_filter.state.any()
