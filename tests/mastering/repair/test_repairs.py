"""Each repair on a synthetic song with a defect of known size, compared with the song before."""

import re

import numpy as np
import pytest
import scipy.signal

from nmjax.mastering.repair.plan import (
    NO_REPAIRS,
    REPAIRS,
    RepairPlan,
    repair_stream,
    unfit_repair_notes,
)
from nmjax.mastering.request import REPAIR_NAMES
from nmjax.runtime.errors import BadInputError
from tests.mastering.diagnosis.songs import RATE, song
from tests.mastering.repair.repairing import plan_of, repair, spectrum_db


@pytest.fixture(scope="module")
def clean():
    return np.ascontiguousarray(song(24.0), np.float32)


def bass_ratio_db(audio):
    low = scipy.signal.sosfiltfilt(scipy.signal.butter(4, [20.0, 120.0], "band", fs=RATE, output="sos"), audio, axis=0)
    return 20.0 * np.log10((low[:, 0] - low[:, 1]).std() / low.sum(axis=1).std())


def test_the_names_of_the_option_are_those_of_the_repairs():
    assert tuple(REPAIRS) == REPAIR_NAMES


def test_a_clean_song_is_not_touched(clean):
    plan, _ = plan_of(clean, *REPAIR_NAMES)
    assert plan == NO_REPAIRS
    chunks = [clean]
    assert repair_stream(chunks, plan, RATE, 2) is chunks


def test_a_constant_offset_is_subtracted(clean):
    offset = np.array([0.02, -0.015])
    plan, findings = plan_of((clean + offset).astype(np.float32))
    np.testing.assert_allclose(plan.dc.offset, offset, atol=1e-4)
    assert plan.dc.highpass_hz is None
    assert findings["dc_offset"].repaired.startswith("The constant offset was subtracted")
    np.testing.assert_allclose(repair((clean + offset).astype(np.float32), plan), clean, atol=2e-4)


def test_an_offset_that_wanders_needs_the_name(clean):
    drift = np.linspace(-0.01, 0.04, len(clean))[:, None]
    defective = (clean + drift).astype(np.float32)
    plan, findings = plan_of(defective)
    assert plan.dc is None
    assert findings["dc_offset"].repaired == ""
    assert findings["dc_offset"].remedy.endswith("Or add --repair auto,dc.")
    plan, _ = plan_of(defective, "dc")
    assert plan.dc.highpass_hz == 15.0
    repaired = repair(defective, plan)
    middle = slice(RATE, -RATE)
    assert np.abs(repaired - clean)[middle].max() < 1e-3
    assert np.abs(repaired[middle].mean(axis=0)).max() < 1e-4


def test_rumble_is_removed(clean):
    rumble = 0.3 * np.sin(2.0 * np.pi * 7.0 * np.arange(len(clean)) / RATE)[:, None]
    plan, findings = plan_of((clean + rumble).astype(np.float32))
    assert "below 15 Hz" in findings["subsonic"].repaired
    error = repair((clean + rumble).astype(np.float32), plan) - clean
    assert np.abs(error[RATE:-RATE]).max() < 1e-3


@pytest.mark.parametrize("mains_hz", [49.97, 60.02])
def test_hum_is_notched_and_nothing_else(clean, mains_hz):
    time = np.arange(len(clean)) / RATE
    hum = sum(0.03 / k**0.5 * np.sin(2.0 * np.pi * k * mains_hz * time + k) for k in (1, 2, 3, 4, 5, 7))
    defective = (clean + hum[:, None]).astype(np.float32)
    plan, findings = plan_of(defective, "hum")
    assert plan.hum.frequency_hz == pytest.approx(mains_hz, abs=0.01)
    assert {1, 2, 3, 4, 5, 7} <= set(plan.hum.harmonics)
    assert findings["hum"].repaired.startswith("Notches were set at")
    freq_hz, before = spectrum_db(clean)
    change_db = spectrum_db(repair(defective, plan))[1] - before
    distance_hz = np.abs(freq_hz[:, None] - mains_hz * np.array(plan.hum.harmonics)).min(axis=1)
    audible = (freq_hz > 30.0) & (before > -130.0)
    assert np.abs(change_db[audible & (distance_hz > 4.0)]).max() < 0.1
    assert np.abs(change_db[audible & (distance_hz < 1.0)]).max() < 3.0


def test_a_quiet_hum_is_notched_without_a_name(clean):
    time = np.arange(len(clean)) / RATE
    hum = sum(0.008 / k**0.5 * np.sin(2.0 * np.pi * k * 50.0 * time + k) for k in (1, 2, 3, 4, 5, 7))
    assert plan_of((clean + hum[:, None]).astype(np.float32))[0].hum is not None


def test_a_hum_as_loud_as_a_bass_needs_the_name(clean):
    time = np.arange(len(clean)) / RATE
    bass = sum(0.05 / k * np.sin(2.0 * np.pi * k * 60.0 * time) for k in (1, 2, 3, 4, 5))
    defective = (clean + bass[:, None]).astype(np.float32)
    plan, findings = plan_of(defective)
    assert plan.hum is None
    assert "If it is a bass" in findings["hum"].remedy
    assert plan_of(defective, "hum")[0].hum is not None


def test_repairs_that_have_nothing_to_act_on_do_not_fit():
    plan = RepairPlan.model_validate(
        {
            "polarity": {},
            "bass_mono": {},
            "tone": {"freq_hz": [30_000.0]},
            "hum": {"frequency_hz": 50.0, "harmonics": [1]},
        }
    )
    assert set(plan.fitting(44_100, 1).active()) == {"hum"}
    assert set(plan.fitting(96_000, 2).active()) == {"polarity", "bass_mono", "tone", "hum"}
    assert unfit_repair_notes(plan, plan.fitting(44_100, 2)) == [
        "The repair 'tone' of the settings is left out: this track has nothing that it acts on."
    ]


def test_a_steady_tone_is_notched(clean):
    tone = 0.003 * np.sin(2.0 * np.pi * 3_210.57 * np.arange(len(clean)) / RATE)[:, None]
    plan, findings = plan_of((clean + tone).astype(np.float32))
    assert plan.tone.freq_hz == pytest.approx([3_210.57], abs=0.01)
    assert findings["steady_tone"].repaired
    assert np.std(repair((clean + tone).astype(np.float32), plan) - clean) < 0.03 * np.std(tone)


@pytest.mark.parametrize(("channel", "sign"), [(0, 1.0), (1, -1.0)])
def test_whole_samples_of_delay_and_polarity_are_undone_exactly(clean, channel, sign):
    defective = clean.copy()
    defective[100:, channel] = sign * clean[:-100, channel]
    defective[:100, channel] = 0.0
    plan, findings = plan_of(defective)
    assert plan.delay.late == ("left", "right")[channel]
    assert plan.delay.delay_ms == pytest.approx(1000.0 * 100 / RATE, abs=1e-6)
    assert (plan.polarity is not None) == (sign < 0.0)
    assert "moved" in findings["channel_delay"].repaired
    repaired = repair(defective, plan, size=77)
    both = np.sign((repaired * clean).sum(axis=0))  # a polarity common to both channels is inaudible
    assert both[0] == both[1] or sign > 0.0
    np.testing.assert_array_equal(repaired[:-100] * both.astype(np.float32), clean[:-100])


def test_a_part_of_a_sample_of_delay_is_interpolated(clean):
    samples = 30.4
    spectrum = np.fft.rfft(np.pad(clean[:, 1], (0, 1000)))
    turn = np.exp(-2j * np.pi * np.arange(len(spectrum)) / (len(clean) + 1000) * samples)
    defective = clean.copy()
    defective[:, 1] = np.fft.irfft(spectrum * turn, len(clean) + 1000)[: len(clean)]
    plan, _ = plan_of(defective)
    assert plan.delay.delay_ms * RATE / 1000.0 == pytest.approx(samples, abs=0.02)
    exact = RepairPlan.model_validate({"delay": {"late": "right", "delay_ms": 1000.0 * samples / RATE}})
    error = (repair(defective, exact) - clean)[1000:-1000]
    error = scipy.signal.sosfilt(scipy.signal.butter(8, 18_000.0, fs=RATE, output="sos"), error, axis=0)
    assert np.std(error) < 1e-4 * np.std(clean)


def test_inverted_polarity_is_undone_exactly(clean):
    plan, findings = plan_of(clean * np.float32([1.0, -1.0]))
    assert plan.to_dict() == {"polarity": {"invert": "right"}}
    assert findings["polarity"].repaired == "The polarity of the right channel was inverted."
    np.testing.assert_array_equal(repair(clean * np.float32([1.0, -1.0]), plan), clean)


@pytest.mark.parametrize("crossover_hz", [110.0, 180.0])
def test_inverted_bass_gets_its_width_back(clean, crossover_hz):
    low = scipy.signal.sosfiltfilt(scipy.signal.butter(4, crossover_hz, fs=RATE, output="sos"), clean, axis=0)
    defective = (clean - 2.0 * low * [0.0, 1.0]).astype(np.float32)
    plan, _ = plan_of(defective)
    assert plan.bass_polarity.crossover_hz == pytest.approx(crossover_hz, rel=0.03)
    repaired = repair(defective, plan)
    assert (
        abs(bass_ratio_db(repaired) - bass_ratio_db(clean)) < 1.0 < abs(bass_ratio_db(defective) - bass_ratio_db(clean))
    )
    np.testing.assert_array_equal(repaired[:, 0], clean[:, 0])


def test_mono_bass_keeps_the_mid(clean):
    plan = RepairPlan.model_validate({"bass_mono": {"crossover_hz": 120.0}})
    repaired = repair(clean, plan)
    np.testing.assert_allclose(repaired.sum(axis=1), clean.sum(axis=1), atol=1e-6)
    freq_hz, before = scipy.signal.welch(clean[:, 0] - clean[:, 1], RATE, nperseg=1 << 15)
    after = scipy.signal.welch(repaired[:, 0] - repaired[:, 1], RATE, nperseg=1 << 15)[1]
    assert (after / before)[(freq_hz > 30.0) & (freq_hz < 105.0)].max() < 1e-4
    np.testing.assert_allclose((after / before)[(freq_hz > 135.0) & (freq_hz < 5_000.0)], 1.0, atol=1e-2)


EVERYTHING = {
    "dc": {"offset": [0.01, 0.02], "highpass_hz": 15.0},
    "hum": {"frequency_hz": 50.0, "harmonics": [1, 2, 64]},
    "saturation": {"levels": [0.1, 0.5], "positive": [0.11, 0.7], "negative": [0.1, 0.5]},
    "tone": {"freq_hz": [3_000.0, 30_000.0]},
    "resonance": {
        "cuts": [
            {"freq_hz": 700.0, "gain_db": -9.0, "q": 30.0},
            {"freq_hz": 30_000.0, "gain_db": -6.0, "q": 4.0},
        ]
    },
    "delay": {"late": "left", "delay_ms": 0.77},
    "polarity": {},
    "bass_polarity": {"fill": 0.5},
    "bass_mono": {},
}


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_the_chunks_do_not_matter(clean, rate):
    audio, plan = clean[:40_000], RepairPlan.model_validate(EVERYTHING)
    whole = repair(audio, plan, rate, size=len(audio))
    assert whole.shape == audio.shape
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(repair(audio, plan, rate, size=1_234), whole)


@pytest.mark.parametrize("channels", [1, 6])
def test_repairs_of_stereo_leave_other_channel_counts(clean, channels):
    audio = np.repeat(clean[:20_000, :1], channels, axis=1)
    names = ("delay", "polarity", "bass_polarity", "bass_mono")
    plan = RepairPlan.model_validate({name: EVERYTHING[name] for name in names})
    np.testing.assert_array_equal(repair(audio, plan), audio)
    with pytest.raises(
        BadInputError, match=f"repair.dc.offset needs one number for each channel: {channels} for this track, not 2"
    ):
        repair(audio, RepairPlan.model_validate({"dc": {"offset": [0.1, 0.2]}}))


def sdr_db(clean, audio):
    return 10.0 * np.log10(np.sum(clean.astype(float) ** 2) / np.sum((audio - clean.astype(float)) ** 2))


def test_clipped_peaks_are_restored_and_only_they(clean):
    ceilings = np.float32([[np.quantile(np.abs(clean), 0.99), np.inf]])
    clipped = np.clip(clean, -ceilings, ceilings)
    plan, findings = plan_of(clipped)
    level = ceilings[0, 0]
    np.testing.assert_allclose([plan.clip.positive[0], plan.clip.negative[0]], level, atol=4e-5)
    assert plan.clip.positive[1] is None
    assert findings["clipping"].repaired.startswith(f"Peaks cut off at −{-20.0 * np.log10(level):.1f} dBFS")
    repaired = repair(clipped, plan)
    is_clipped = np.abs(clipped) >= level - 4e-5
    np.testing.assert_array_equal(repaired[~is_clipped], clipped[~is_clipped])
    np.testing.assert_array_equal(repaired[:, 1], clean[:, 1])
    assert np.all(np.abs(repaired) >= np.abs(clipped))
    assert sdr_db(clean[:, 0], repaired[:, 0]) > sdr_db(clean[:, 0], clipped[:, 0]) + 3.0


def test_square_waves_and_peaks_of_changing_height_are_restored_only_when_named(clean):
    time = np.arange(len(clean)) / RATE
    square = np.float32(np.clip(40.0 * np.sin(2.0 * np.pi * 441.3 * time + 0.1), -0.5, 0.5))[:, None]
    ceiling = np.quantile(np.abs(clean), 0.99)
    fading = np.float32(np.clip(clean, -ceiling, ceiling) * np.linspace(0.5, 1.0, len(clean))[:, None])
    for audio in (square, fading):
        plan, findings = plan_of(audio)
        assert plan.clip is None
        assert findings["clipping"].remedy.endswith("Or add --repair auto,clip,saturation.")
        assert plan_of(audio, "clip")[0].clip is not None


def test_levels_need_a_number_for_each_channel(clean):
    plan = RepairPlan(clip={"positive": [0.5], "negative": [None]})
    with pytest.raises(
        BadInputError, match=r"repair.clip.positive needs one number for each channel: 2 for this track, not 1."
    ):
        repair(clean, plan)


@pytest.mark.parametrize(("half", "sign"), [("positive", 1.0), ("negative", -1.0)])
def test_levels_that_the_track_exceeds_are_refused(clean, half, sign):
    peak = float((sign * clean[:, 1]).max())
    other = {"positive": "negative", "negative": "positive"}[half]
    plan = RepairPlan.model_validate({"clip": {half: [None, 0.8 * peak], other: [None, None]}})
    message = f"repair.clip.{half} is {0.8 * peak:.4g} for channel 2, but the track reaches"
    with pytest.raises(BadInputError, match=re.escape(message)):
        repair(clean, plan)
