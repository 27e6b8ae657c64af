"""Progress bars return the signal unchanged, show the position, and clear the screen."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from nmjax.runtime.console import ProgressBars


def test_the_signal_passes_and_the_bar_shows_its_name_and_share():
    text = io.StringIO()
    pieces = [np.full((250, 1), i, np.float32) for i in range(4)]
    with ProgressBars(Console(file=text, force_terminal=True, width=100), 1000) as bars:
        result = []
        for piece in bars("Delivering", pieces):
            result.append(piece)
            bars._progress.refresh()
        assert not bars._progress.tasks
    np.testing.assert_array_equal(np.concatenate(result), np.concatenate(pieces))
    assert "Delivering" in text.getvalue()
    assert "75%" in text.getvalue()


@pytest.mark.parametrize("kind", [{"quiet": True, "force_terminal": True}, {"force_terminal": False}])
def test_a_quiet_console_or_a_file_gets_nothing(kind):
    text = io.StringIO()
    with ProgressBars(Console(file=text, **kind), 10) as bars:
        assert len(list(bars("Reading", [np.zeros((10, 1), np.float32)]))) == 1
    assert not text.getvalue()


def test_a_signal_that_is_left_half_way_takes_its_bar_along():
    with ProgressBars(Console(file=io.StringIO(), force_terminal=True), 10) as bars:
        passing = bars("Reading", [np.zeros((5, 1), np.float32)] * 2)
        next(passing)
        passing.close()
        assert not bars._progress.tasks
