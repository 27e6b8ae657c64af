"""Responses against SciPy; clusters where there are some, and where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import freqz

from nmjax.analysis.responses import (
    band_responses_db,
    centered_eq_responses_db,
    cluster_responses,
    eq_responses_db,
    response_quantile_table,
    silhouette_score,
)
from nmjax.dsp.filterbanks import THIRD_OCTAVES_HZ


def peaking_db(freq_hz: float, gain_db: float, q: float) -> np.ndarray:
    """The peaking filter of the Audio EQ Cookbook, at 44.1 kHz."""
    a, w = 10.0 ** (gain_db / 40.0), 2.0 * np.pi * freq_hz / 44_100
    alpha = np.sin(w) / (2.0 * q)
    b, den = [1 + alpha * a, -2 * np.cos(w), 1 - alpha * a], [1 + alpha / a, -2 * np.cos(w), 1 - alpha / a]
    return 20.0 * np.log10(np.abs(freqz(b, den, np.array(THIRD_OCTAVES_HZ), fs=44_100)[1]))


def test_responses_match_scipy():
    draw = np.random.default_rng(0)
    freq, gain, q = draw.uniform(50, 10_000, (3, 2)), draw.uniform(-9, 9, (3, 2)), draw.uniform(0.5, 4, (3, 2))
    expected = np.array([[peaking_db(*x) for x in zip(*row, strict=True)] for row in zip(freq, gain, q, strict=True)])
    np.testing.assert_allclose(band_responses_db(freq, gain, q), expected, atol=2e-4)
    gate = draw.uniform(0, 1, (3, 2))
    whole = eq_responses_db({"freq_hz": freq, "gain_db": gain / gate, "gate": gate, "q": q})
    np.testing.assert_allclose(whole, expected.sum(axis=1), atol=5e-4)
    shapes = centered_eq_responses_db({"freq_hz": freq, "gain_db": gain / gate, "gate": gate, "q": q})
    np.testing.assert_allclose(shapes, whole - whole.mean(axis=1)[:, None], atol=1e-12)


def test_no_rows_give_no_responses():
    assert band_responses_db(*[np.zeros((0, 4))] * 3).shape == (0, 4, 31)


def test_known_quantiles():
    responses_db = np.arange(5.0)[:, None] * np.ones(31)[None]
    row = response_quantile_table(responses_db)[0]
    assert (row["mean_db"], row["p50_db"], row["p25_db"], row["p5_db"]) == (2.0, 2.0, 1.0, pytest.approx(0.2))
    assert row["std_db"] == pytest.approx(np.sqrt(2.5))


def test_known_silhouettes():
    """Two pairs on a line, at 0, 1 and 10, 11: a = 1; b = 10.5 for the outer two, 9.5 for the inner two."""
    points = np.array([[0.0], [1.0], [10.0], [11.0]])
    expected = np.mean([9.5 / 10.5, 8.5 / 9.5, 8.5 / 9.5, 9.5 / 10.5])
    assert silhouette_score(points, np.array([0, 0, 1, 1])) == pytest.approx(expected)
    assert silhouette_score(points, np.array([0, 0, 0, 1])) == pytest.approx(
        np.mean([(11 - 5.5) / 11, (10 - 5) / 10, (1 - 9.5) / 9.5, 0.0])
    )
    assert np.isnan(silhouette_score(points, np.zeros(4, int)))


def test_three_clusters_are_recovered_and_one_gaussian_is_not_divided():
    draw = np.random.default_rng(2)
    sizes, centers = (30, 20, 10), (0.0, 4.0, -5.0)
    groups = [center + draw.standard_normal((n, 31)) for n, center in zip(sizes, centers, strict=True)]
    result = cluster_responses(np.concatenate(groups))
    assert [int(np.sum(result.labels == i)) for i in range(3)] == [30, 20, 10]
    assert result.silhouette > result.null_silhouette
    for cluster, (start, end) in enumerate(((0, 30), (30, 50), (50, 60))):
        assert start <= result.nearest_tracks[cluster] < end
    long = draw.standard_normal((60, 1)) * np.linspace(-1, 1, 31)[None] + 0.1 * draw.standard_normal((60, 31))
    gaussian = cluster_responses(long)
    assert gaussian.silhouette > 0.25  # structure by a common rule of thumb
    assert gaussian.silhouette < gaussian.null_silhouette


def test_nothing_to_cluster():
    assert cluster_responses(np.ones((10, 31))) is None
    draw = np.random.default_rng(0)
    assert cluster_responses(draw.standard_normal((19, 31))) is None
    two_groups = np.repeat([[-1.0], [1.0]], 15, axis=0) * np.linspace(-1, 1, 31)[None]
    assert cluster_responses(0.05 * two_groups + 0.001 * draw.standard_normal((30, 31))) is None
    assert cluster_responses(two_groups + 0.001 * draw.standard_normal((30, 31))).silhouette > 0.9
