"""Systems with a reference, and whether they arrive."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import pytest

from nmjax.evaluation.degradations import apply_condition
from nmjax.evaluation.examples import Example
from nmjax.evaluation.metrics import band_levels_db, lufs, normalize_loudness
from nmjax.evaluation.references import (
    REFERENCE_METRICS,
    deliver_at_loudness_of,
    reference_distance,
    render_with_reference,
    style_transfer_errors,
)
from tests.random_networks import random_network
from tests.synthetic_audio import music

RATE = 44_100


def example(same_seconds=8.0, channels=2):
    target = music(8.0, channels=channels, seed=1)
    source = normalize_loudness(
        apply_condition(target, "tone", RATE, np.random.default_rng(3)), lufs(target, RATE), RATE
    )
    same = music(same_seconds, channels=channels, seed=1).astype(np.float32)
    return Example(lufs(target, RATE), target, source, same, music(8.0, seed=2).astype(np.float32))


def tone_distance_db(one, other):
    levels = [band_levels_db(x.mean(axis=1), "thirds", RATE) for x in (one, other)]
    return np.std(levels[0] - levels[1])


def test_a_section_of_the_same_song_restores_the_tone():
    sample = example()
    output = render_with_reference(sample, random_network("1a"), "same")
    assert output.shape == sample.source.shape
    assert tone_distance_db(output, sample.target) < 0.6 * tone_distance_db(sample.source, sample.target)


def test_another_song_moves_the_tone_towards_it():
    sample = example()
    output = render_with_reference(sample, random_network("1a"), "other")
    before, after = (reference_distance(x, sample.other_song) for x in (sample.source, output))
    assert after["to_bark_mid_db"] < 0.5 * before["to_bark_mid_db"]


@pytest.mark.parametrize("given", [example(2.0), Example(-20.0, np.zeros((9, 2)), np.zeros((9, 2)), None, None)])
def test_without_a_reference_that_is_long_enough_there_is_no_output(given):
    assert render_with_reference(given, random_network("1a"), "same") is None


def test_delivery_meets_loudness_and_ceiling():
    meter = pyloudnorm.Meter(RATE, filter_class="DeMan")
    reference = 2.0 * music(6.0, seed=2)
    output = deliver_at_loudness_of(0.9 * np.tanh(10.0 * music(6.0)), reference)
    assert meter.integrated_loudness(output) == pytest.approx(meter.integrated_loudness(reference), abs=0.1)
    assert 20 * np.log10(np.abs(output).max()) <= -0.99


def test_distance_to_itself_is_zero_at_any_level():
    audio = music(6.0)
    result = reference_distance(0.3 * audio, audio)
    assert list(result)[: len(REFERENCE_METRICS)] == list(REFERENCE_METRICS)
    assert result.pop("to_loudness_lu") == pytest.approx(-20.0 * np.log10(0.3), abs=0.01)
    assert max(result[name] for name in REFERENCE_METRICS if name in result) < 1e-3
    assert result["delivered_lufs"] == pytest.approx(lufs(0.3 * audio, RATE), abs=0.05)


def test_mono_has_no_side_distance():
    result = reference_distance(music(6.0, channels=1), music(6.0))
    assert np.isnan(result["to_width_db"]) and np.isnan(result["to_bark_side_db"])
    assert np.isfinite(result["to_bark_mid_db"])


def test_the_styles_table_is_of_level_too():
    audio = music(6.0)
    result = style_transfer_errors(2.0 * audio, audio)
    assert result["style_rms_db"] == pytest.approx(20 * np.log10(2.0), abs=1e-4)
    assert result["style_lufs"] == pytest.approx(20 * np.log10(2.0), abs=1e-3)
    assert result["style_centroid_hz"] == pytest.approx(0.0, abs=1e-6) and result["style_mel_db"] > 5.0
    assert max(style_transfer_errors(audio, audio).values()) == 0.0
