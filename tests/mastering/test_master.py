"""A whole track from file to file, read back and judged by SciPy, pyloudnorm and the network run on the whole."""

import dataclasses
import resource

import jax
import jax.numpy as jnp
import numpy as np
import pyloudnorm
import pytest
import soundfile
from scipy.signal import sosfilt

from nmjax.mastering.delivery.spec import PRESETS, DeliverySpec
from nmjax.mastering.master import master
from nmjax.mastering.output_paths import resolve_output_paths
from nmjax.mastering.settings.file import read_settings
from nmjax.mastering.settings.overrides import Overrides
from nmjax.mastering.types import MasteringOptions
from nmjax.models import build_model
from nmjax.runtime.errors import BadInputError
from tests.dsp.oracles import peaking_sos
from tests.models.helpers import peak_error_db
from tests.random_networks import load_settings_json, random_network
from tests.synthetic_audio import music, write_audio


def lufs(path):
    audio, rate = soundfile.read(str(path), always_2d=True)
    return pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(audio)


NO_DELIVERY = DeliverySpec(lufs=None, true_peak_db=None, name="plain")  # neither gain nor limiter


def master_track(track, out, phase, *deliveries, **options):
    """`master` with the network of a phase; streaming unless said otherwise."""
    options = MasteringOptions(**({"delivery_specs": deliveries} if deliveries else {}), **options)
    return master(track, resolve_output_paths(track, out, options.delivery_specs), random_network(phase), options)


def equalize_by_scipy(audio, settings, rate):
    """What the settings file says, by SciPy in float64: `[frames, channel]`."""
    out = audio
    for band in settings["rendered_eq"]["bands"]:
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
    track = write_audio(tmp_path / name, 0.3 * np.tanh(30.0 * music(3.3, rate, channels)), rate, subtype)  # few peaks
    out = tmp_path / f"master{track.suffix}"
    result = master_track(track, out, phase)
    before, after = soundfile.info(str(track)), soundfile.info(str(out))
    for field in ("frames", "samplerate", "channels", "format", "subtype"):
        assert getattr(after, field) == getattr(before, field)
    assert lufs(out) == pytest.approx(-14.0, abs=0.1)
    assert not result.notes
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, out.name, f"{out.name}.json"])


@pytest.mark.parametrize("rate", [44_100, 96_000])
def test_the_master_matches_the_settings_file(tmp_path, rate):
    """The phase of the equalizer, nulled against SciPy's filters in float64 from the written settings."""
    audio = music(3.2, rate).astype(np.float32)
    track = write_audio(tmp_path / "a.wav", audio, rate, "FLOAT")
    result = master_track(track, tmp_path / "m.wav", "1a", NO_DELIVERY)
    actual, _ = soundfile.read(str(result.outputs.masters[0]), always_2d=True)
    expected = equalize_by_scipy(audio.astype(np.float64), load_settings_json(result.outputs.settings), rate)
    assert peak_error_db(actual, expected) <= -120.0
    assert np.abs(np.asarray(result.render_plan.prediction.settings.eq.gain_db)).max() > 3.0


def test_the_residual_is_added_where_it_belongs(tmp_path):
    audio = music(3.2).astype(np.float32)
    track = write_audio(tmp_path / "a.wav", audio, subtype="FLOAT")
    result = master_track(track, tmp_path / "m.wav", "1b", NO_DELIVERY)
    settings, n = load_settings_json(result.outputs.settings), random_network("1b")
    levelled = jnp.asarray(audio * np.float32(10 ** (settings["input_gain_db"] / 20)))[None]
    model = build_model(n.config)
    z = jnp.asarray(settings["z"], jnp.float32)[None]
    residual = np.asarray(jax.jit(lambda v, x: model.apply(v, x, z, method="predict_residual"))(n.variables, levelled))[
        0
    ]
    expected = equalize_by_scipy(audio.astype(np.float64), settings, 44_100) + residual * 10 ** (
        -settings["input_gain_db"] / 20
    )
    actual, _ = soundfile.read(str(result.outputs.masters[0]), always_2d=True)
    assert peak_error_db(actual, expected) <= -105.0
    assert np.abs(residual).max() > 1e-2
    added = actual - equalize_by_scipy(audio.astype(np.float64), settings, 44_100)
    expected_db = 10.0 * np.log10(np.mean(added**2) / np.mean((actual - added) ** 2))
    assert result.residual_level_db == pytest.approx(expected_db, abs=0.01)


def test_at_another_rate_the_residual_is_aligned_to_the_sample(tmp_path):
    """The same signal at 44.1 and at 88.2 kHz: the residual is the same, resampled."""
    from scipy.signal import resample_poly

    audio = resample_poly(music(3.2, 22_050), 2, 1, axis=0)  # nothing near half the rate
    added = {}
    for rate, sound in ((44_100, audio), (88_200, resample_poly(audio, 2, 1, axis=0))):
        track = write_audio(tmp_path / f"{rate}.wav", sound.astype(np.float32), rate, "FLOAT")
        result = master_track(track, tmp_path / f"m{rate}.wav", "1b", NO_DELIVERY)
        actual = soundfile.read(str(result.outputs.masters[0]), always_2d=True)[0]
        added[rate] = actual - equalize_by_scipy(sound, load_settings_json(result.outputs.settings), rate)
    difference = resample_poly(added[44_100], 2, 1, axis=0) - added[88_200]
    inside = slice(2000, -2000)
    assert np.sqrt(np.mean(difference[inside] ** 2)) < 0.03 * np.sqrt(np.mean(added[88_200][inside] ** 2))


def test_high_peaks_fail_the_loudness_target_and_report_it(tmp_path):
    audio = 0.01 * music(3.0)
    audio[::20_000] = 0.9
    track = write_audio(tmp_path / "a.wav", audio)
    result = master_track(track, tmp_path / "m.wav", "1a")
    (delivery,) = result.delivery_results
    assert not delivery.compliance.passed
    assert "6 dB of limiting" in " ".join(result.notes)
    assert lufs(delivery.compliance.path) < -14.2
    assert delivery.compliance.true_peak_db <= -1.0
    reported = load_settings_json(result.outputs.settings)["delivery"]["streaming"]
    assert reported["status"] == "fail"
    assert lufs(delivery.compliance.path) == pytest.approx(reported["lufs"], abs=0.05)


def test_silence_comes_out_as_silence(tmp_path):
    track = write_audio(tmp_path / "a.wav", np.zeros((30_000, 2)))
    result = master_track(track, tmp_path / "m.wav", "1c")
    actual, _ = soundfile.read(str(result.outputs.masters[0]))
    assert actual.shape == (30_000, 2)
    assert not actual.any()
    assert result.notes == ["The track is silent, and so is the master."]
    delivery = load_settings_json(result.outputs.settings)["delivery"]["streaming"]
    assert (delivery["status"], delivery["lufs"]) == ("not_measured", None)
    assert result.delivery_results[0].compliance.summary == "NOT MEASURED: the track is silent"


def test_a_track_too_short_for_a_loudness_is_mastered_by_its_peak(tmp_path):
    track = write_audio(tmp_path / "a.wav", music(0.2))
    result = master_track(track, tmp_path / "m.wav", "1a")
    assert "has no loudness (it is shorter than 400 ms" in result.notes[0]
    assert result.delivery_results[0].compliance.summary.startswith("NOT MEASURED: the track is shorter than 400 ms")
    assert soundfile.info(str(result.outputs.masters[0])).frames == round(0.2 * 44_100)


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "PCM_16"), ("a.flac", "PCM_24"), ("a.wav", "FLOAT")])
def test_with_all_amounts_at_0_and_no_delivery_the_samples_are_the_inputs(tmp_path, name, subtype):
    track = write_audio(tmp_path / name, music(3.0, 48_000), 48_000, subtype)
    nothing = Overrides(eq_amount=0.0, residual_amount=0.0)
    result = master_track(track, tmp_path / f"m{track.suffix}", "1b", NO_DELIVERY, overrides=nothing)
    before, after = (soundfile.read(str(p), dtype="float64")[0] for p in (track, result.outputs.masters[0]))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("phase", ["1a", "1b"])
def test_settings_from_the_file_render_bit_identically(tmp_path, phase):
    track = write_audio(tmp_path / "a.wav", music(3.2, 48_000), 48_000, "FLOAT")
    first = master_track(track, tmp_path / "m.wav", phase, NO_DELIVERY)
    again = master_track(track, tmp_path / "n.wav", phase, NO_DELIVERY, settings=read_settings(first.outputs.settings))
    one, other = (soundfile.read(str(r.outputs.masters[0]), dtype="float32")[0] for r in (first, again))
    np.testing.assert_array_equal(one, other)
    assert not again.notes


def test_settings_without_their_network_render_the_equalizer_and_report_it(tmp_path):
    track = write_audio(tmp_path / "a.wav", music(3.2), subtype="FLOAT")
    first = master_track(track, tmp_path / "m.wav", "1b", NO_DELIVERY)
    options = MasteringOptions(delivery_specs=(NO_DELIVERY,), settings=read_settings(first.outputs.settings))
    result = master(track, resolve_output_paths(track, tmp_path / "n.wav", (NO_DELIVERY,)), None, options)
    audio, _ = soundfile.read(str(result.outputs.masters[0]), always_2d=True)
    before, _ = soundfile.read(str(track), always_2d=True)
    assert peak_error_db(audio, equalize_by_scipy(before, load_settings_json(first.outputs.settings), 44_100)) <= -120.0
    assert "residual is left out" in result.notes[0]


def test_half_of_the_residual_is_half_of_it(tmp_path):
    track = write_audio(tmp_path / "a.wav", music(3.2), subtype="FLOAT")
    sounds = []
    for amount in (0.0, 0.5, 1.0):
        out = tmp_path / f"{amount}.wav"
        master_track(track, out, "1b", NO_DELIVERY, overrides=Overrides(residual_amount=amount))
        sounds.append(soundfile.read(str(out))[0])
    assert peak_error_db(sounds[1] - sounds[0], 0.5 * (sounds[2] - sounds[0])) <= -80.0
    assert np.abs(sounds[2] - sounds[0]).max() > 1e-3


@pytest.mark.parametrize("channels", [3, 6, 8])
def test_more_than_two_channels_share_the_settings(tmp_path, channels):
    audio = np.repeat(music(3.2), 4, axis=1)[:, :channels] * np.linspace(1.0, 0.5, channels)
    track = write_audio(tmp_path / "a.wav", audio, subtype="FLOAT")
    result = master_track(track, tmp_path / "m.wav", "1b", NO_DELIVERY, overrides=Overrides(residual_amount=0.0))
    actual, _ = soundfile.read(str(result.outputs.masters[0]), always_2d=True)
    assert (
        peak_error_db(
            actual, equalize_by_scipy(audio.astype(np.float32), load_settings_json(result.outputs.settings), 44_100)
        )
        <= -110.0
    )
    streaming = master_track(track, tmp_path / "s.wav", "1b")
    assert (
        streaming.delivery_results[0].compliance.lufs == pytest.approx(-14.0, abs=0.1)
        or not streaming.delivery_results[0].compliance.passed
    )


def test_several_deliveries_of_one_rendering(tmp_path):
    track = write_audio(tmp_path / "a.wav", 0.3 * np.tanh(30.0 * music(3.3)), subtype="FLOAT")
    expected = (PRESETS["streaming"], dataclasses.replace(PRESETS["streaming"], lufs=-18.0, name="quiet"))
    result = master_track(track, tmp_path / "m.wav", "1a", *expected)
    assert [p.name for p in result.outputs.masters] == ["m-streaming.wav", "m-quiet.wav"]
    actual = [lufs(path) for path in result.outputs.masters]
    assert actual == pytest.approx([-14.0, -18.0], abs=0.1)


def test_analyzing_an_excerpt_predicts_nearly_the_same_settings(tmp_path):
    track = write_audio(tmp_path / "a.wav", music(20.0), subtype="FLOAT")
    whole = master_track(track, tmp_path / "m.wav", "1a").render_plan.prediction.settings.eq
    part = master_track(track, tmp_path / "n.wav", "1a", analysis_seconds=9.0).render_plan.prediction.settings.eq
    assert not np.array_equal(whole.gain_db, part.gain_db)
    np.testing.assert_allclose(whole.gain_db, part.gain_db, atol=1.5)


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path):
    """A limit on file size simulates a full disk: the write fails half way."""
    track = write_audio(tmp_path / "a.wav", music(3.0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(BadInputError, match=r"cannot be written|full"):
            master_track(track, tmp_path / "m.wav", "1a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_a_nan_that_shows_half_way_leaves_nothing_behind(tmp_path):
    audio = music(4.0).astype(np.float32)
    audio[150_000, 1] = np.nan
    track = write_audio(tmp_path / "a.wav", audio, subtype="FLOAT")
    with pytest.raises(BadInputError, match="NaN"):
        master_track(track, tmp_path / "m.wav", "1a")
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_the_prediction_does_not_depend_on_the_level_of_the_file(tmp_path):
    result = []
    for name, level in (("a.wav", 0.1), ("b.wav", 2.0)):
        track = write_audio(tmp_path / name, level * music(3.0), subtype="FLOAT")
        result.append(master_track(track, tmp_path / f"m-{name}", "1a").render_plan.prediction.settings.eq)
    for name in ("freq_hz", "gain_db", "q"):
        np.testing.assert_allclose(getattr(result[0], name), getattr(result[1], name), rtol=1e-3, atol=1e-3)
