"""Probes of a synthetic z that encodes some properties and not others."""

from __future__ import annotations

import numpy as np
import pytest

from nmjax.analysis.linear_probes import RELATIVE_PENALTIES, cross_val_predict, fit_probes, ridge_predictions


def find_probe(results, target, z_slice):
    return next(p for p in results if (p.target, p.z_slice) == (target, z_slice))


@pytest.fixture(scope="module")
def probe_results():
    draw = np.random.default_rng(0)
    z = draw.standard_normal((90, 64))  # quarters of 16
    groups = np.repeat(["x", "y", "z"], 30)
    z[groups == "y", 50] += 4.0
    descriptors = {
        "loudness": z[:, 3] - 2.0 * z[:, 5] + 0.1 * draw.standard_normal(90),
        "crest": draw.standard_normal(90),
        "width": np.full(90, -60.0),
    }
    descriptors["loudness"][7] = np.nan
    return fit_probes(z, descriptors, groups)


def test_encoded_properties_are_probed_in_their_quarter_of_z(probe_results):
    assert find_probe(probe_results, "loudness", "1").score > 0.9
    assert find_probe(probe_results, "loudness", "all").score > 0.5
    for quarter in "234":
        assert find_probe(probe_results, "loudness", quarter).score < 0.1
    assert find_probe(probe_results, "group", "4").score > find_probe(probe_results, "group", "4").shuffled_p95
    assert find_probe(probe_results, "group", "4").score > 0.6


def test_a_property_not_in_z_scores_like_shuffled_targets(probe_results):
    probe = find_probe(probe_results, "crest", "all")
    assert probe.score < 0.1
    assert -0.3 < probe.shuffled_mean < 0.05
    assert probe.shuffled_mean <= probe.shuffled_p95


def test_constant_targets_are_not_probed(probe_results):
    assert not [p for p in probe_results if p.target == "width"]


def test_ridge_against_the_closed_form():
    draw = np.random.default_rng(1)
    for rows, dims in ((12, 5), (6, 9)):
        x, y, queries = (
            draw.standard_normal((rows, dims)),
            draw.standard_normal((rows, 2)),
            draw.standard_normal((3, dims)),
        )
        standard = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)
        smaller = standard @ standard.T if rows < dims else standard.T @ standard
        penalty = RELATIVE_PENALTIES[4] * np.trace(smaller) / len(smaller)
        slopes = np.linalg.solve(standard.T @ standard + penalty * np.eye(dims), standard.T @ (y - y.mean(axis=0)))
        expected = y.mean(axis=0) + (queries - x.mean(axis=0)) / (x.std(axis=0) + 1e-9) @ slopes
        np.testing.assert_allclose(ridge_predictions(x, y, queries)[4], expected, rtol=1e-9, atol=1e-9)


def test_cross_validation_leaves_out_the_predicted_row():
    draw = np.random.default_rng(2)
    x, y, fold = draw.standard_normal((30, 4)), draw.standard_normal((30, 1)), np.arange(30) % 5
    changed = y.copy()
    changed[3] += 100.0
    np.testing.assert_array_equal(
        cross_val_predict(x, y, fold)[fold == 3], cross_val_predict(x, changed, fold)[fold == 3]
    )
