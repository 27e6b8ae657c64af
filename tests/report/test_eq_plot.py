"""The plot of the equalizer: which bands it draws, and their names."""

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax import plots
from nmjax.dsp import Bands, response_db
from nmjax.report.eq_plot import plot_eq

RATE = 44_100


def drawn(monkeypatch, tmp_path, gains_db):
    """Names and responses that are drawn, for bands at 100 Hz, 200 Hz, ..."""
    calls = []
    monkeypatch.setattr(plots, "plot_eq_response", lambda *_, **arguments: calls.append(arguments))
    freq_hz = jnp.array([[100.0 * (i + 1) for i in range(len(gains_db))]])
    bands = Bands(freq_hz=freq_hz, gain_db=jnp.array([gains_db]), q=jnp.ones_like(freq_hz))
    plot_eq(bands, RATE, "title", tmp_path / "eq.png")
    return calls[0]["names"], calls[0]["band_db"], calls[0]["freq_hz"], bands


def test_closed_bands_are_left_out(monkeypatch, tmp_path):
    names, band_db, freq_hz, bands = drawn(monkeypatch, tmp_path, [3.0, -0.01, -1.5, 0.02])
    assert names == ["100 Hz +3.0 dB", "300 Hz −1.5 dB"]
    total_db = response_db(bands, jnp.asarray(freq_hz, jnp.float32), RATE)[0]
    np.testing.assert_allclose(band_db.sum(axis=0), total_db, atol=0.05)


@pytest.mark.parametrize("gains_db", [[0.0, 0.0], [0.01]])
def test_a_flat_equalizer_has_one_flat_line(monkeypatch, tmp_path, gains_db):
    names, band_db, _, _ = drawn(monkeypatch, tmp_path, gains_db)
    assert names == ["100 Hz 0.0 dB"] and np.abs(band_db).max() < 0.05
