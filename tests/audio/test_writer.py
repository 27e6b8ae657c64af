"""Encoded files hold the samples that were given, rounded and clipped."""

import struct
import time

import numpy as np
import pytest
import soundfile

from nmjax.audio import writer
from nmjax.runtime.errors import BadInputError
from tests.synthetic_audio import music


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24), ("PCM_32", 32)])
def test_integers_are_rounded_to_nearest_and_clipped_at_full_scale(tmp_path, subtype, bits):
    full = 2.0 ** (bits - 1)
    expected = np.array([[0.0], [0.6 / full], [-0.6 / full], [1.4 / full], [2.0], [-2.0], [0.3]])
    writer.encode_audio(tmp_path / "x.wav", [expected[:4], expected[4:]], 44_100, 1, "WAV", subtype)
    result = soundfile.read(str(tmp_path / "x.wav"), dtype="int32")[0] / 2 ** (32 - bits)
    np.testing.assert_array_equal(result[:6], [0, 1, -1, 1, full - 1, -full])
    assert result[6] == np.rint(0.3 * full)


def test_floats_are_written_unchanged(tmp_path):
    audio = (3.0 * music(0.1)).astype(np.float32)
    writer.encode_audio(tmp_path / "x.wav", [audio], 48_000, 2, "WAV", "FLOAT")
    np.testing.assert_array_equal(soundfile.read(str(tmp_path / "x.wav"), dtype="float32")[0], audio)


@pytest.mark.parametrize("container", ["WAV", "AIFF"])
def test_floats_are_the_same_file_at_any_time(tmp_path, container):
    """libsndfile stores the time in the chunk of the peak."""
    audio = music(0.1).astype(np.float32)
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        writer.encode_audio(file, [audio], 48_000, 2, container, "FLOAT")
        time.sleep(1.1)
    content = files[0].read_bytes()
    assert content == files[1].read_bytes()
    start = content.index(b"PEAK")
    order = ">" if container == "AIFF" else "<"
    assert struct.unpack(f"{order}If", content[start + 12 : start + 20]) == (0, np.abs(audio[:, 0]).max())


def test_an_impossible_format_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="FLAC FLOAT"):
        writer.encode_audio(tmp_path / "x.flac", [np.zeros((10, 2))], 44_100, 2, "FLAC", "FLOAT")
