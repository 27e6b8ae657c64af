"""Items whose spectra are drawn: which ones, and what is drawn of them."""

from __future__ import annotations

import numpy as np
from scipy.signal import sosfilt

from nmjax.evaluation import spectra
from nmjax.evaluation.examples import Example
from nmjax.plots import plt


def rows(changes):
    """An item a song, but for the first two, which share one."""
    for number, change in enumerate(changes):
        song = "shared" if number < 2 else f"song {number}"
        for system, error in (("input", 2.0), ("1a", 2.0 + change), ("other", 9.0)):
            yield {"tier": "tone", "item": f"{number}", "song": song, "system": system, "tonal_mid_db": error}
            yield {"tier": "mix", "item": f"{number}", "song": song, "system": system, "tonal_mid_db": 99.0 * number}


def test_the_worst_examples_are_always_chosen():
    changes = [-0.9, -0.8, 0.5, -0.7, 0.3, -0.2, -0.1, 0.05]
    result = spectra.select_examples(list(rows(changes)), "tone", "1a", "input", 5)
    assert result[-2:] == ["4", "2"]  # +0.3 and +0.5
    assert result[0] == "0" and "1" not in result  # the best, and of one song only one
    assert [changes[int(item)] for item in result] == sorted(changes[int(item)] for item in result) and len(result) == 5
    assert len(spectra.select_examples(list(rows(changes)), "tone", "1a", "input", 50)) == 8


def test_a_spectrum_is_beside_the_originals_and_about_its_mean(tmp_path):
    draw = np.random.default_rng(0)
    target = 0.1 * draw.standard_normal((44_100 * 4, 2))
    low_pass = sosfilt([[0.1, 0.1, 0.0, 1.0, -0.8, 0.0]], target, axis=0)  # 0 dB at the bottom, falling above 1.5 kHz
    item = Example(-20.0, target, low_pass, None, None)
    result = spectra.example_spectra("noise", item, lambda item: 3.0 * item.target)
    np.testing.assert_allclose(result.after_db, 0.0, atol=1e-6)  # louder alone
    response = (
        0.2
        * np.abs(np.cos(np.pi * result.centers_hz / 44_100))
        / np.abs(1.0 - 0.8 * np.exp(-2j * np.pi * result.centers_hz / 44_100))
    )
    expected = 20.0 * np.log10(response)
    difference = (result.before_db - (expected - expected.mean()))[result.centers_hz > 100.0]
    assert np.abs(difference - difference.mean()).max() < 0.5
    path = tmp_path / "picture.png"
    spectra.plot_example_spectra([result] * 3, path, "three $ panels")
    assert plt.imread(path).shape[0] > 300
