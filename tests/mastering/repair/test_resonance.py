"""Cuts at resonances of known frequency, gain and Q, compared with the song before."""

import numpy as np
import pytest
import scipy.signal

from nmjax.mastering.repair.plan import NO_REPAIRS, RepairPlan
from tests.mastering.diagnosis.songs import RATE, song
from tests.mastering.repair.repairing import plan_of, repair, spectrum_db


@pytest.fixture(scope="module")
def clean():
    return np.ascontiguousarray(song(3.0), np.float32)


def resonate(audio, freq_hz, gain_db, q):
    """By the peaking filter of the Audio EQ Cookbook."""
    turn, amplitude = 2.0 * np.pi * freq_hz / RATE, 10.0 ** (gain_db / 40.0)
    alpha = np.sin(turn) / (2.0 * q)
    zeros, poles = ([1.0 + a, -2.0 * np.cos(turn), 1.0 - a] for a in (alpha * amplitude, alpha / amplitude))
    return scipy.signal.lfilter(zeros, poles, audio.astype(float), axis=0)


def test_a_cut_undoes_the_resonance_of_the_opposite_gain(clean):
    cuts = [{"freq_hz": 1_234.5, "gain_db": -18.0, "q": 40.0}, {"freq_hz": 190.0, "gain_db": -6.0, "q": 20.0}]
    plan = RepairPlan.model_validate({"resonance": {"cuts": cuts}})
    defective = resonate(resonate(clean, 190.0, 6.0, 20.0), 1_234.5, 18.0, 40.0).astype(np.float32)
    np.testing.assert_allclose(repair(defective, plan), clean, atol=1e-6)
    assert "1,234 Hz (−18.0 dB, Q 40)" in plan.resonance.sentence


def test_a_cut_of_0_db_changes_nothing(clean):
    plan = RepairPlan.model_validate({"resonance": {"cuts": [{"freq_hz": 500.0, "gain_db": 0.0, "q": 20.0}]}})
    np.testing.assert_array_equal(repair(clean, plan), clean)


def test_cuts_above_half_the_rate_do_not_fit():
    cuts = [{"freq_hz": 30_000.0, "gain_db": -6.0, "q": 4.0}]
    plan = RepairPlan.model_validate({"resonance": {"cuts": cuts}})
    assert plan.fitting(44_100, 2) == NO_REPAIRS
    assert plan.fitting(96_000, 2) == plan


@pytest.mark.parametrize(("name", "value"), [("gain_db", 3.0), ("gain_db", -50.0), ("q", 0.0), ("freq_hz", 5.0)])
def test_cuts_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        RepairPlan.model_validate(
            {"resonance": {"cuts": [{"freq_hz": 500.0, "gain_db": -3.0, "q": 20.0, name: value}]}}
        )


@pytest.mark.slow
def test_a_resonance_is_cut_only_when_named():
    """The level changes every second, as that of music does."""
    clean = song(24.0)
    gain_db = np.interp(np.arange(len(clean)) / RATE, np.arange(25), np.random.default_rng(5).uniform(-9.0, 3.0, 25))
    clean *= 10.0 ** (gain_db / 20.0)[:, None]
    defective = resonate(clean, 2_345.0, 18.0, 30.0).astype(np.float32)
    plan, findings = plan_of(defective)
    assert plan.resonance is None
    assert findings["resonance"].remedy.endswith("Or add --repair auto,resonance.")
    plan, findings = plan_of(defective, "resonance")
    assert findings["resonance"].repaired.startswith("Narrow cuts were set at 2,34")
    freq_hz, before = spectrum_db(clean)
    original_db, change_db = (spectrum_db(x)[1] - before for x in (defective, repair(defective, plan)))
    audible = (freq_hz > 30.0) & (freq_hz < 16_000.0)
    assert original_db.max() > 15.0
    assert np.abs(change_db[original_db >= 1.0]).max() < 3.0
    assert np.abs(change_db[audible & (np.abs(original_db) < 0.1)]).max() < 0.2
