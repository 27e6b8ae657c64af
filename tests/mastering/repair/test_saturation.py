"""The curve of a saturator undone: tables against NumPy, and saturators and clippers of known drive in a song."""

import numpy as np
import pytest
import scipy.signal

from nmjax.mastering.repair.base import DiagnosedTrack
from nmjax.mastering.repair.plan import NO_REPAIRS, RepairPlan
from nmjax.mastering.saturation_curve import predict_curve
from nmjax.runtime.errors import BadInputError
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


def clip_at_high_rate(audio, drive_db, curve):
    """A clipper that works at four times the rate, as plug-ins do: no top is flat at the rate of the file."""
    ceiling = np.abs(audio).max() / 10.0 ** (drive_db / 20.0)
    dense = scipy.signal.resample_poly(audio.astype(float), 4, 1, axis=0)
    return np.float32(scipy.signal.resample_poly(ceiling * curve(dense / ceiling), 1, 4, axis=0))


def soft_clip(x):
    return np.where(np.abs(x) < 1.5, x - 4.0 / 27.0 * x**3, np.sign(x))


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


def test_above_the_ceiling_peaks_grow_and_below_it_nothing_changes(clean):
    audio = clean[: 4 * RATE].astype(np.float32)
    ceiling = round(0.6 * float(np.abs(audio).max()), 6)
    line = {"levels": [0.1, 0.2], "positive": [0.1, 0.2], "negative": [0.1, 0.2]}
    ceilings = {"ceiling_positive": [ceiling, None], "ceiling_negative": [ceiling, ceiling]}
    plan = RepairPlan.model_validate({"saturation": {**line, **ceilings}})
    repaired = repair(audio, plan)
    is_above = np.stack([np.abs(audio[:, 0]) >= ceiling, audio[:, 1] <= -ceiling], axis=1)
    np.testing.assert_allclose(repaired[~is_above], audio[~is_above], atol=1e-7)
    assert np.all(np.abs(repaired[is_above]) >= ceiling * 0.999999)
    assert plan.saturation.sentence == f"Peaks cut off at −{-20.0 * np.log10(ceiling):.1f} dBFS were restored."
    with pytest.raises(BadInputError, match="ceiling_positive has 2 numbers, the track 1 channels; give one each"):
        repair(audio[:, :1], plan)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("curve", "drive_db", "gain_db"),
    [
        (lambda x: np.clip(x, -1.0, 1.0), 6.0, 2.5),
        (lambda x: np.clip(x, -1.0, 1.0), 12.0, 3.5),
        (soft_clip, 12.0, 5.0),
    ],
    ids=["hard, 6 dB", "hard, 12 dB", "soft, 12 dB"],
)
def test_peaks_that_were_cut_off_before_a_filter_are_restored(clean, curve, drive_db, gain_db):
    clipped = clip_at_high_rate(clean, drive_db, curve)
    plan, findings = plan_of(clipped)
    assert "clipping" not in findings and "pressed flat near one level" in findings["saturation"].sentence
    assert findings["saturation"].repaired == plan.saturation.sentence
    assert sdr_db(clean, repair(clipped, plan)) > sdr_db(clean, clipped) + gain_db


@pytest.mark.slow
def test_a_clipper_whose_level_changed_is_left_alone(clean):
    clipped = clip_at_high_rate(clean, 12.0, lambda x: np.clip(x, -1.0, 1.0))
    fading = clipped * np.linspace(1.0, 0.1, len(clipped), dtype=np.float32)[:, None]
    plan, findings = plan_of(fading)
    assert findings["saturation"].severity == "warning" and plan.saturation is None


def test_a_ceiling_far_below_the_track_is_refused(clean):
    audio = clean[:RATE].astype(np.float32)
    low = float(np.abs(audio).max()) / 4.0
    line = {"levels": [0.1, 0.2], "positive": [0.1, 0.2], "negative": [0.1, 0.2]}
    plan = RepairPlan.model_validate(
        {"saturation": {**line, "ceiling_positive": [low] * 2, "ceiling_negative": [low] * 2}}
    )
    with pytest.raises(
        BadInputError, match=r"repair.saturation.ceiling_\w+ is \S+ for channel \d, but the track reaches"
    ):
        repair(audio, plan)


@pytest.mark.slow
def test_a_slightly_saturated_song_is_restored_where_it_is_named(clean):
    saturated = saturate(clean, 5.0)
    plan, findings = plan_of(saturated)
    assert plan == NO_REPAIRS and findings["saturation"].remedy.endswith("Or add --repair auto,saturation.")
    assert plan_of(saturated, "auto", "saturation")[0].saturation


@pytest.mark.slow
@pytest.mark.parametrize("drive_db", [9.0, 12.0])
def test_a_saturated_song_is_restored(clean, drive_db):
    saturated = saturate(clean, drive_db)
    plan, findings = plan_of(saturated)
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
