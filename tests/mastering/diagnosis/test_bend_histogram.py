"""Levels and widths of cells in a histogram: the counts and the median are those of all cells together."""

import numpy as np
import pytest

from nmjax.mastering.diagnosis.bend_histogram import EDGES_DB, BendHistogram

FRAMES = 128


def test_counts_and_median_are_those_of_all_cells():
    rng = np.random.default_rng(0)
    power = 10.0 ** (rng.uniform(-100.0, 5.0, 5000) / 10.0).astype(np.float32)
    power[::50] = 0.0
    widths = rng.integers(0, FRAMES + 1, (5000, 2)).astype(np.uint16)
    histogram = BendHistogram(FRAMES)
    for part in range(0, 5000, 700):
        histogram.update(power[part : part + 700], widths[part : part + 700])
    level_db = 10.0 * np.log10(power[power > 0.0] / 6.0)
    assert histogram.num_cells == np.count_nonzero(power)
    np.testing.assert_array_equal(histogram.counts, np.histogram(level_db, EDGES_DB)[0])
    for first, stop in ((60, 64), (100, 130)):
        is_chosen = (level_db >= EDGES_DB[first]) & (level_db < EDGES_DB[stop])
        expected = np.median(widths[power > 0.0][is_chosen]) / FRAMES
        assert histogram.median_width(first, stop) == pytest.approx(expected, abs=1.0 / FRAMES)
