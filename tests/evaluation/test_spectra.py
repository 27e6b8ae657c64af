"""Selection of examples to plot, and their spectra."""

from __future__ import annotations

import numpy as np
from scipy.signal import sosfilt

from nmjax.evaluation import spectra
from nmjax.evaluation.examples import Example
from nmjax.plots import plt


def rows(changes):
    """One example per song, except that the first two share a song."""
    for number, change in enumerate(changes):
        song = "shared" if number < 2 else f"song {number}"
        for system, error in (("input", 2.0), ("1a", 2.0 + change), ("other", 9.0)):
            yield {"condition": "tone", "example": f"{number}", "song": song, "system": system, "tonal_mid_db": error}
            yield {
                "condition": "mix",
                "example": f"{number}",
                "song": song,
                "system": system,
                "tonal_mid_db": 99.0 * number,
            }


def test_the_worst_examples_are_always_chosen():
    changes = [-0.9, -0.8, 0.5, -0.7, 0.3, -0.2, -0.1, 0.05]
    result = spectra.select_examples(list(rows(changes)), "tone", "1a", "input", 5)
    assert result[-2:] == ["4", "2"]  # +0.3 and +0.5
    assert result[0] == "0" and "1" not in result  # the best one, and one of each song
    assert [changes[int(name)] for name in result] == sorted(changes[int(name)] for name in result) and len(result) == 5
    assert len(spectra.select_examples(list(rows(changes)), "tone", "1a", "input", 50)) == 8


def test_spectra_are_relative_to_the_original_without_their_mean(tmp_path):
    rng = np.random.default_rng(0)
    target = 0.1 * rng.standard_normal((44_100 * 4, 2))
    low_pass = sosfilt([[0.1, 0.1, 0.0, 1.0, -0.8, 0.0]], target, axis=0)  # 0 dB at the bottom, falling above 1.5 kHz
    example = Example(-20.0, target, low_pass, None, None)
    result = spectra.example_spectra("noise", example, output=3.0 * target)
    np.testing.assert_allclose(result.after_db, 0.0, atol=1e-6)  # a gain only
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
