"""The gain over time from input and output: known gains, known additions, any chunk sizes."""

import weakref

import numpy as np
import pytest

from nmjax.report import gain_trace
from nmjax.report.gain_trace import GainTracer
from tests.synthetic_audio import music

RATE = 8_000


def trace_gain(before, after, size=1000, rate=RATE):
    """Stream both; the output is in chunks of another size, and later than the input."""
    tracer = GainTracer(rate)
    input_chunks = tracer.watch_input(before[i : i + size] for i in range(0, len(before), size))
    consumed = []

    def output_chunks():
        consumed.append(next(input_chunks))
        for start in range(0, len(after), 777):
            while sum(map(len, consumed)) < min(len(after), start + 777):
                consumed.append(next(input_chunks))
            yield after[start : start + 777]

    produced = list(tracer.watch_output(output_chunks()))
    np.testing.assert_array_equal(np.concatenate(produced), after)
    np.testing.assert_array_equal(np.concatenate(consumed), before)
    return tracer.result()


def test_a_gain_changes_the_level_and_nothing_else():
    audio = music(2.0, RATE).astype(np.float32)
    result = trace_gain(audio, audio * np.float32(0.5))
    assert result.level_change_db == pytest.approx(-6.0206, abs=1e-3)
    assert result.null_level_db == -np.inf or result.null_level_db < -130.0
    np.testing.assert_allclose(result.gain_db, -6.0206, atol=1e-3)
    np.testing.assert_allclose(result.times_s, np.arange(1, 201) / 100.0)


def test_an_added_signal_is_measured_apart_from_the_gain():
    rng = np.random.default_rng(0)
    audio, more = rng.standard_normal((2, 80_000, 2)).astype(np.float32)
    result = trace_gain(audio, 2.0 * audio + 0.02 * more)
    assert result.null_level_db == pytest.approx(-40.0, abs=0.1)
    assert result.level_change_db == pytest.approx(6.02, abs=0.01)


def test_a_changing_gain_is_localized_in_time():
    audio = music(3.0, RATE).astype(np.float32)
    gain_db = np.repeat([0.0, -6.0, 2.0], RATE)
    result = trace_gain(audio, (audio * 10.0 ** (gain_db / 20.0)[:, None]).astype(np.float32))
    np.testing.assert_allclose(result.gain_db, np.repeat([0.0, -6.0, 2.0], 100), atol=1e-4)
    np.testing.assert_array_equal(result.min_gain_db, result.gain_db)
    np.testing.assert_array_equal(result.max_gain_db, result.gain_db)


@pytest.mark.parametrize("size", [333, 8_000, 400_000])
def test_long_audio_has_few_points_and_keeps_the_extremes_for_any_chunk_size(size, monkeypatch):
    monkeypatch.setattr(gain_trace, "MAX_POINTS", 240)
    seconds = 10
    audio = music(float(seconds), RATE).astype(np.float32)
    gain = np.ones(len(audio))
    gain[80 * 100 : 80 * 101] = 0.1  # one block of 10 ms
    result = trace_gain(audio, (audio * gain[:, None]).astype(np.float32), size)
    assert len(result.times_s) <= 240
    assert result.times_s[-1] == seconds
    assert result.min_gain_db.min() == pytest.approx(-20.0, abs=1e-3)
    assert int(np.argmin(result.min_gain_db)) == np.searchsorted(result.times_s, 1.005)
    assert np.all(result.gain_db >= result.min_gain_db - 1e-9) and np.all(result.gain_db <= result.max_gain_db + 1e-9)
    assert result.gain_db.min() > -10.0, "the mean over a longer interval is smaller"


def test_silence_has_no_gain():
    audio = music(1.0, RATE).astype(np.float32)
    audio[2000:4000] = 0.0
    result = trace_gain(audio, 2.0 * audio)
    assert np.isnan(result.gain_db[25:50]).all() and np.isfinite(result.gain_db[:25]).all()
    nothing = trace_gain(np.zeros((500, 1), np.float32), np.zeros((500, 1), np.float32))
    assert np.isnan(nothing.level_change_db) and np.isnan(nothing.null_level_db) and np.isnan(nothing.gain_db).all()


def test_a_few_samples():
    audio = music(0.1, RATE)[:3].astype(np.float32)
    result = trace_gain(audio, 0.5 * audio)
    assert len(result.times_s) == 1 and result.times_s[0] == 3 / RATE


def test_unconsumed_input_is_not_buffered():
    tracer = GainTracer(RATE)
    chunks = (np.zeros((10, 2), np.float32) for _ in range(5))
    references = [weakref.ref(chunk) for chunk in tracer.watch_input(chunks)]
    assert len(references) == 5 and not any(reference() is not None for reference in references)
