"""Formats: what is chosen, and that the files which libsndfile writes in them decode to what was given."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from nmjax import io
from nmjax.errors import BadInputError
from nmjax.formats import Format, format_for
from nmjax.io import AudioInfo


def info(rate=44_100, channels=2, subtype="PCM_24", frames=1000):
    return AudioInfo(Path("in.wav"), frames, rate, channels, "WAV", subtype)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("a.wav", info(), ("WAV", "PCM_24", 44_100)),
        ("a.WAV", info(subtype="FLOAT"), ("WAV", "FLOAT", 44_100)),
        ("a.flac", info(subtype="FLOAT"), ("FLAC", "PCM_24", 44_100)),
        ("a.flac", info(subtype="PCM_16", rate=192_000), ("FLAC", "PCM_16", 192_000)),
        ("a.aiff", info(subtype="PCM_U8"), ("AIFF", "PCM_16", 44_100)),
        ("a.wav", info(subtype="VORBIS"), ("WAV", "PCM_24", 44_100)),
        ("a.ogg", info(rate=96_000), ("OGG", "VORBIS", 96_000)),
        ("a.opus", info(), ("OGG", "OPUS", 48_000)),
        ("a.opus", info(rate=11_025), ("OGG", "OPUS", 12_000)),
        ("a.mp3", info(), ("MP3", "MPEG_LAYER_III", 44_100)),
        ("a.mp3", info(rate=88_200), ("MP3", "MPEG_LAYER_III", 44_100)),
        ("a.mp3", info(rate=192_000), ("MP3", "MPEG_LAYER_III", 48_000)),
        ("a.wav", info(frames=10**9), ("RF64", "PCM_24", 44_100)),
    ],
)
def test_the_format_follows_the_name_and_the_input(name, given, expected):
    found = format_for(Path(name), given)
    assert (found.container, found.subtype, found.sample_rate) == expected
    assert ("resampled" in found.note) == (found.sample_rate != given.sample_rate)


def test_bits_can_be_chosen_where_the_format_has_them():
    assert format_for(Path("a.wav"), info(), "float").subtype == "FLOAT"
    assert format_for(Path("a.flac"), info(), "16").subtype == "PCM_16"
    for name, bits, word in (("a.flac", "32", "16 or 24"), ("a.mp3", "16", "leave"), ("a.wav", "20", "not known")):
        with pytest.raises(BadInputError, match=word):
            format_for(Path(name), info(), bits)


def test_what_cannot_be_written_is_refused():
    with pytest.raises(BadInputError, match=r"\.flac"):
        format_for(Path("a.m4a"), info())
    for name in ("a.mp3", "a.ogg", "a.opus"):
        with pytest.raises(BadInputError, match="6 channels"):
            format_for(Path(name), info(channels=6))


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff", "ogg", "opus", "mp3"])
def test_every_format_decodes_to_what_was_given(tmp_path, suffix, rate):
    """Same length, no delay; lossless ones within a step and a half, lossy ones with an error below −25 dB."""
    path = tmp_path / f"x.{suffix}"
    chosen: Format = format_for(path, info(rate))
    turns = 2 * np.pi * np.arange(chosen.sample_rate) / chosen.sample_rate
    audio = np.stack([0.5 * np.sin(440.0 * turns), 0.3 * np.sin(1000.0 * turns)], axis=1).astype(np.float32)
    io.encode(path, [audio[:30_000], audio[30_000:]], chosen.sample_rate, 2, chosen.container, chosen.subtype, 1)
    found, decoded_rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    assert decoded_rate == chosen.sample_rate
    assert found.shape == audio.shape
    difference = found - audio
    if chosen.lossy:
        assert np.std(difference[2000:-2000]) < 10 ** (-25 / 20) * np.std(audio)
    else:
        assert 0.0 < np.abs(difference).max() < 1.5 / 2 ** (chosen.bits - 1)
