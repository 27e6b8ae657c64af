"""Systems with a reference, and whether they arrive."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import pytest

from nmjax.evaluation.faults import degraded
from nmjax.evaluation.items import Item
from nmjax.evaluation.metrics import at_loudness, band_levels_db, lufs
from nmjax.evaluation.references import ARRIVAL, arrived, finished, styled, towards
from tests.inference.networks import network
from tests.music import music

RATE = 44_100


def item(same_seconds=8.0, channels=2):
    target = music(8.0, channels=channels, seed=1)
    source = at_loudness(degraded(target, "tone", RATE, np.random.default_rng(3)), lufs(target, RATE), RATE)
    same = music(same_seconds, channels=channels, seed=1).astype(np.float32)
    return Item(lufs(target, RATE), target, source, same, music(8.0, seed=2).astype(np.float32))


def tone_apart_db(one, other):
    levels = [band_levels_db(x.mean(axis=1), "thirds", RATE) for x in (one, other)]
    return np.std(levels[0] - levels[1])


def test_with_a_part_of_the_same_song_it_is_restored():
    given = item()
    output = towards(given, network("1a"), "same")
    assert output.shape == given.source.shape
    assert tone_apart_db(output, given.target) < 0.6 * tone_apart_db(given.source, given.target)


def test_with_another_song_it_arrives():
    given = item()
    output = towards(given, network("1a"), "other")
    before, after = (arrived(x, given.other) for x in (given.source, output))
    assert after["to_bark_mid_db"] < 0.5 * before["to_bark_mid_db"]


@pytest.mark.parametrize("given", [item(2.0), Item(-20.0, np.zeros((9, 2)), np.zeros((9, 2)), None, None)])
def test_without_a_reference_that_is_long_enough_there_is_no_output(given):
    assert towards(given, network("1a"), "same") is None


def test_what_is_delivered_is_loud_and_low_enough():
    meter = pyloudnorm.Meter(RATE, filter_class="DeMan")
    reference = 2.0 * music(6.0, seed=2)
    output = finished(0.9 * np.tanh(10.0 * music(6.0)), reference)
    assert meter.integrated_loudness(output) == pytest.approx(meter.integrated_loudness(reference), abs=0.1)
    assert 20 * np.log10(np.abs(output).max()) <= -0.99


def test_a_signal_has_arrived_at_itself_at_any_level():
    audio = music(6.0)
    found = arrived(0.3 * audio, audio)
    assert list(found)[: len(ARRIVAL)] == list(ARRIVAL)
    assert found.pop("to_loudness_lu") == pytest.approx(-20.0 * np.log10(0.3), abs=0.01)
    assert max(found[name] for name in ARRIVAL if name in found) < 1e-3
    assert found["delivered_lufs"] == pytest.approx(lufs(0.3 * audio, RATE), abs=0.05)


def test_mono_has_no_side_to_arrive():
    found = arrived(music(6.0, channels=1), music(6.0))
    assert np.isnan(found["to_width_db"]) and np.isnan(found["to_bark_side_db"])
    assert np.isfinite(found["to_bark_mid_db"])


def test_the_styles_table_is_of_level_too():
    audio = music(6.0)
    found = styled(2.0 * audio, audio)
    assert found["style_rms_db"] == pytest.approx(20 * np.log10(2.0), abs=1e-4)
    assert found["style_lufs"] == pytest.approx(20 * np.log10(2.0), abs=1e-3)
    assert found["style_centroid_hz"] == pytest.approx(0.0, abs=1e-6) and found["style_mel_db"] > 5.0
    assert max(styled(audio, audio).values()) == 0.0
