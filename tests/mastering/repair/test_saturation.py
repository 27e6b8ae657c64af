"""The curve of a saturator undone: tables against NumPy, and saturators and clippers of known drive in a song."""

import numpy as np
import pytest
import scipy.signal

from nmjax.mastering.diagnosis.ceiling import CeilingScan, find_ceiling
from nmjax.mastering.repair.base import DiagnosedTrack
from nmjax.mastering.repair.curve import Curve, with_ceiling
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


def clip_at_high_rate(audio, drive_db, curve, bias=0.0):
    """A clipper that works at four times the rate, as plug-ins do: no top is flat at the rate of the file."""
    ceiling = np.abs(audio).max() / 10.0 ** (drive_db / 20.0)
    dense = scipy.signal.resample_poly(audio.astype(float), 4, 1, axis=0)
    bent = curve(dense / ceiling + bias) - curve(np.array(bias))
    return np.float32(scipy.signal.resample_poly(ceiling * bent, 1, 4, axis=0))


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
    with pytest.raises(
        BadInputError, match="ceiling_positive needs one number for each channel: 1 for this track, not 2"
    ):
        repair(audio[:, :1], plan)


def curve_and_ceilings(audio, curve):
    scan = CeilingScan(audio.shape[1])
    scan.update(np.ascontiguousarray(audio.T))
    return with_ceiling(curve, scan.result(), find_ceiling(scan.result()))


def test_a_ceiling_stays_only_where_the_undone_curve_leaves_one():
    audio = np.random.default_rng(0).uniform(-1.0, 1.0, (400_000, 1))
    levels = np.linspace(0.01, 0.48, 60)
    inverse = Curve(levels, np.arctanh(2.0 * levels) / 2.0, np.arctanh(2.0 * levels) / 2.0)
    curve, ceilings = curve_and_ceilings(np.tanh(2.0 * audio) / 2.0, inverse)
    assert curve is inverse and np.all(np.isinf(ceilings))
    curve, ceilings = curve_and_ceilings(np.tanh(2.0 * np.minimum(audio, 0.9)) / 2.0, inverse)
    assert curve is inverse and 0.75 < ceilings[0, 0] <= 0.9 and np.isinf(ceilings[1, 0])


def test_a_curve_that_bends_little_below_a_dense_ceiling_is_a_straight_line():
    audio = np.clip(np.random.default_rng(0).uniform(-1.0, 1.0, (400_000, 1)), -0.7, 0.7)
    levels = np.array([0.5, 0.7])
    for top, is_straight in ((0.75, True), (3.0, False)):
        curve, ceilings = curve_and_ceilings(audio, Curve(levels, np.array([0.5, top]), np.array([0.5, top])))
        assert np.array_equal(curve.positive, levels) == is_straight
        np.testing.assert_allclose(ceilings, curve.undo(np.full((2, 1), 0.7 * 10.0 ** (-0.2 / 20.0))), rtol=0.02)


def test_undone_magnitudes_continue_with_the_last_slope_of_each_half():
    curve = Curve(*(np.array(values) for values in CURVE.values()))
    undone = curve.undo(np.array([[0.0, 0.05, 0.3, 0.5]] * 2))
    np.testing.assert_allclose(undone, [[0.0, 0.05, 0.6, 1.2], [0.0, 0.05, 0.3, 0.5]])


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
def test_a_clipped_song_without_a_level_of_its_flat_tops_is_restored_where_both_repairs_are_named(clean):
    clipped = clip_at_high_rate(clean, 20.0, soft_clip)
    plan, findings = plan_of(clipped)
    assert plan == NO_REPAIRS and "saturation" not in findings
    assert findings["clipping"].remedy.endswith("Or add --repair auto,clip,saturation.")
    plan, findings = plan_of(clipped, "clip", "saturation")
    assert plan.clip is None and findings["clipping"].repaired == plan.saturation.sentence
    assert sdr_db(clean, repair(clipped, plan)) > sdr_db(clean, clipped) + 3.0


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
@pytest.mark.parametrize("drive_db", [9.0, 12.0])
def test_a_track_with_one_saturated_channel_is_left_alone(clean, drive_db):
    """One curve for both would bend the other channel."""
    saturated = np.stack([saturate(clean, drive_db)[:, 0], np.float32(clean[:, 1])], axis=1)
    plan, _ = plan_of(saturated)
    assert plan == NO_REPAIRS


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
def test_the_halves_of_an_inverted_track_are_exchanged(clean):
    bent = clip_at_high_rate(clean, 9.0, np.tanh, bias=0.3)
    upright, inverted = (predict_curve(DiagnosedTrack(lambda x=x: [x], RATE, -20.0)) for x in (bent, -bent))
    np.testing.assert_allclose(inverted.positive, upright.negative, rtol=1e-3)
    np.testing.assert_allclose(inverted.negative, upright.positive, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("bias", [-0.3, 0.3])
def test_either_half_may_be_bent_more(clean, bias):
    bent = clip_at_high_rate(clean, 9.0, np.tanh, bias)
    plan, _ = plan_of(bent, "saturation")
    assert sdr_db(clean, repair(bent, plan)) > sdr_db(clean, bent) + 6.0


@pytest.mark.slow
def test_a_song_without_saturation_is_left_alone(clean):
    plan, findings = plan_of(clean.astype(np.float32), "auto", "saturation")
    assert plan == NO_REPAIRS and "saturation" not in findings
    curve = predict_curve(DiagnosedTrack(lambda: [clean.astype(np.float32)], RATE, -20.0))
    np.testing.assert_allclose(curve.positive, curve.levels, rtol=0.2)
