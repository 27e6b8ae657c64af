"""The filter of streams in NumPy against SciPy in float64, for any chunking and any kind of band."""

import numpy as np
import pytest

from nmjax.dsp import Bands, response_db
from nmjax.dsp.block_filter import BlockFilter, filter_blocks

from .oracles import error_db, noise, peaking_sos, random_bands, sosfilt_batch


def filter_in_chunks(filters, audio, sizes):
    """The signal `[frames, channel]` in chunks of the sizes, over and over."""
    state, outputs, start = filters.initial_state(audio.shape[1]), [], 0
    while start < len(audio):
        chunk = audio[start : start + sizes[len(outputs) % len(sizes)]]
        output, state = filters.process(chunk, state)
        outputs.append(output)
        start += len(chunk)
    return np.concatenate(outputs)


@pytest.mark.parametrize(("bands", "channels", "sample_rate"), [(1, 1, 48_000.0), (5, 2, 44_100.0), (10, 3, 192_000.0)])
def test_it_is_scipys_sosfilt(bands, channels, sample_rate):
    settings = [np.asarray(x, np.float64) for x in random_bands(bands, 1, bands)]
    audio = noise(1, 1, 20_000, channels)
    filters = BlockFilter(Bands(*settings).svf(sample_rate))
    expected = sosfilt_batch(audio, peaking_sos(*settings, sample_rate))
    assert error_db(filter_in_chunks(filters, audio[0], [20_000])[None], expected) <= -200.0


@pytest.mark.parametrize("sizes", [[1], [47, 48, 49], [1, 7, 5000, 1536, 1537]])
def test_the_result_does_not_depend_on_the_chunks(sizes):
    audio = noise(2, 1, 9000, 2)[0]
    filters = BlockFilter(Bands(*(np.asarray(x, np.float64) for x in random_bands(3, 1, 5))).svf(44_100.0))
    whole = filter_in_chunks(filters, audio, [len(audio)])
    assert error_db(filter_in_chunks(filters, audio, sizes)[None], whole[None]) <= -250.0


def test_low_and_narrow_bands_keep_their_digits():
    settings = [np.array([[20.0, 20.0, 20_000.0]]), np.array([[12.0, -12.0, 12.0]]), np.array([[5.0, 0.5, 5.0]])]
    audio = noise(4, 1, 100_000, 1)
    filters = BlockFilter(Bands(*settings).svf(44_100.0))
    expected = sosfilt_batch(audio, peaking_sos(*settings, 44_100.0))
    assert error_db(filter_in_chunks(filters, audio[0], [40_000])[None], expected) <= -180.0


def test_bands_of_several_kinds_have_their_response():
    """An impulse's spectrum is the response, which NumPy computes from the same bands."""
    kinds = ("low_shelf", "peaking", "high_shelf", "notch")
    bands = Bands(
        *(np.array([x]) for x in ([90.0, 900.0, 6e3, 3e3], [4.0, -5.0, 3.0, 0.0], [0.7, 2.0, 0.7, 4.0])), kinds
    )
    impulse = np.zeros((1 << 15, 1))
    impulse[0] = 1.0
    spectrum = np.fft.rfft(filter_in_chunks(BlockFilter(bands.svf(48_000.0)), impulse, [5000])[:, 0])[1:-1]
    freq_hz = np.fft.rfftfreq(len(impulse), 1 / 48_000.0)[1:-1]
    expected = response_db(bands, freq_hz, 48_000.0)[0]
    is_audible = expected > -60.0
    np.testing.assert_allclose(20 * np.log10(np.abs(spectrum))[is_audible], expected[is_audible], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batches_are_filtered_row_by_row(dtype):
    settings = [np.asarray(x, np.float64) for x in random_bands(3, 3, 4)]
    audio, svf = noise(5, 3, 5000, 2).astype(dtype), Bands(*settings).svf(44_100.0)
    first, state = filter_blocks(audio[:, :1777], svf, np.zeros((3, 2, 4, 2), dtype))
    second, _ = filter_blocks(audio[:, 1777:], svf, state)
    assert first.dtype == state.dtype == dtype
    expected = sosfilt_batch(audio, peaking_sos(*settings, 44_100.0))
    assert error_db(np.concatenate([first, second], axis=1), expected) <= (-120.0 if dtype == np.float32 else -200.0)
