"""Intensity: the identity at 0, today's bits at 1, further toward the target above; oracles apart from the code."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import nmjax
from nmjax.dsp import Compressor, Saturator, Width, gain_reduction_db, response_db, saturate, widen
from nmjax.mastering import pretrained
from nmjax.mastering.intensity import apply_intensity, correction_shares, eq_factors, scale_compressor
from nmjax.mastering.network import load
from nmjax.mastering.request import MasteringRequest
from nmjax.models import SAMPLE_RATE
from nmjax.models.parameters import EqSettings, Prediction, at_model_level
from nmjax.models.spectral_features import BAND_CENTERS_HZ
from nmjax.reference.features import track_features
from nmjax.reference.match import match_settings
from nmjax.reference.reference_target import ReferenceTarget
from nmjax.runtime.options import from_keywords
from tests.dsp.oracles import peaking_sos, sosfilt_batch
from tests.mastering.settings.test_file import leaves
from tests.random_networks import random_network
from tests.synthetic_audio import music

INTENSITIES = (0.0, 0.5, 1.0, 1.25, 1.5, 2.0)
PLAIN = {"lufs": "none", "true_peak": "none"}


def row(*values):
    return [jnp.array([x], jnp.float32) for x in values]


def prediction():
    columns = ([80.0, 1000.0, 9000.0], [1.5, -4.0, 0.4], [1.0, 0.8, 0.7], [1.0, 0.5, 1.0])
    settings = at_model_level(EqSettings(*row(*columns))).replace(
        compressor=Compressor(*row(-24.0, 1.5, 10.0, 100.0, 6.0, 1.2)),
        saturator=Saturator(*row(9.0, 0.2, 0.25)),
        width=Width(*row(0.8, 1.3)),
    )
    return Prediction(settings=settings, z=jnp.zeros((1, 512)))


def response(settings):
    grid_hz = jnp.asarray(BAND_CENTERS_HZ, jnp.float32)
    return np.asarray(response_db(settings.eq.bands(), grid_hz, SAMPLE_RATE))[0]


def test_1_is_bit_identical():
    original = prediction()
    for before, after in zip(leaves(original), leaves(apply_intensity(original, 1.0)), strict=True):
        assert np.asarray(before).tobytes() == np.asarray(after).tobytes()


@pytest.mark.parametrize("phase", ["1b", "2"])
def test_0_leaves_the_sound_and_1_gives_the_same_master_as_no_intensity(phase):
    audio = music(2.0, 44_100, 2, seed=4).astype(np.float32)
    nothing = nmjax.master(audio, 44_100, ckpt=random_network(phase), intensity=0.0, **PLAIN)
    np.testing.assert_array_equal(nothing.audio, audio)
    plain = nmjax.master(audio, 44_100, ckpt=random_network(phase), **PLAIN)
    normal = nmjax.master(audio, 44_100, ckpt=random_network(phase), intensity="normal", **PLAIN)
    assert plain.audio.tobytes() == normal.audio.tobytes() != nothing.audio.tobytes()
    gentle = nmjax.master(audio, 44_100, ckpt=random_network(phase), intensity="gentle", eq_amount=0.5, **PLAIN)
    for whole, part in zip(plain.settings["eq"]["bands"], gentle.settings["eq"]["bands"], strict=True):
        assert part["gain_db"] == pytest.approx(0.25 * whole["gain_db"], rel=1e-5)  # the amounts multiply
    assert gentle.settings["residual_amount"] == 0.5


def test_every_stage_grows_with_the_intensity():
    settings = [apply_intensity(prediction(), t, np.array([0.1, 0.5, 0.9])).settings for t in INTENSITIES]
    sizes = [
        [np.abs(response(x)).max() for x in settings],
        [np.abs(x.eq.gain_db[0, 2]) for x in settings],
        [float(x.compressor.slope[0]) for x in settings],
        [float(x.compressor.makeup_db[0]) for x in settings],
        [float(x.saturator.mix[0]) for x in settings],
        [-float(x.width.low[0]) for x in settings],
        [float(x.width.high[0]) for x in settings],
    ]
    for values in sizes:
        assert (np.diff(values) > 0.0).all(), values


def test_the_gain_of_the_compressor_is_scaled_at_every_moment():
    audio = jnp.asarray(0.3 * music(2.0)[None], jnp.float32)
    original = prediction().settings.compressor
    reduction_db = np.asarray(gain_reduction_db(audio, original, SAMPLE_RATE)[0])
    assert reduction_db.max() > 0.4
    for factor in (0.5, 1.7):
        scaled = scale_compressor(original, factor)
        result_db = np.asarray(gain_reduction_db(audio, scaled, SAMPLE_RATE)[0])
        np.testing.assert_allclose(result_db, factor * reduction_db, atol=1e-3)
        assert float(scaled.makeup_db[0]) == pytest.approx(1.2 * factor)
    assert float(scale_compressor(Compressor(*row(-24.0, 8.0, 10.0, 100.0, 6.0, 1.2)), 2.0).ratio[0]) <= 10.001


def test_saturation_and_the_logarithm_of_the_width_are_scaled():
    audio = jnp.asarray(0.1 * music(1.0)[None], jnp.float32)
    settings, half = (apply_intensity(prediction(), t).settings for t in (1.0, 0.5))
    whole, part = (np.asarray(saturate(audio, x.saturator, SAMPLE_RATE)) - audio for x in (settings, half))
    np.testing.assert_allclose(part, 0.5 * whole, atol=1e-6)
    for name in ("low", "high"):
        expected = np.log(float(getattr(settings.width, name)[0])) / 2
        assert np.log(float(getattr(half.width, name)[0])) == pytest.approx(expected, rel=1e-5)
    neutral = apply_intensity(prediction(), 0.0).settings
    np.testing.assert_array_equal(widen(audio, neutral.width, SAMPLE_RATE)[0], audio)


@pytest.mark.parametrize("intensity", [1.2, 1.5, 2.0])
def test_the_factor_is_that_of_a_wiener_filter_with_less_noise(intensity):
    degradation, noise = np.array([0.1, 1.0, 4.0, 100.0]), 2.0
    share = degradation / (degradation + noise)
    expected = degradation / (degradation + noise / intensity**2) / share
    factors = eq_factors(intensity, share)
    np.testing.assert_allclose(factors, expected)
    assert (factors <= intensity**2).all() and (factors * share <= 1.0).all() and (factors > 1.0).all()
    assert eq_factors(intensity) == intensity  # without shares


def test_no_band_is_taken_beyond_6_db_unless_it_was():
    columns = ([80.0, 1000.0], [4.0, -9.0], [1.0, 1.0], [1.0, 1.0])
    large = Prediction(settings=at_model_level(EqSettings(*row(*columns))), z=jnp.zeros((1, 512)))
    gains_db = apply_intensity(large, 2.0, np.array([0.1, 0.1])).settings.eq.gain_db
    np.testing.assert_array_equal(gains_db, [[6.0, -9.0]])


def test_the_share_is_what_the_network_corrects_of_an_equalizer_in_front_of_it():
    """Through audio: the track is filtered by SciPy, and the network listens again."""
    network = load(pretrained.model_folder("1a"))
    audio = 0.1 * music(12.0, SAMPLE_RATE, 1, seed=3) + 0.02 * np.random.default_rng(0).normal(
        size=(12 * SAMPLE_RATE, 1)
    )
    original = network.predict([audio.astype(np.float32)])
    shares = correction_shares(network, original)
    for band in (1, 2, 3):
        freq_hz, q = (np.asarray(x)[0, band : band + 1] for x in (original.settings.eq.freq_hz, original.settings.eq.q))
        changed = []
        for gain_db in (2.0, -2.0):
            filtered = sosfilt_batch(audio[None], peaking_sos(freq_hz, np.array([gain_db]), q, SAMPLE_RATE)[None])
            changed.append(response(network.predict([filtered[0].astype(np.float32)]).settings))
        columns = (jnp.asarray(x, jnp.float32)[None] for x in (freq_hz, [1.0], q, [1.0]))
        shape = response(at_model_level(EqSettings(*columns)))
        shape = shape - shape.mean()
        expected = -np.sum((changed[0] - changed[1]) / 4.0 * shape) / np.sum(shape**2)
        assert shares[band] == pytest.approx(expected, abs=0.04)
        assert 0.0 < shares[band] < 0.5


def test_the_share_is_unknown_for_an_encoder_of_waveforms():
    assert correction_shares(random_network("1a"), prediction()) is None


def test_above_1_a_reference_is_approached_further_and_not_scaled_again():
    rng = np.random.default_rng(7)
    track, liked = (0.1 * rng.normal(size=(10 * SAMPLE_RATE, 1)) for _ in range(2))
    liked = sosfilt_batch(liked[None], peaking_sos(np.array([1000.0]), np.array([6.0]), np.array([0.7]), 44_100)[None])[
        0
    ]
    features, reference = (track_features([x.astype(np.float32)]) for x in (track, liked))
    target = ReferenceTarget(features=reference, name="liked", dynamics=0.0, width=0.0)
    flat = EqSettings(*row([1000.0], [0.0], [1.0], [1.0]))
    start = Prediction(settings=at_model_level(flat), z=jnp.zeros((1, 512)))
    peaks_db = []
    for intensity in (0.5, 1.0, 1.5, 2.0):
        at = dataclasses.replace(target, intensity=intensity)
        match = match_settings(start, features, at, lambda: None)
        matched = apply_intensity(match.prediction, intensity, None, at.matched_stages)
        peaks_db.append(np.ptp(response(matched.settings)))
    assert (np.diff(peaks_db) > 0.0).all() and peaks_db[-1] < 6.5, peaks_db
    assert target.matched_stages == {"eq"}


def test_names():
    for name, value in {"gentle": 0.5, "normal": 1.0, "firm": 1.5, "1.2": 1.2}.items():
        assert from_keywords(MasteringRequest, "test", intensity=name).intensity == value
