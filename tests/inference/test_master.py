"""A whole track from file to file, read back and judged by SciPy, pyloudnorm and the network run on the whole."""

import resource

import jax
import jax.numpy as jnp
import numpy as np
import pyloudnorm
import pytest
import soundfile
from scipy.signal import sosfilt

from nmjax.errors import BadInputError
from nmjax.inference.master import master
from nmjax.models import build_model
from tests.dsp.oracles import peaking_sos
from tests.inference.networks import network, settings_of
from tests.models.helpers import apart_db
from tests.music import music, write


def lufs(path):
    audio, rate = soundfile.read(str(path), always_2d=True)
    return pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(audio)


def equalised(audio, settings, rate):
    """What the settings file says, by SciPy in float64: `[frames, channel]`."""
    out = audio * 10 ** (settings["input_gain_db"] / 20)
    for band in settings["eq_as_rendered"]["bands"]:
        out = sosfilt(peaking_sos(band["freq_hz"], band["gain_db"], band["q"], rate)[None], out, axis=0)
    return out


@pytest.mark.parametrize(
    ("phase", "rate", "channels", "name", "subtype"),
    [
        ("1b", 44_100, 2, "a.wav", "PCM_16"),
        ("1a", 48_000, 1, "a.flac", "PCM_24"),
        ("1c", 22_050, 2, "a.aiff", "PCM_24"),
    ],
)
def test_rate_length_format_and_loudness(tmp_path, phase, rate, channels, name, subtype):
    track = write(tmp_path / name, 0.3 * np.tanh(30.0 * music(3.3, rate, channels)), rate, subtype)  # few peaks
    out = tmp_path / f"master{track.suffix}"
    result = master(track, out, network(phase))
    before, after = soundfile.info(str(track)), soundfile.info(str(out))
    for field in ("frames", "samplerate", "channels", "format", "subtype"):
        assert getattr(after, field) == getattr(before, field)
    assert lufs(out) == pytest.approx(-14.0, abs=0.1)
    assert not result.notes
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, out.name, "master.json"])


@pytest.mark.parametrize("rate", [44_100, 96_000])
def test_the_master_is_what_the_settings_file_says(tmp_path, rate):
    """An equaliser's phase, nulled against SciPy's filters in float64 from the written settings."""
    audio = music(3.2, rate).astype(np.float32)
    track = write(tmp_path / "a.wav", audio, rate, "FLOAT")
    result = master(track, tmp_path / "m.wav", network("1a"))
    found, _ = soundfile.read(str(result.out), always_2d=True)
    wanted = equalised(audio.astype(np.float64), settings_of(result.settings), rate) * 10 ** (result.gain_db / 20)
    assert apart_db(found, wanted) <= -120.0
    assert np.abs(np.asarray(result.prediction.settings.eq.gain_db)).max() > 3.0


def test_the_residual_is_added_where_it_belongs(tmp_path):
    audio = music(3.2).astype(np.float32)
    track = write(tmp_path / "a.wav", audio, subtype="FLOAT")
    result = master(track, tmp_path / "m.wav", network("1b"))
    settings, n = settings_of(result.settings), network("1b")
    levelled = jnp.asarray(audio * np.float32(10 ** (settings["input_gain_db"] / 20)))[None]
    model = build_model(n.config)
    z = jnp.asarray(settings["z"], jnp.float32)[None]
    residual = np.asarray(jax.jit(lambda v, x: model.apply(v, x, z, method="correct"))(n.variables, levelled))[0]
    wanted = (equalised(audio.astype(np.float64), settings, 44_100) + residual) * 10 ** (result.gain_db / 20)
    found, _ = soundfile.read(str(result.out), always_2d=True)
    assert apart_db(found, wanted) <= -105.0
    assert np.abs(residual).max() > 1e-2


def test_at_another_rate_the_residual_is_aligned_to_the_sample(tmp_path):
    """The same sound at 44.1 and at 88.2 kHz: what is added to the equaliser's output is the same, resampled."""
    from scipy.signal import resample_poly

    audio = resample_poly(music(3.2, 22_050), 2, 1, axis=0)  # nothing near half the rate
    added = {}
    for rate, sound in ((44_100, audio), (88_200, resample_poly(audio, 2, 1, axis=0))):
        track = write(tmp_path / f"{rate}.wav", sound.astype(np.float32), rate, "FLOAT")
        result = master(track, tmp_path / f"m{rate}.wav", network("1b"))
        found = soundfile.read(str(result.out), always_2d=True)[0] / 10 ** (result.gain_db / 20)
        added[rate] = found - equalised(sound, settings_of(result.settings), rate)
    apart = resample_poly(added[44_100], 2, 1, axis=0) - added[88_200]
    inside = slice(2000, -2000)
    assert np.sqrt(np.mean(apart[inside] ** 2)) < 0.03 * np.sqrt(np.mean(added[88_200][inside] ** 2))


def test_a_peak_that_forbids_the_loudness_is_held_and_said(tmp_path):
    audio = 0.01 * music(3.0)
    audio[::20_000] = 0.9
    track = write(tmp_path / "a.wav", audio)
    result = master(track, tmp_path / "m.wav", network("1a"))
    assert len(result.notes) == 1
    assert "-1 dBTP" in result.notes[0]
    assert lufs(result.out) < -14.2
    assert result.after.true_peak_db + result.gain_db == pytest.approx(-1.0, abs=1e-3)
    assert settings_of(result.settings)["delivery"]["true_peak_db"] == -1.0
    assert lufs(result.out) == pytest.approx(settings_of(result.settings)["delivery"]["lufs"], abs=0.05)


def test_silence_comes_out_as_silence(tmp_path):
    track = write(tmp_path / "a.wav", np.zeros((30_000, 2)))
    result = master(track, tmp_path / "m.wav", network("1c"))
    found, _ = soundfile.read(str(result.out))
    assert found.shape == (30_000, 2)
    assert not found.any()
    assert result.notes == ["The track is silent, and so is the master."]
    assert settings_of(result.settings)["delivery"]["lufs"] is None


def test_a_track_too_short_for_a_loudness_is_mastered_by_its_peak(tmp_path):
    track = write(tmp_path / "a.wav", music(0.2))
    result = master(track, tmp_path / "m.wav", network("1a"))
    assert "too short or too quiet" in result.notes[0]
    assert soundfile.info(str(result.out)).frames == round(0.2 * 44_100)


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path):
    """A limit on the size of files stands in for the disk: the write fails half way."""
    track = write(tmp_path / "a.wav", music(3.0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(BadInputError, match=r"cannot be written|full"):
            master(track, tmp_path / "m.wav", network("1a"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_a_nan_that_shows_half_way_leaves_nothing_behind(tmp_path):
    audio = music(4.0).astype(np.float32)
    audio[150_000, 1] = np.nan
    track = write(tmp_path / "a.wav", audio, subtype="FLOAT")
    with pytest.raises(BadInputError, match="NaN"):
        master(track, tmp_path / "m.wav", network("1a"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_the_prediction_does_not_depend_on_the_level_of_the_file(tmp_path):
    found = []
    for name, level in (("a.wav", 0.1), ("b.wav", 2.0)):
        track = write(tmp_path / name, level * music(3.0), subtype="FLOAT")
        found.append(master(track, tmp_path / f"m-{name}", network("1a")).prediction.settings.eq)
    for name in ("freq_hz", "gain_db", "q"):
        np.testing.assert_allclose(getattr(found[0], name), getattr(found[1], name), rtol=1e-3, atol=1e-3)
