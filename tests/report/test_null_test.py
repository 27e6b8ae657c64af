"""The null test's file, decoded, against plain NumPy."""

import numpy as np
import pytest
import soundfile

from nmjax.report.null_test import write_null_test
from nmjax.runtime.errors import BadInputError
from tests.synthetic_audio import music


def chunk_source(audio, size=9001):
    return lambda: (audio[i : i + size] for i in range(0, len(audio), size))


def test_the_difference_is_the_added_signal(tmp_path):
    """The gain is the least-squares one."""
    before = music(2.0, 44_100, 2, seed=1).astype(np.float32)
    added = 0.1 * music(2.0, 44_100, 2, seed=2).astype(np.float32)
    after = 1.7 * before + added
    result = write_null_test(tmp_path / "null.wav", chunk_source(before), chunk_source(after, 4000), 44_100, 2)
    left, rate = soundfile.read(tmp_path / "null.wav")
    gain = np.sum(after.astype(np.float64) * before) / np.sum(after.astype(np.float64) ** 2)
    assert rate == 44_100
    assert soundfile.info(tmp_path / "null.wav").subtype == "FLOAT"
    np.testing.assert_allclose(left, gain * after - before, atol=1e-6)
    assert result.gain_db == pytest.approx(20.0 * np.log10(gain), abs=1e-4)
    assert result.level_db == pytest.approx(10.0 * np.log10(np.mean(left**2) / np.mean(before**2.0)), abs=1e-3)


def test_a_gain_alone_leaves_nothing(tmp_path):
    before = music(1.0, 44_100, 1, seed=3).astype(np.float32)
    after = np.float32(0.5) * before
    result = write_null_test(tmp_path / "null.wav", chunk_source(before), chunk_source(after), 44_100, 1)
    assert result.gain_db == pytest.approx(6.0206, abs=1e-4)
    assert result.level_db < -140.0


def test_silence_on_either_side(tmp_path):
    before = music(0.5, 44_100, 1, seed=4).astype(np.float32)
    silent = np.zeros_like(before)
    silent_master = write_null_test(tmp_path / "a.wav", chunk_source(before), chunk_source(silent), 44_100, 1)
    silent_input = write_null_test(tmp_path / "b.wav", chunk_source(silent), chunk_source(silent), 44_100, 1)
    assert silent_master.level_db == pytest.approx(0.0)
    assert silent_input.level_db == -np.inf


def test_signals_of_different_size_and_other_extensions_are_rejected_and_an_older_file_stays(tmp_path):
    before = music(0.5, 44_100, 2, seed=5).astype(np.float32)
    path = tmp_path / "null.wav"
    path.write_bytes(b"older")
    for after in (before[:-1], before[:100], np.concatenate([before, before]), before[:, :1]):
        with pytest.raises(BadInputError, match="differ in length"):
            write_null_test(path, chunk_source(before), chunk_source(after), 44_100, 2)
    with pytest.raises(BadInputError, match=r"must end in \.wav"):
        write_null_test(tmp_path / "null.flac", chunk_source(before), chunk_source(before), 44_100, 2)
    assert path.read_bytes() == b"older"
    assert [x.name for x in tmp_path.iterdir()] == ["null.wav"]
