"""Charts as data: axes and curves; `test_drawing.py` looks at what the page draws."""

import itertools
import json

import numpy as np
import pytest

from nmjax.report import charts


@pytest.mark.parametrize(("low", "high"), [(-3.0, 3.0), (-0.04, 0.03), (-91.3, -8.2), (-34.0, -13.0), (0.0, 1e-3)])
def test_axes_end_at_round_numbers_around_their_values(low, high):
    axis = charts.linear_axis("dB", low, high)
    assert axis.low <= low + 1e-9 and axis.high >= high - 1e-9
    assert axis.high - axis.low <= 1.8 * (high - low)
    assert 4 <= len(axis.ticks) <= 9
    assert (axis.ticks[0].value, axis.ticks[-1].value) == (axis.low, axis.high)
    for tick in axis.ticks:
        assert float(tick.text.replace("−", "-")) == pytest.approx(tick.value, abs=1e-12)


@pytest.mark.parametrize("seconds", [0.001, 0.3, 1.0, 59.0, 214.0, 3600.0, 50_000.0])
def test_a_time_axis_has_a_few_even_ticks(seconds):
    axis = charts.time_axis(seconds)
    values = [tick.value for tick in axis.ticks]
    assert axis.high == seconds and values[0] == 0.0 and values[-1] <= seconds + 1e-6
    assert 1 <= len(values) <= 9
    assert np.ptp(np.diff(values)) < 1e-6 if len(values) > 2 else True
    assert all(one.text != other.text for one, other in itertools.pairwise(axis.ticks))


def test_values_keep_five_digits_and_unknown_ones_are_null():
    curve = charts.PlotCurve(np.array([20.0, 1234.567]), np.array([np.nan, -np.inf]), name='</nm-chart>"')
    tree = json.loads(json.dumps(curve.to_dict(), allow_nan=False))
    assert tree["x"] == [20.0, 1234.6] and tree["y"] == [None, None]
    assert tree["name"] == '</nm-chart>"'  # the page escapes it
