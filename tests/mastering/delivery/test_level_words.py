"""Sentences about the loudness of a delivery."""

import dataclasses

import pytest

from nmjax.mastering.delivery.level_words import describe_level
from nmjax.mastering.delivery.limiter import GainReduction
from nmjax.mastering.delivery.plan import DeliveryPlan
from nmjax.mastering.delivery.spec import PRESETS, DeliverySpec

KEEP = DeliverySpec(lufs=-20.0, name="keep", relative="keep")
CLEAN = DeliverySpec(lufs=None, max_limiting_db=2.0, name="clean", relative="clean")


def plan(meets_spec=True, reduction_db=0.0, active_fraction=0.0):
    return DeliveryPlan(
        gain_db=0.0,
        ceiling_db=None,
        gain_reduction=GainReduction(reduction_db, active_fraction),
        lufs=-14.0,
        true_peak_db=-1.0,
        meets_spec=meets_spec,
        note="",
    )


@pytest.mark.parametrize(
    ("spec", "input_lufs", "lufs", "sentence"),
    [
        (
            PRESETS["streaming"],
            -7.8,
            -14.0,
            "down by 6.2 dB, from −7.8 to −14.0 LUFS: your mix is louder than streaming services play.",
        ),
        (
            PRESETS["streaming"],
            -20.0,
            -14.0,
            "up by 6.0 dB, from −20.0 to −14.0 LUFS: your mix is quieter than streaming services play.",
        ),
        (
            PRESETS["streaming"],
            -14.2,
            -14.0,
            "up by 0.2 dB, from −14.2 to −14.0 LUFS: your mix is already about as loud as streaming services",
        ),
        (
            PRESETS["cd"],
            -15.0,
            -9.0,
            "up by 6.0 dB, from −15.0 to −9.0 LUFS: your mix is quieter than a cd master (−9 LUFS).",
        ),
        (DeliverySpec(-16.0, -1.0, 6.0, "custom"), -10.0, -16.0, "louder than the −16 LUFS that you asked for."),
        (KEEP, -20.0, -20.0, "The loudness of your mix is unchanged."),
        (
            CLEAN,
            -20.0,
            -12.5,
            "up by 7.5 dB, from −20.0 to −12.5 LUFS: any louder would take more than 2 dB of limiting.",
        ),
        (
            DeliverySpec(None, -1.0, 6.0, "custom"),
            -20.0,
            -19.0,
            "up by 1.0 dB, from −20.0 to −19.0 LUFS by the processing alone",
        ),
        (DeliverySpec(None, -1.0, 6.0, "custom"), -20.0, -20.0, "The loudness stays as it is."),
        (
            dataclasses.replace(PRESETS["streaming"], lufs=-17.3),
            -20.0,
            -17.3,
            "up by 2.7 dB, from −20.0 to −17.3 LUFS, like the whole album.",
        ),
    ],
)
def test_the_change_and_its_reason(spec, input_lufs, lufs, sentence):
    assert sentence in describe_level(spec, plan(), input_lufs, lufs)


def test_a_shortfall_and_the_limiter():
    text = describe_level(PRESETS["club"], plan(False, 6.0, 0.123), -25.1, -11.2)
    assert text == (
        "Turned up by 13.9 dB, from −25.1 to −11.2 LUFS, as far as 6 dB of limiting allows. "
        "The limiter lowers peaks by up to 6.0 dB, during 12 % of the track."
    )
    assert "during less than 1 %" in describe_level(PRESETS["club"], plan(True, 0.4, 0.001), -8.0, -7.0)


@pytest.mark.parametrize("levels", [(float("-inf"), -14.0), (-14.0, float("-inf"))])
def test_a_signal_without_loudness_has_no_sentence(levels):
    assert describe_level(PRESETS["streaming"], plan(), *levels) == ""
