"""The curve of a saturator undone: tables against NumPy, and saturators of known drive in a song."""

import numpy as np
import pytest

from nmjax.mastering.repair.base import DiagnosedTrack
from nmjax.mastering.repair.plan import NO_REPAIRS, RepairPlan
from nmjax.mastering.saturation_curve import predict_curve
from tests.mastering.diagnosis.songs import RATE, song
from tests.mastering.repair.repairing import plan_of, repair

CURVE = {"levels": [0.1, 0.2, 0.4], "positive": [0.1, 0.3, 0.9], "negative": [0.1, 0.2, 0.4]}


def sdr_db(clean, audio):
    """Of the audio at its best gain."""
    gain = np.sum(clean * audio) / np.sum(audio**2)
    return 10.0 * np.log10(np.sum(clean**2) / np.sum((gain * audio - clean) ** 2))


@pytest.fixture(scope="module")
def clean():
    """Levels that change every second, and peaks far above them, as in a mix without a limiter."""
    audio = song(24.0)
    gain_db = np.interp(np.arange(len(audio)) / RATE, np.arange(25), np.random.default_rng(5).uniform(-9.0, 3.0, 25))
    return audio * 10.0 ** (gain_db / 20.0)[:, None]


def saturate(audio, drive_db):
    ceiling = np.abs(audio).max() / 10.0 ** (drive_db / 20.0)
    return (ceiling * np.tanh(audio / ceiling)).astype(np.float32)


def test_the_table_is_a_curve_for_each_half_whose_last_slope_continues():
    audio = np.float32([[0.0, 0.05], [0.15, -0.15], [0.4, -0.4], [0.5, -0.5]])
    expected = [[0.0, 0.05], [0.2, -0.15], [0.9, -0.4], [1.2, -0.5]]
    plan = RepairPlan.model_validate({"saturation": CURVE})
    np.testing.assert_allclose(repair(audio, plan, size=3), expected, atol=1e-6)
    assert plan.saturation.sentence.endswith("the highest peaks rise by 7.0 dB.")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"levels": [0.1, 0.1, 0.4]}, "levels must ascend"),
        ({"positive": [0.1, 0.3]}, "positive has 2 numbers; give 3, one for each level"),
        ({"negative": [0.1, 0.3, 0.2]}, "negative must not descend"),
        ({"levels": [0.0, 0.2, 0.4]}, "levels"),
        ({"levels": [0.4], "positive": [0.4], "negative": [0.4]}, "at least 2"),
    ],
)
def test_what_is_no_curve_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        RepairPlan.model_validate({"saturation": {**CURVE, **change}})


@pytest.mark.slow
@pytest.mark.parametrize("drive_db", [9.0, 12.0])
def test_a_saturated_song_is_restored(clean, drive_db):
    saturated = saturate(clean, drive_db)
    assert plan_of(saturated)[0] == NO_REPAIRS  # distortion can be meant
    plan, findings = plan_of(saturated, "saturation")
    assert findings["saturation"].repaired == plan.saturation.sentence
    assert sdr_db(clean, repair(saturated, plan)) > sdr_db(clean, saturated) + 8.0


@pytest.mark.slow
def test_the_curve_has_the_level_of_the_track(clean):
    saturated = saturate(clean, 9.0)
    loud, quiet = (
        predict_curve(DiagnosedTrack(lambda gain=gain: [gain * saturated], RATE, lufs))
        for gain, lufs in ((np.float32(1.0), -20.0), (np.float32(0.1), -40.0))
    )
    for x, y in zip(loud, quiet, strict=True):
        np.testing.assert_allclose(y, 0.1 * x, rtol=1e-3)


@pytest.mark.slow
def test_a_song_without_saturation_is_left_alone(clean):
    plan, findings = plan_of(clean.astype(np.float32), "auto", "saturation")
    assert plan == NO_REPAIRS and "saturation" not in findings
    curve = predict_curve(DiagnosedTrack(lambda: [clean.astype(np.float32)], RATE, -20.0))
    np.testing.assert_allclose(curve.positive, curve.levels, rtol=0.2)
