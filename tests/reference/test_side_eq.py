"""EQ of the side towards a reference, from levels; the response is measured by SciPy."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from pyloudnorm import Meter
from scipy.signal import sosfreqz

from nmjax.dsp import Bands
from nmjax.reference.bands import CENTERS_HZ, NUM_BANDS
from nmjax.reference.features import TrackFeatures
from nmjax.reference.limits import DEFAULT_LIMITS, MatchLimits
from nmjax.reference.posterior import OTHER_SONG_PRIOR
from nmjax.reference.side_eq import after_side_eq, fit_side_eq
from tests.dsp.oracles import peaking_sos

OCTAVES = np.log2(CENTERS_HZ / 1000.0)
BUMP_DB = 5.0 * np.exp(-0.5 * (OCTAVES - 1.0) ** 2)
FLAT = Bands(*(jnp.asarray([[x]], jnp.float32) for x in (1000.0, 0.0, 1.0)))
BOOST = Bands(*(jnp.asarray([[x]], jnp.float32) for x in (2000.0, 5.0, 1.0)))


def features(side_db=0.0, **changes):
    mid_db = np.full(NUM_BANDS, -30.0)
    whole = TrackFeatures(mid_db, mid_db - 6.0 + side_db, np.full(NUM_BANDS, 0.2), 12.0, 5.0, 60.0, True, 22_050.0)
    return dataclasses.replace(whole, **changes)


def response_db(bands, freq_hz=CENTERS_HZ):
    rows = np.stack([np.asarray(x, float)[0] for x in (bands.freq_hz, bands.gain_db, bands.q)], axis=1)
    sections = np.stack([peaking_sos(*row, 44_100) for row in rows])
    return 20 * np.log10(np.abs(sosfreqz(sections, freq_hz, fs=44_100)[1]))


def fit_both(track, reference, bands=FLAT, strength=1.0, limits=DEFAULT_LIMITS):
    return fit_side_eq(track, reference, bands, strength=strength, prior=OTHER_SONG_PRIOR, limits=limits)


def fit(*args, **kwargs):
    """The equalizer of the side alone."""
    return fit_both(*args, **kwargs)[1]


def loudness_change_db(mid_db, side_db):
    """Of `features()`, with the K-weighting of pyloudnorm."""
    sos = [np.concatenate([x.b, x.a]) for x in Meter(44_100, filter_class="DeMan")._filters.values()]
    weight = np.abs(sosfreqz(np.stack(sos), CENTERS_HZ, fs=44_100)[1]) ** 2
    powers = [weight * 10 ** (x / 10) for x in (features().mid_db, features().side_db)]
    changed = [np.sum(x * 10 ** (db / 10)) for x, db in zip(powers, (mid_db, side_db), strict=True)]
    return 10 * np.log10(sum(changed) / np.sum(powers))


def test_the_tone_of_the_side_is_matched_whatever_its_level():
    results = [fit(features(), features(BUMP_DB + level_db)) for level_db in (0.0, -9.0)]
    for result in results:
        assert result.q.shape[1] <= 6
        assert np.std(response_db(result) - BUMP_DB) < 0.4 * np.std(BUMP_DB)
        after = after_side_eq(features(), result)
        np.testing.assert_allclose(after.side_db - features().side_db, response_db(result), atol=0.01)
    np.testing.assert_array_equal(results[0].gain_db, results[1].gain_db)


@pytest.mark.slow
def test_both_equalizers_together_stay_within_the_limits_and_the_bass_is_not_narrowed():
    """A side that shall get far more treble and less bass, where both channels are boosted already."""
    freq_hz = np.geomspace(15.0, 20_000.0, 2_000)
    tilt_db = 4.0 * OCTAVES
    bands, result = fit_both(features(), features(tilt_db), bands=BOOST)
    level_db = loudness_change_db(response_db(bands), response_db(bands) + response_db(result))
    mid_db = response_db(bands, freq_hz) - level_db
    for gain_db in (mid_db, mid_db + response_db(result, freq_hz)):
        assert gain_db.max() <= 6.0 and gain_db[freq_hz < 60.0].max() <= 3.0 and gain_db.min() >= -12.0
    assert response_db(result, freq_hz).max() > 1.0  # the side is not scaled down to nothing
    assert response_db(result, freq_hz)[freq_hz < 150.0].min() >= -1.01
    free = fit(features(), features(tilt_db), limits=MatchLimits(allowed=frozenset({"narrow_bass"})))
    assert response_db(free, freq_hz)[freq_hz < 150.0].min() < -2.0


def test_mono_equal_sides_and_no_strength_give_no_equalizer():
    assert fit(features(), features(BUMP_DB, stereo=False)) is None
    assert fit(features(stereo=False), features(BUMP_DB)) is None
    assert fit(features(), features(BUMP_DB), strength=0.0) is None
    assert fit(features(), features(-100.0)) is None  # a side of noise
    assert fit(features(), features()) is None
    assert after_side_eq(features(), None).side_db[0] == -36.0
