"""Decoded samples are those of the file; unusable files are refused with a reason."""

import numpy as np
import pytest
import soundfile

from nmjax.audio import reader
from nmjax.runtime.errors import BadInputError
from tests.synthetic_audio import music, write_audio


def test_probe_reports_invalid_files(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "none.wav").write_bytes(b"")
    write_audio(tmp_path / "empty.wav", np.zeros((0, 2)))
    write_audio(tmp_path / "slow.wav", np.zeros((10, 1)), 4000)
    write_audio(tmp_path / "wide.wav", np.zeros((10, 9)))
    cases = {"gone.wav": "missing", ".": "folder", "text.wav": "as audio", "none.wav": "as audio"}
    cases |= {"empty.wav": "0 samples", "slow.wav": "4000 Hz", "wide.wav": "9 channels"}
    for name, word in cases.items():
        with pytest.raises(BadInputError, match=word):
            reader.probe(tmp_path / name)


def test_chunks_and_seeking_give_the_files_samples(tmp_path):
    audio = music(0.5).astype(np.float32)
    for suffix in ("wav", "flac", "aiff"):
        path = write_audio(tmp_path / f"x.{suffix}", audio, subtype="PCM_24")
        whole = soundfile.read(str(path), dtype="float32")[0]
        np.testing.assert_array_equal(np.concatenate(list(reader.read_chunks(path, 1000))), whole)
        np.testing.assert_array_equal(reader.read_frames(path, 5000, 300), whole[5000:5300])
        assert len(reader.read_frames(path, len(whole) - 10, 300)) == 10


def test_samples_that_are_not_finite_are_refused(tmp_path):
    audio = music(0.2)
    audio[5000, 1] = np.inf
    path = write_audio(tmp_path / "x.wav", audio, subtype="FLOAT")
    with pytest.raises(BadInputError, match="NaN or infinite"):
        list(reader.read_chunks(path))


def test_another_rate_keeps_the_tone():
    time = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 1000 * time)[:, None].astype(np.float32)
    result = reader.resample(tone, 48_000, 44_100)[1000:-1000, 0]
    expected = np.sin(2 * np.pi * 1000 * np.arange(44_100) / 44_100)[1000:-1000]
    assert np.abs(result - expected).max() < 1e-5
    assert reader.resample(tone, 44_100, 44_100) is tone
