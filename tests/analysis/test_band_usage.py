"""Band usage of three tracks and three bands with known values."""

from __future__ import annotations

import numpy as np
import pytest

from nmjax.analysis.band_usage import band_pair_table, band_usage_table, count_active_bands, frequency_usage_table

FREQ = np.array([[100.0, 105.0, 5000.0], [100.0, 100.0, 4000.0], [200.0, 800.0, 4000.0]])
GATE = np.array([[0.9, 0.8, 0.1], [0.7, 0.6, 0.2], [0.8, 0.4, 0.3]])
RENDERED = np.array([[2.0, 1.0, 0.01], [-1.0, 2.0, 0.02], [3.0, 0.5, 0.0]])


def test_known_band_statistics():
    first, second, third = band_usage_table(FREQ, GATE, RENDERED, 0.5)
    assert first["gate_mean"] == pytest.approx(0.8)
    assert first["gate_std"] == pytest.approx(0.1)
    assert (first["open_share"], first["active_share"], first["status"]) == (1.0, 1.0, "always active")
    assert second["open_share"] == pytest.approx(2 / 3)
    assert second["status"] == ""
    assert (third["open_share"], third["status"]) == (0.0, "never open")
    assert third["max_abs_gain_db"] == pytest.approx(0.02)
    assert [r["freq_hz"] for r in (first, second, third)] == [100.0, 105.0, 4000.0]


def test_an_open_band_without_gain_is_not_active():
    row = band_usage_table(FREQ[:, :1], np.ones((3, 1)), np.full((3, 1), 0.05), 0.5)[0]
    assert (row["open_share"], row["active_share"], row["status"]) == (1.0, 0.0, "never active")


def test_active_bands_counts_gates_above_the_threshold():
    assert list(count_active_bands(GATE, 0.5)) == [2, 2, 1]
    assert list(count_active_bands(GATE, 0.65)) == [2, 1, 1]


def test_known_frequency_usage():
    rows = {round(r["freq_hz"]): r for r in frequency_usage_table(FREQ, GATE, RENDERED, 0.5)}
    assert rows[100]["bands"] == pytest.approx(4 / 3)  # 100, 105, 100, 100 of three tracks
    assert rows[100]["open_bands"] == pytest.approx(4 / 3)
    assert rows[100]["abs_gain_db"] == pytest.approx((2 + 1 + 1 + 2) / 3)
    assert rows[3981]["bands"] == pytest.approx(2 / 3)
    assert rows[3981]["open_bands"] == 0.0
    assert sum(r["bands"] for r in rows.values()) == pytest.approx(3.0)


def test_frequencies_beyond_the_last_third_octave_are_not_lost():
    rows = frequency_usage_table(np.array([[15.0, 24_000.0]]), np.ones((1, 2)), np.ones((1, 2)), 0.5)
    assert (rows[0]["bands"], rows[-1]["bands"]) == (1.0, 1.0)


def test_redundant_and_opposing_band_pairs():
    """Bands 1 and 2: redundant in track 1, opposing in track 2, two octaves apart in track 3."""
    pairs = {(r["band_a"], r["band_b"]): r for r in band_pair_table(FREQ, RENDERED, np.ones((3, 3)))}
    assert pairs[1, 2]["redundant"] == pytest.approx(1 / 3)
    assert pairs[1, 2]["opposing"] == pytest.approx(1 / 3)
    assert pairs[1, 2]["both_active"] == 1.0
    assert pairs[1, 2]["octaves"] == pytest.approx(np.log2(1.05))
    assert pairs[1, 3]["both_active"] == pairs[2, 3]["redundant"] == 0.0  # band 3 is never active
