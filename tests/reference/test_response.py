"""The scaling that keeps a response within limits, measured by SciPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import sosfreqz

from nmjax.dsp import Bands
from nmjax.reference.limits import NO_LIMITS, ResponseLimits
from nmjax.reference.response import bands_response_db, scale_into_limits
from tests.dsp.oracles import peaking_sos

GRID_HZ = np.geomspace(15.0, 20_000.0, 3_000)
BANDS = Bands(*(jnp.asarray([x], jnp.float32) for x in ((45.0, 300.0, 330.0), (5.0, 5.0, 5.0), (2.0, 3.0, 3.0))))


def scipy_response_db(bands, freq_hz=GRID_HZ):
    rows = np.stack([np.asarray(x, float)[0] for x in (bands.freq_hz, bands.gain_db, bands.q)], axis=1)
    sections = np.stack([peaking_sos(*row, 44_100) for row in rows])
    return 20 * np.log10(np.abs(sosfreqz(sections, freq_hz, fs=44_100)[1]))


def test_the_response_is_that_of_the_filters():
    np.testing.assert_allclose(bands_response_db(BANDS, GRID_HZ), scipy_response_db(BANDS), atol=1e-3)


@pytest.mark.parametrize(("limits", "low_db", "high_db"), [((3.0, 20.0), 3.0, 20.0), ((20.0, 6.0), 20.0, 6.0)])
def test_gains_are_scaled_until_the_response_is_within_the_limits(limits, low_db, high_db):
    result = scipy_response_db(scale_into_limits(BANDS, ResponseLimits(*limits)))
    assert result[GRID_HZ < 60.0].max() <= low_db + 1e-3 and result[GRID_HZ >= 60.0].max() <= high_db + 1e-3
    excess_db = (result - np.where(GRID_HZ < 60.0, low_db, high_db)).max()
    assert excess_db == pytest.approx(-0.3, abs=0.25)  # not scaled much further than needed


def test_a_response_within_the_limits_is_unchanged():
    assert scale_into_limits(BANDS, NO_LIMITS) is BANDS
    assert scale_into_limits(BANDS, ResponseLimits(6.0, 12.0)) is BANDS
