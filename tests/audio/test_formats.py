"""The choice of output formats, and that files written in them decode to the encoded signal."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from nmjax.audio import writer
from nmjax.audio.formats import OutputFormat, choose_format
from nmjax.audio.reader import AudioInfo
from nmjax.runtime.errors import BadInputError


def audio_info(rate=44_100, channels=2, subtype="PCM_24", frames=1000):
    return AudioInfo(Path("in.wav"), frames, rate, channels, "WAV", subtype)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("a.wav", audio_info(), ("WAV", "PCM_24", 44_100)),
        ("a.WAV", audio_info(subtype="FLOAT"), ("WAV", "FLOAT", 44_100)),
        ("a.flac", audio_info(subtype="FLOAT"), ("FLAC", "PCM_24", 44_100)),
        ("a.flac", audio_info(subtype="PCM_16", rate=192_000), ("FLAC", "PCM_16", 192_000)),
        ("a.aiff", audio_info(subtype="PCM_U8"), ("AIFF", "PCM_16", 44_100)),
        ("a.wav", audio_info(subtype="VORBIS"), ("WAV", "PCM_24", 44_100)),
        ("a.ogg", audio_info(rate=96_000), ("OGG", "VORBIS", 96_000)),
        ("a.opus", audio_info(), ("OGG", "OPUS", 48_000)),
        ("a.opus", audio_info(rate=11_025), ("OGG", "OPUS", 12_000)),
        ("a.mp3", audio_info(), ("MP3", "MPEG_LAYER_III", 44_100)),
        ("a.mp3", audio_info(rate=88_200), ("MP3", "MPEG_LAYER_III", 44_100)),
        ("a.mp3", audio_info(rate=192_000), ("MP3", "MPEG_LAYER_III", 48_000)),
        ("a.wav", audio_info(frames=10**9), ("RF64", "PCM_24", 44_100)),
    ],
)
def test_the_format_follows_the_name_and_the_input(name, given, expected):
    result = choose_format(Path(name), given)
    assert (result.container, result.subtype, result.sample_rate) == expected
    assert ("resampled" in result.note) == (result.sample_rate != given.sample_rate)


def test_a_bit_depth_can_be_chosen_where_the_format_supports_it():
    assert choose_format(Path("a.wav"), audio_info(), "float").subtype == "FLOAT"
    assert choose_format(Path("a.flac"), audio_info(), "16").subtype == "PCM_16"
    for name, bits, word in (
        ("a.flac", "32", "16 or 24"),
        ("a.mp3", "16", "MP3 has no bit depth; leave out --bits"),
        ("a.wav", "20", "Unknown"),
    ):
        with pytest.raises(BadInputError, match=word):
            choose_format(Path(name), audio_info(), bits)


def test_unsupported_formats_are_refused():
    with pytest.raises(BadInputError, match=r"\.flac"):
        choose_format(Path("a.m4a"), audio_info())
    for name in ("a.mp3", "a.ogg", "a.opus"):
        with pytest.raises(BadInputError, match="6 channels"):
            choose_format(Path(name), audio_info(channels=6))


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff", "ogg", "opus", "mp3"])
def test_every_format_decodes_to_the_encoded_signal(tmp_path, suffix, rate):
    """Same length, no delay; lossless ones within a step and a half, lossy ones with an error below −25 dB."""
    path = tmp_path / f"x.{suffix}"
    output_format: OutputFormat = choose_format(path, audio_info(rate))
    turns = 2 * np.pi * np.arange(output_format.sample_rate) / output_format.sample_rate
    audio = np.stack([0.5 * np.sin(440.0 * turns), 0.3 * np.sin(1000.0 * turns)], axis=1).astype(np.float32)
    writer.encode_audio(
        path,
        [audio[:30_000], audio[30_000:]],
        output_format.sample_rate,
        2,
        output_format.container,
        output_format.subtype,
        1,
    )
    result, decoded_rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    assert decoded_rate == output_format.sample_rate
    assert result.shape == audio.shape
    difference = result - audio
    if output_format.is_lossy:
        assert np.std(difference[2000:-2000]) < 10 ** (-25 / 20) * np.std(audio)
    else:
        assert 0.0 < np.abs(difference).max() < 1.5 / 2 ** (output_format.bits - 1)
