"""Tables of means in the Markdown report."""

from __future__ import annotations

from nmjax.evaluation.reference_metrics import REFERENCE_METRICS
from nmjax.evaluation.table import means_table

MISSING = float("nan")


def result_row(system, example, bark_db, width_db=1.0):
    return dict.fromkeys(REFERENCE_METRICS, 0.0) | {
        "system": system,
        "example": example,
        "reference_bark_mid_db": bark_db,
        "reference_width_db": width_db,
        "delivered_lufs": bark_db,
    }


def test_means_are_over_the_examples_that_all_systems_have():
    rows = [result_row("input", "a", 1.0), result_row("input", "b", 99.0), result_row("x", "a", 5.0)]
    text = means_table(rows, REFERENCE_METRICS, "Title", range_metrics={"delivered_lufs": "LUFS"})
    assert "| reference_bark_mid_db | 1 dB | 5 dB |" in text
    assert "| delivered_lufs | 1.00 to 1.00 LUFS | 5.00 to 5.00 LUFS |" in text


def test_where_nothing_was_measured_there_is_a_dash():
    rows = [result_row("input", "a", 1.0, 1.0), result_row("mono", "a", 2.0, MISSING), result_row("x", "a", 3.0, 7.0)]
    assert "| reference_width_db | 1 dB | – dB | 7 dB |" in means_table(rows, REFERENCE_METRICS, "Title")


def test_one_system_alone_makes_no_table():
    assert means_table([result_row("input", "a", 1.0)], REFERENCE_METRICS, "Title") == ""
