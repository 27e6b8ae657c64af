"""Deliveries measured by pyloudnorm and by SciPy's oversampling."""

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import resample_poly, sosfilt

from nmjax.mastering.delivery.gain_search import loudness_by_limiting
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.plan import apply_delivery_plan, plan_delivery
from nmjax.mastering.delivery.spec import PRESETS, DeliverySpec
from nmjax.runtime.errors import BadInputError
from tests.synthetic_audio import music

RATE = 44_100


def lufs(audio, rate=RATE):
    return float(pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(audio.astype(np.float64)))


def true_peak_db(audio):
    padded = np.pad(audio.astype(np.float64), ((64, 64), (0, 0)))
    return 20.0 * np.log10(np.abs(resample_poly(padded, 8, 1, axis=0)).max())


def plan_and_deliver(audio, delivery, rate=RATE, size=10_007):
    def source():
        return (audio[i : i + size] for i in range(0, len(audio), size))

    plan = plan_delivery(source, rate, audio.shape[1], delivery)
    return plan, np.concatenate(list(apply_delivery_plan(source, rate, plan)))


def synth_drums(seconds=5.0, rate=RATE, seed=0):
    """Decaying noise twice a second over a quiet chord: high peaks, low loudness."""
    rng, n = np.random.default_rng(seed), int(seconds * rate)
    t = np.arange(n) / rate
    hits = rng.normal(size=(n, 2)) * np.exp(-25.0 * (t % 0.5))[:, None]
    chord = sum(np.sin(2 * np.pi * f * t) for f in (110.0, 220.3, 329.6))
    return (0.25 * hits + 0.03 * chord[:, None]).astype(np.float32)


def pink_noise(seconds=5.0, rate=RATE):
    rng = np.random.default_rng(5)
    sos = np.array([[0.05, 0.0, 0.0, 1.0, -0.95, 0.0]])
    noise = rng.normal(size=(int(seconds * rate), 2))
    return (0.2 * sosfilt(sos, noise, axis=0) + 0.05 * noise).astype(np.float32)


CASES = {
    "music": (music(5.0), DeliverySpec(-14.0, -1.0)),
    "music, loud": (music(5.0), PRESETS["cd"]),
    "noise, loud": (pink_noise(), DeliverySpec(-8.0, -1.0)),
    "white noise": (0.1 * np.random.default_rng(1).normal(size=(200_000, 2)), DeliverySpec(-8.0, -1.0, 9.0)),
    "drums": (synth_drums(), DeliverySpec(-17.5, -1.0)),
    "two levels": (np.concatenate([0.03 * synth_drums(4.0), synth_drums(4.0)]), DeliverySpec(-19.0, -2.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_loudness_lands_within_a_tenth(name):
    audio, expected = CASES[name]
    audio = audio.astype(np.float32)
    plan, out = plan_and_deliver(audio, expected)
    assert plan.meets_spec, plan.note
    assert out.shape == audio.shape
    assert lufs(out) == pytest.approx(expected.lufs, abs=0.1)
    assert plan.lufs == pytest.approx(lufs(out), abs=0.02)
    assert true_peak_db(out) <= expected.true_peak_db
    assert plan.gain_reduction.max_db <= expected.max_limiting_db + 1e-6
    assert plan.true_peak_db == pytest.approx(true_peak_db(out), abs=0.1)


def test_the_cases_need_the_limiter():
    """A guard for the test above: gain alone would pass the ceiling."""
    needing = 0
    for audio, expected in CASES.values():
        audio = audio.astype(np.float32)
        needing += true_peak_db(audio) + expected.lufs - lufs(audio) > expected.true_peak_db + 0.5
    assert needing == len(CASES) - 1  # "music" needs none


def test_limiting_stops_at_the_maximum_and_is_reported():
    audio = synth_drums()
    plan, out = plan_and_deliver(audio, DeliverySpec(-8.0, -1.0, 6.0))
    assert not plan.meets_spec
    assert plan.gain_reduction.max_db == pytest.approx(6.0, abs=0.01)
    assert lufs(out) < -8.5
    assert f"−{-lufs(out):.1f} LUFS" in plan.note and "6 dB of limiting" in plan.note
    assert true_peak_db(out) <= -1.0
    more, _ = plan_and_deliver(audio, DeliverySpec(-8.0, -1.0, 15.0))
    assert more.lufs > plan.lufs + 0.5


def test_no_limiting_allowed_is_gain_alone():
    audio = synth_drums()
    plan, out = plan_and_deliver(audio, DeliverySpec(-8.0, -1.0, 0.0))
    assert plan.gain_reduction.max_db == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(out, audio * 10 ** (plan.gain_db / 20), atol=1e-6)
    assert -1.15 < true_peak_db(out) <= -1.0


@pytest.mark.parametrize("audio", [synth_drums(), pink_noise(), 4.0 * synth_drums()], ids=["drums", "noise", "loud"])
def test_clean_is_the_loudest_with_2_db_of_limiting(audio):
    clean = DeliverySpec(lufs=None, true_peak_db=-1.0, max_limiting_db=2.0, name="clean", relative="clean")
    plan, out = plan_and_deliver(audio, clean)
    assert plan.meets_spec and plan.note == ""
    reduction_db = 20.0 * np.log10(np.abs(audio).max(axis=1) * 10 ** (plan.gain_db / 20) / np.abs(out).max(axis=1))
    assert 1.7 < reduction_db.max() < 2.05
    assert plan.lufs == pytest.approx(lufs(out), abs=0.02)
    louder, _ = plan_and_deliver(audio, DeliverySpec(lufs(out) + 0.3, -1.0, 2.0))
    assert not louder.meets_spec
    assert true_peak_db(out) <= -1.0


def test_keep_takes_the_loudness_of_the_input():
    keep = DeliverySpec(lufs=None, name="keep", relative="keep")
    audio = pink_noise()
    spec = keep.for_input(lufs(audio))
    assert spec.lufs == pytest.approx(lufs(audio))
    _, out = plan_and_deliver(10 ** (5 / 20) * audio, spec)  # as if the processing had added 5 dB
    assert lufs(out) == pytest.approx(lufs(audio), abs=0.1)
    for unusable in (-np.inf, -61.0, 0.5):
        assert keep.for_input(float(unusable)).lufs is None
    assert PRESETS["cd"].for_input(-20.0) == PRESETS["cd"]


def test_loudness_by_limiting_is_that_of_the_limited_signal():
    audio = synth_drums()
    depths_db = np.array([0.0, 2.0, 6.0, 12.0])
    estimates = loudness_by_limiting(LoudnessScan([audio], RATE, 2, 12.0), -1.0, depths_db)
    for depth_db, estimate in zip(depths_db, estimates, strict=True):
        spec = DeliverySpec(None, -1.0, float(depth_db), relative="clean")
        assert lufs(plan_and_deliver(audio, spec)[1]) == pytest.approx(estimate, abs=0.2)
    assert (np.diff(estimates) > 0.0).all()


def test_no_targets_is_bit_identical():
    audio = (3.0 * music(1.0)).astype(np.float32)
    plan, out = plan_and_deliver(audio, DeliverySpec(None, None))
    np.testing.assert_array_equal(out, audio)
    assert (plan.gain_db, plan.ceiling_db, plan.meets_spec, plan.note) == (0.0, None, True, "")


def test_a_ceiling_alone_leaves_the_level():
    audio = (0.9 * synth_drums() / np.abs(synth_drums()).max()).astype(np.float32)
    plan, out = plan_and_deliver(audio, DeliverySpec(None, -3.0))
    assert plan.gain_db == 0.0 and plan.meets_spec
    assert true_peak_db(out) <= -3.0
    lower, _ = plan_and_deliver(audio, DeliverySpec(None, -20.0))
    assert not lower.meets_spec and "quieter" in lower.note and lower.gain_db < 0.0


def test_a_loudness_alone_is_gain_alone():
    audio = synth_drums()
    plan, out = plan_and_deliver(audio, DeliverySpec(-6.0, None))
    assert lufs(out) == pytest.approx(-6.0, abs=0.01)
    np.testing.assert_array_equal(out, audio * np.float32(10 ** (plan.gain_db / 20)))
    assert np.abs(out).max() > 1.0


def test_silence_and_too_short_audio_are_reported():
    plan, out = plan_and_deliver(np.zeros((50_000, 2), np.float32), DeliverySpec())
    assert plan.meets_spec and "silent" in plan.note and not out.any()
    short = np.full((1000, 1), 1.5, np.float32)
    plan, out = plan_and_deliver(short, DeliverySpec())
    assert plan.meets_spec and plan.note.endswith(f"so it is turned down by {-plan.gain_db:.1f} dB, below the ceiling.")
    assert true_peak_db(out) <= -1.0
    np.testing.assert_allclose(out, short * out[0, 0] / 1.5)
    quiet, same = plan_and_deliver(0.1 * short, DeliverySpec())
    assert quiet.gain_db == 0.0 and quiet.note.endswith("so it is delivered without gain.")
    np.testing.assert_array_equal(same, 0.1 * short)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (11_025, 2), (48_000, 5), (96_000, 2)])
def test_other_rates_and_layouts(rate, channels):
    audio = np.tile(synth_drums(4.0, rate), (1, 3))[:, :channels]
    expected = float(lufs(audio, rate) - true_peak_db(audio))  # 1 dB above what gain alone can reach
    plan, out = plan_and_deliver(audio, DeliverySpec(expected, -1.0), rate)
    assert plan.meets_spec and plan.gain_reduction.max_db > 1.0
    assert lufs(out, rate) == pytest.approx(expected, abs=0.1)
    assert true_peak_db(out) <= -1.0


def test_the_lfe_does_not_count():
    """pyloudnorm has no LFE, so it measures the other five."""
    audio = np.tile(synth_drums(3.0), (1, 3))
    audio[:, 3] *= 3.0
    _, out = plan_and_deliver(audio, DeliverySpec(-24.0, -1.0))
    assert lufs(out[:, [0, 1, 2, 4, 5]]) == pytest.approx(-24.0, abs=0.1)


def test_chunk_size_does_not_matter():
    audio = synth_drums()
    (first, out), (second, same) = (
        plan_and_deliver(audio, DeliverySpec(-14.0, -1.0), size=size) for size in (997, 100_000)
    )
    assert first == second
    np.testing.assert_array_equal(out, same)


def test_invalid_numbers_are_rejected():
    for wrong in ({"lufs": 3.0}, {"true_peak_db": 1.0}, {"max_limiting_db": -1.0}, {"lufs": float("nan")}):
        with pytest.raises(BadInputError, match="cannot be delivered"):
            DeliverySpec(**wrong)
