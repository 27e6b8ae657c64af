"""Delivered files, decoded by soundfile and measured by pyloudnorm and SciPy."""

from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
from scipy.signal import resample_poly

from nmjax.errors import CannotWriteError
from nmjax.formats import format_for
from nmjax.inference.deliver.delivery import Delivery
from nmjax.inference.deliver.survey import Survey
from nmjax.inference.deliver.write import deliver_file, write_delivery
from nmjax.io import AudioInfo
from tests.inference.deliver.test_delivery import drums
from tests.music import music

RATE = 44_100


def deliver(path, audio, wanted, rate=RATE, subtype="FLOAT", bits=None):
    info = AudioInfo(Path("x.wav"), len(audio), rate, audio.shape[1], "WAV", subtype)

    def source():
        return (audio[i : i + 9000] for i in range(0, len(audio), 9000))

    return deliver_file(source, rate, audio.shape[1], wanted, path, format_for(path, info, bits))


def decoded(path):
    audio, rate = soundfile.read(str(path), always_2d=True)
    peak = np.abs(resample_poly(np.pad(audio, ((64, 64), (0, 0))), 8, 1, axis=0)).max()
    return audio, rate, pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(audio), 20 * np.log10(peak)


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff", "ogg", "opus", "mp3"])
def test_every_format_passes_when_it_is_decoded_again(tmp_path, suffix):
    audio = drums(4.0)
    path = tmp_path / f"x.{suffix}"
    result = deliver(path, audio, Delivery(-18.5, -1.0))
    _, rate, lufs, peak_db = decoded(path)
    assert result.verdict.passed, result.verdict.line
    assert lufs == pytest.approx(-18.5, abs=0.12)
    assert peak_db <= -1.0 + 0.01
    assert result.plan.reduction.deepest_db > 0.5
    assert rate == (48_000 if suffix == "opus" else RATE)
    assert any("48000 Hz" in note for note in result.notes) == (suffix == "opus")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_lossy_file_that_is_over_is_encoded_again_lower(tmp_path):
    """Clipped noise, whose peaks every codec moves."""
    audio = np.clip(np.random.default_rng(0).normal(size=(3 * RATE, 2)), -0.8, 0.8).astype(np.float32)
    result = deliver(tmp_path / "x.mp3", audio, Delivery(None, -1.0, 12.0))
    assert result.tries > 1
    assert result.plan.ceiling_db < -1.2
    assert result.verdict.passed
    assert decoded(tmp_path / "x.mp3")[3] <= -0.99


def test_what_cannot_be_reached_fails_with_its_value(tmp_path):
    result = deliver(tmp_path / "x.wav", drums(4.0), Delivery(-8.0, -1.0, 3.0))
    lufs = decoded(tmp_path / "x.wav")[2]
    assert not result.verdict.passed
    assert result.verdict.line.startswith(f"FAIL  {lufs:.1f} LUFS")
    assert any(f"{lufs:.1f} LUFS" in note for note in result.notes)
    assert result.tries == 1


def test_nothing_wanted_gives_the_samples_back(tmp_path):
    """An untouched 16-bit file comes out to the bit: no gain, no limiter, no dither."""
    steps = np.random.default_rng(0).integers(-(2**15), 2**15, (20_000, 2))
    for suffix in ("wav", "flac"):
        deliver(tmp_path / f"x.{suffix}", (steps / 2**15).astype(np.float32), Delivery(None, None), subtype="PCM_16")
        found = soundfile.read(str(tmp_path / f"x.{suffix}"), dtype="int16")[0]
        np.testing.assert_array_equal(found, steps)


def test_the_same_signal_gives_the_same_file(tmp_path):
    for name in ("a.wav", "b.wav"):
        deliver(tmp_path / name, drums(1.0), Delivery(), subtype="PCM_16")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_one_survey_serves_several_deliveries(tmp_path):
    audio = music(2.0).astype(np.float32)
    info = AudioInfo(Path("x.wav"), len(audio), RATE, 2, "WAV", "PCM_24")
    chosen = format_for(tmp_path / "a.wav", info)
    survey = Survey([audio], RATE, 2)
    for name, shared in (("a.wav", survey), ("b.wav", None)):
        write_delivery(lambda: [audio], RATE, 2, Delivery(-10.0, -1.0), tmp_path / name, chosen, None, shared)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_nothing_half_written_stays(tmp_path):
    (tmp_path / "x.wav").write_text("old")
    audio, calls = drums(1.0), []

    def source():
        calls.append(1)
        yield audio
        if len(calls) > 1:
            raise OSError(28, "No space left on device")

    info = AudioInfo(Path("x.wav"), len(audio), RATE, 2, "WAV", "PCM_24")
    with pytest.raises(CannotWriteError, match="disk is full"):
        deliver_file(source, RATE, 2, Delivery(), tmp_path / "x.wav", format_for(tmp_path / "x.wav", info))
    assert [file.name for file in tmp_path.iterdir()] == ["x.wav"]
    assert (tmp_path / "x.wav").read_text() == "old"


def test_titles_come_along_and_are_there_when_the_file_is_measured(tmp_path):
    audio = drums(1.0)
    with soundfile.SoundFile(str(tmp_path / "in.flac"), "w", RATE, 2, "PCM_24") as file:
        file.title, file.artist = "Title", "Artist"
        file.write(audio)
    info = AudioInfo(Path("in.flac"), len(audio), RATE, 2, "FLAC", "PCM_24")
    for suffix in ("wav", "mp3"):
        out = tmp_path / f"out.{suffix}"
        chosen = format_for(out, info)
        result = deliver_file(lambda: [audio], RATE, 2, Delivery(-20.0, -1.0), out, chosen, tmp_path / "in.flac")
        assert result.verdict.passed and result.notes == []
        with soundfile.SoundFile(str(out)) as file:
            assert (file.title, file.artist, file.frames) == ("Title", "Artist", len(audio))
