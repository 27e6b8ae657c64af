"""Tables in the Markdown report."""

from __future__ import annotations

import pytest

from nmjax.evaluation.reference_metrics import REFERENCE_METRICS
from nmjax.evaluation.table import SCHEMA, means_table, paired_ratio, to_markdown

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


def error_row(system, song, error):
    row = dict.fromkeys(SCHEMA.names, MISSING) | dict.fromkeys(REFERENCE_METRICS)
    return row | {
        "condition": "tone",
        "group": "",
        "system": system,
        "song": song,
        "example": song,
        "tonal_mid_db": error,
        "mr_stft": error,
        "si_sdr_input_db": 20.0,
    }


def test_a_small_gain_in_every_song_is_certain_though_songs_differ_widely():
    errors = [0.2, 1.0, 3.0, 9.0, 0.5, 6.0]
    rows = [error_row("input", f"song {i}", 2.0) for i in range(6)]
    rows += [error_row("a", f"song {i}", error) for i, error in enumerate(errors)]
    rows += [error_row("b", f"song {i}", 0.9 * error) for i, error in enumerate(errors)]
    ratio = paired_ratio(rows, "tonal_mid_db", "b", "a")
    assert (ratio.value, ratio.ci_low, ratio.ci_high) == pytest.approx((0.9, 0.9, 0.9))
    text = to_markdown(rows)
    assert "| metric | b / a |" in text
    assert "| tonal_mid_db | 0.90 (0.90–0.90) |" in text


def test_a_ratio_of_two_systems_uses_the_examples_that_both_have():
    rows = [error_row("a", "x", 1.0), error_row("a", "y", 100.0), error_row("b", "x", 3.0), error_row("b", "z", 7.0)]
    ratio = paired_ratio(rows, "mr_stft", "b", "a")
    assert (ratio.value, ratio.num_examples) == (3.0, 1)


def test_a_single_system_has_no_table_of_ratios_between_systems():
    rows = [error_row("input", "x", 1.0), error_row("a", "x", 0.5)]
    assert "of the system before" not in to_markdown(rows)
