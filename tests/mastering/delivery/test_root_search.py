"""The bracketing search against known roots and SciPy's."""

import math

import pytest
from scipy.optimize import brentq

from nmjax.mastering.delivery.root_search import find_crossing

FUNCTIONS = {
    "line": lambda x: 2.0 * x - 3.0,
    "saturating": lambda x: math.tanh(5.0 * (x - 0.3)),
    "corner": lambda x: min(x - 1.0, 0.05 * (x - 1.0)),
    "steep": lambda x: math.expm1(8.0 * (x - 1.7)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_finds_scipys_root(name):
    function, calls = FUNCTIONS[name], []

    def counted(x):
        calls.append(x)
        return function(x)

    x = find_crossing(counted, 0.0, 2.0, tolerance=1e-6)
    assert abs(function(x)) <= 1e-6
    assert x == pytest.approx(brentq(function, 0.0, 2.0), abs=1e-4)
    assert all(0.0 <= call <= 2.0 for call in calls)
    assert len(calls) <= 45


def test_a_root_at_the_low_end():
    assert find_crossing(lambda x: x, 0.0, 1.0, tolerance=1e-6) == 0.0
