"""What stands in the Markdown, beside the ratios."""

from __future__ import annotations

from nmjax.evaluation.references import ARRIVAL
from nmjax.evaluation.table import _means

NOTHING = float("nan")


def row(system, item, bark_db, width_db=1.0):
    return dict.fromkeys(ARRIVAL, 0.0) | {
        "system": system, "item": item, "to_bark_mid_db": bark_db, "to_width_db": width_db, "delivered_lufs": bark_db,
    }  # fmt: skip


def test_means_are_over_the_items_that_all_systems_have():
    rows = [row("input", "a", 1.0), row("input", "b", 99.0), row("x", "a", 5.0)]
    text = _means(rows, ARRIVAL, {"delivered_lufs": "LUFS"}, "Title")
    assert "| to_bark_mid_db | 1 dB | 5 dB |" in text
    assert "| delivered_lufs | 1.00 to 1.00 LUFS | 5.00 to 5.00 LUFS |" in text


def test_where_nothing_was_measured_there_is_a_dash():
    rows = [row("input", "a", 1.0, 1.0), row("mono", "a", 2.0, NOTHING), row("x", "a", 3.0, 7.0)]
    assert "| to_width_db | 1 dB | – dB | 7 dB |" in _means(rows, ARRIVAL, {}, "Title")


def test_one_system_alone_makes_no_table():
    assert _means([row("input", "a", 1.0)], ARRIVAL, {}, "Title") == ""
