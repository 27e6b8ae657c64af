"""Compressor settings fitted to a requested change of the dynamics: the rendered signal has it, measured by NumPy."""

import dataclasses

import numpy as np
import pytest

from nmjax.dsp import compress
from nmjax.models.processors import PROCESSORS
from nmjax.reference.dynamics import dynamics_change, excerpt_levels, fit_compressor, halved, without_expansion
from nmjax.reference.dynamics_target import NO_CHANGE, DynamicsTarget

RATE = 44_100


def drum_blocks(count=4, seconds=2.0):
    """Noise with sharp hits, `[blocks, time, 1]` at about −20 dB, each block 4 dB above the one before."""
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * RATE)) / RATE
    hits = np.exp(-((time * 2.5) % 1.0) * 12.0)
    audio = rng.standard_normal((count, len(time))) * (0.15 + hits) * 0.2
    audio *= 10.0 ** (4.0 * (np.arange(count)[:, None] - 1.5) / 20.0)
    return audio[..., None].astype(np.float32)


def crest_db(audio):
    audio = np.asarray(audio, np.float64)
    return np.mean(20 * np.log10(np.abs(audio).max(axis=(1, 2))) - 10 * np.log10(np.mean(audio**2, axis=(1, 2))))


def apply_compressor(audio, settings):
    rows = type(settings)(
        *(np.broadcast_to(getattr(settings, f), (len(audio),)) for f in settings.__dataclass_fields__)
    )
    return compress(audio, rows, RATE)[0]


@pytest.mark.parametrize("change_db", [-2.0, -1.0, 1.0])
def test_crest_factor_changes_as_requested_at_constant_level(change_db):
    audio = drum_blocks()
    result = fit_compressor(audio, None, DynamicsTarget(change_db, 0.0, 0.0, change_db, 0.0))
    after = apply_compressor(audio, result)
    assert crest_db(after) - crest_db(audio) == pytest.approx(change_db, abs=0.6)
    assert np.mean(np.asarray(after) ** 2) == pytest.approx(np.mean(np.asarray(audio) ** 2), rel=0.05)


def test_level_range_shrinks_as_requested():
    audio = drum_blocks()
    result = fit_compressor(audio, None, DynamicsTarget(0.0, -3.0, 10.0, 5.0, -3.0))
    levels = [10 * np.log10(np.mean(np.asarray(x) ** 2, axis=(1, 2))) for x in (audio, apply_compressor(audio, result))]
    slope = np.polyfit(levels[0], levels[1], 1)[0]
    assert slope == pytest.approx(0.7, abs=0.12)


def test_measured_change_matches_numpy():
    """The peak is that of the louder channel; the slope is that of a linear regression."""
    audio = np.concatenate([np.asarray(drum_blocks()), 0.5 * np.asarray(drum_blocks())], axis=2)
    after = np.tanh(4.0 * audio)
    result = dynamics_change(excerpt_levels(audio), excerpt_levels(np.float32(after)))
    assert result.crest_db == pytest.approx(crest_db(after) - crest_db(audio), abs=1e-3)
    levels = [10 * np.log10(np.mean(x[..., 0] ** 2, axis=1)) for x in (audio, after)]  # noise, so K-weighting cancels
    assert result.slope == pytest.approx(np.polyfit(levels[0], levels[1], 1)[0] - 1.0, abs=0.05)
    same = dynamics_change(excerpt_levels(audio), excerpt_levels(np.float32(0.25 * audio)))
    assert (same.crest_db, same.slope) == pytest.approx((0.0, 0.0), abs=1e-4)
    for quiet in (0.0, 1e-5):  # silent blocks are ignored
        audio[2] *= quiet
        same = dynamics_change(excerpt_levels(audio), excerpt_levels(np.float32(4.0 * audio)))
        assert (same.crest_db, same.slope) == pytest.approx((0.0, 0.0), abs=1e-4)


def test_no_request_returns_the_given_settings():
    settings = PROCESSORS["compressor"].initial_settings()
    assert fit_compressor(drum_blocks(2), None, DynamicsTarget(0.0, 0.0, 0.0, 0.0, 0.0)) is None
    assert fit_compressor(drum_blocks(2), settings, DynamicsTarget(0.0, 0.0, 0.0, 0.0, 0.0)) is settings


@pytest.mark.slow
def test_without_permission_nothing_is_expanded():
    audio = drum_blocks()
    wider_range = DynamicsTarget(0.0, 3.0, 10.0, 3.0, 3.0)
    assert float(fit_compressor(audio, None, wider_range).ratio[0]) < 0.95
    for target in (wider_range, DynamicsTarget(1.5, 0.0, 0.0, 1.5, 0.0), DynamicsTarget(-1.5, 0.0, 0.0, -1.5, 0.0)):
        result = fit_compressor(audio, None, target, may_expand=False)
        assert result is None or float(result.ratio[0]) >= 1.0


def test_an_expander_is_replaced_by_a_neutral_compressor():
    initial = PROCESSORS["compressor"].initial_settings()
    expander, compressor = (dataclasses.replace(initial, ratio=np.full(1, x)) for x in (0.8, 2.0))
    assert PROCESSORS["compressor"].is_neutral(without_expansion(expander))
    assert without_expansion(compressor) is compressor and without_expansion(None) is None


@pytest.mark.parametrize("audio", [np.zeros((2, 4_410, 2)), np.full((1, 100, 1), 0.1)])
def test_silence_and_very_short_audio_give_finite_settings(audio):
    result = fit_compressor(np.asarray(audio, np.float32), None, DynamicsTarget(-3.0, 1.0, 5.0, -4.0, 2.0))
    assert result is None or all(np.isfinite(float(x[0])) for x in vars(result).values())


def test_no_feature_is_reached_at_the_expense_of_the_other():
    """A compressor of these blocks reduces the range and raises the crest factor, which the reference has less of."""
    audio, range_lu = drum_blocks(), 10.0
    careless = DynamicsTarget(0.0, -3.0, range_lu, 5.0, -3.0)
    careful = dataclasses.replace(careless, crest_to_reference_db=-5.0)
    changes = [
        dynamics_change(
            excerpt_levels(audio), excerpt_levels(apply_compressor(audio, fit_compressor(audio, None, target)))
        )
        for target in (careless, careful)
    ]
    assert changes[0].crest_db > 0.6 and changes[0].slope * range_lu < -1.5
    assert changes[1].crest_db < 0.5 and changes[1].slope * range_lu < -0.5
    assert careless.cost(changes[0]) < careless.cost(NO_CHANGE)
    assert careful.cost(changes[0]) == np.inf and careful.cost(changes[1]) < careful.cost(NO_CHANGE)


def test_half_a_compressor_has_half_the_gain():
    initial = PROCESSORS["compressor"].initial_settings()
    full = dataclasses.replace(initial, ratio=np.full(1, 4.0), makeup_db=np.full(1, 3.0))
    audio = drum_blocks(1)
    gains_db = [20 * np.log10(np.asarray(apply_compressor(audio, x)) / audio) for x in (full, halved(full))]
    np.testing.assert_allclose(gains_db[1], 0.5 * gains_db[0], atol=1e-3)
