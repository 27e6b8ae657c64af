"""Probes of a made-up z that knows some things and not others."""

from __future__ import annotations

import numpy as np
import pytest

from nmjax.analysis.probes import _PENALTIES, _ridge, predicted, probes


def of(found, target, part):
    return next(p for p in found if (p.target, p.part) == (target, part))


@pytest.fixture(scope="module")
def found():
    draw = np.random.default_rng(0)
    z = draw.standard_normal((90, 64))  # quarters of 16
    groups = np.repeat(["x", "y", "z"], 30)
    z[groups == "y", 50] += 4.0
    measures = {
        "loudness": z[:, 3] - 2.0 * z[:, 5] + 0.1 * draw.standard_normal(90),
        "crest": draw.standard_normal(90),
        "width": np.full(90, -60.0),
    }
    measures["loudness"][7] = np.nan
    return probes(z, measures, groups)


def test_what_z_knows_is_found_in_its_quarter(found):
    assert of(found, "loudness", "1").score > 0.9
    assert of(found, "loudness", "all").score > 0.5
    for part in "234":
        assert of(found, "loudness", part).score < 0.1
    assert of(found, "group", "4").score > of(found, "group", "4").control_high
    assert of(found, "group", "4").score > 0.6


def test_what_z_does_not_know_is_not(found):
    probe = of(found, "crest", "all")
    assert probe.score < 0.1
    assert -0.3 < probe.control < 0.05
    assert probe.control <= probe.control_high


def test_what_never_varies_is_not_asked(found):
    assert not [p for p in found if p.target == "width"]


def test_ridge_against_the_closed_form():
    draw = np.random.default_rng(1)
    for rows, dims in ((12, 5), (6, 9)):
        x, y, asked = (
            draw.standard_normal((rows, dims)),
            draw.standard_normal((rows, 2)),
            draw.standard_normal((3, dims)),
        )
        standard = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)
        smaller = standard @ standard.T if rows < dims else standard.T @ standard
        penalty = _PENALTIES[4] * np.trace(smaller) / len(smaller)
        slopes = np.linalg.solve(standard.T @ standard + penalty * np.eye(dims), standard.T @ (y - y.mean(axis=0)))
        expected = y.mean(axis=0) + (asked - x.mean(axis=0)) / (x.std(axis=0) + 1e-9) @ slopes
        np.testing.assert_allclose(_ridge(x, y, asked)[4], expected, rtol=1e-9, atol=1e-9)


def test_a_row_is_predicted_without_its_own_answer():
    draw = np.random.default_rng(2)
    x, y, fold = draw.standard_normal((30, 4)), draw.standard_normal((30, 1)), np.arange(30) % 5
    changed = y.copy()
    changed[3] += 100.0
    np.testing.assert_array_equal(predicted(x, y, fold)[fold == 3], predicted(x, changed, fold)[fold == 3])
