"""The first sentences of a result; responses by SciPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import sosfreqz

from nmjax.dsp import Bands, Compressor, Saturator, Width
from nmjax.mastering.settings.labels import describe_closed_bands, describe_settings
from nmjax.mastering.summary import NO_PURPOSE, SIMILAR_MUSIC, EqPurpose, describe_processing
from nmjax.mastering.types import RenderPlan
from nmjax.models.parameters import EqSettings, Prediction, at_model_level
from tests.dsp.oracles import peaking_sos

COMPRESSOR = Compressor(*(jnp.array([x], jnp.float32) for x in (-22.4, 1.06, 6.0, 60.0, 4.0, 0.329)))


def describe(gains_db, rate=44_100, purpose=SIMILAR_MUSIC, channels=2, **processors):
    columns = (jnp.asarray([x], jnp.float32) for x in ([100.0, 5000.0], gains_db, [1.0, 1.0], [1.0, 1.0]))
    eq = EqSettings(*columns)
    settings = at_model_level(eq).replace(**processors)
    prediction = Prediction(settings=settings, z=jnp.zeros((1, 512)))
    return describe_processing(RenderPlan(prediction, 44_100, eq.bands(), 0.0), rate, channels, purpose)


@pytest.mark.parametrize("gain_db", [0.3, -0.6])
def test_a_small_eq_says_that_the_mix_is_close(gain_db):
    expected = f"At most {abs(gain_db):.1f} dB of EQ: the network finds little to correct."
    assert describe([gain_db, 0.1]) == expected
    assert "similar music" not in describe([gain_db, 0.1], purpose=NO_PURPOSE)


def test_an_own_network_says_nothing_about_the_mix():
    own = EqPurpose(", as your network predicts after 200 steps")
    assert describe([0.3, 0.1], purpose=own) == "An EQ of +0.3 dB at 100 Hz, as your network predicts after 200 steps."


def test_a_larger_eq_names_its_extremes():
    assert (
        describe([-3.0, 2.0])
        == "An EQ of −3.0 dB at 100 Hz and +2.0 dB at 5.0 kHz moves the tone toward similar music."
    )
    assert describe([-3.0, 1.0]).startswith("An EQ of −3.0 dB at 100 Hz moves")
    assert describe([0.0, 0.0]) == "No EQ: the tone stays as it is."


def test_the_largest_gain_is_that_of_all_bands_together():
    columns = (jnp.asarray([x], jnp.float32) for x in ([1000.0, 1100.0], [0.4, 0.4], [1.0, 1.0]))
    bands = Bands(*columns)
    sections = np.stack([peaking_sos(f, 0.4, 1.0, 44_100) for f in (1000.0, 1100.0)])
    freq_hz = np.geomspace(20.0, 20_000.0, 4000)
    expected_db = 20.0 * np.log10(np.abs(sosfreqz(sections, freq_hz, fs=44_100)[1])).max()
    eq = EqSettings(bands.freq_hz, bands.gain_db, bands.q, jnp.ones((1, 2)))
    plan = RenderPlan(Prediction(settings=at_model_level(eq), z=jnp.zeros((1, 512))), 44_100, bands, 0.0)
    assert f"At most {expected_db:.1f} dB of EQ" in describe_processing(plan, 44_100, 2, SIMILAR_MUSIC)


def test_the_processors_that_act_are_named():
    width = Width(jnp.array([1.0]), jnp.array([10 ** (-1.5 / 20)]))
    saturator = Saturator(jnp.array([9.0]), jnp.array([0.2]), jnp.array([0.25]))
    text = describe([0.3, 0.1], compressor=COMPRESSOR, saturator=saturator, width=width)
    assert text.endswith(
        "Then very light compression (ratio 1.06), saturation (20 % of the signal) and "
        "a narrower stereo image (side 0.0 dB in the bass, −1.5 dB above)."
    )
    unchanged = Width(jnp.array([0.993]), jnp.array([0.993]))
    assert describe([0.3, 0.1], width=unchanged).endswith("Then almost no change of the stereo width.")


def test_settings_have_their_unit_once():
    expected = "threshold −22.4 dB, ratio 1.06, attack 6 ms, release 60 ms, knee 4 dB, make-up 0.329 dB"
    assert describe_settings("compressor", COMPRESSOR) == expected


def test_closed_bands_are_counted():
    assert [describe_closed_bands(n, 10) for n in (0, 1, 2)] == [
        "",
        "1 of 10 bands is closed.",
        "2 of 10 bands are closed.",
    ]


def test_the_width_of_a_mono_track_is_not_named():
    width = Width(low=jnp.array([1.2], jnp.float32), high=jnp.array([1.3], jnp.float32))
    assert "a wider stereo image" in describe([3.0, 0.0], width=width)
    assert "stereo" not in describe([3.0, 0.0], width=width, channels=1)
