"""Numbers as text: signs, units, missing values and durations."""

import math

import pytest

from nmjax.runtime.number_format import format_fixed, format_general, format_signed, format_time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (format_fixed(-14.04, "LUFS"), "−14.0 LUFS"),
        (format_fixed(-0.04, "dBTP"), "0.0 dBTP"),
        (format_fixed(0.5, digits=2), "0.50"),
        (format_fixed(-math.inf, "LUFS"), "–"),
        (format_signed(1.46, "dB"), "+1.5 dB"),
        (format_signed(-1.46, digits=2), "−1.46"),
        (format_signed(-0.04, "dB"), "0.0 dB"),
        (format_signed(math.nan, "dB"), "–"),
        (format_general(-22.41, "dB", digits=3), "−22.4 dB"),
        (format_general(1.0), "1"),
    ],
)
def test_numbers(text, expected):
    assert text == expected


@pytest.mark.parametrize(
    ("seconds", "tenths", "expected"),
    [
        (0.0, False, "0:00"),
        (59.6, False, "1:00"),
        (3725.0, False, "1:02:05"),
        (0.46, True, "0:00.5"),
        (59.96, True, "1:00.0"),
    ],
)
def test_durations(seconds, tenths, expected):
    assert format_time(seconds, tenths) == expected
