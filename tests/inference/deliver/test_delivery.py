"""Deliveries measured by pyloudnorm and by SciPy's oversampling."""

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import resample_poly, sosfilt

from nmjax.errors import BadInputError
from nmjax.inference.deliver.delivery import PRESETS, Delivery, delivered, solve
from tests.music import music

RATE = 44_100


def lufs(audio, rate=RATE):
    return pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(audio.astype(np.float64))


def true_peak_db(audio):
    padded = np.pad(audio.astype(np.float64), ((64, 64), (0, 0)))
    return 20.0 * np.log10(np.abs(resample_poly(padded, 8, 1, axis=0)).max())


def made(audio, wanted, rate=RATE, size=10_007):
    def source():
        return (audio[i : i + size] for i in range(0, len(audio), size))

    plan = solve(source, rate, audio.shape[1], wanted)
    return plan, np.concatenate(list(delivered(source, rate, plan)))


def drums(seconds=5.0, rate=RATE, seed=0):
    """Decaying noise twice a second over a quiet chord: high peaks, low loudness."""
    rng, n = np.random.default_rng(seed), int(seconds * rate)
    t = np.arange(n) / rate
    hits = rng.normal(size=(n, 2)) * np.exp(-25.0 * (t % 0.5))[:, None]
    chord = sum(np.sin(2 * np.pi * f * t) for f in (110.0, 220.3, 329.6))
    return (0.25 * hits + 0.03 * chord[:, None]).astype(np.float32)


def pink(seconds=5.0, rate=RATE):
    rng = np.random.default_rng(5)
    sos = np.array([[0.05, 0.0, 0.0, 1.0, -0.95, 0.0]])
    noise = rng.normal(size=(int(seconds * rate), 2))
    return (0.2 * sosfilt(sos, noise, axis=0) + 0.05 * noise).astype(np.float32)


CASES = {
    "music": (music(5.0), Delivery(-14.0, -1.0)),
    "music, loud": (music(5.0), PRESETS["cd"]),
    "noise, loud": (pink(), Delivery(-8.0, -1.0)),
    "white noise": (0.1 * np.random.default_rng(1).normal(size=(200_000, 2)), Delivery(-8.0, -1.0, 9.0)),
    "drums": (drums(), Delivery(-17.5, -1.0)),
    "two levels": (np.concatenate([0.03 * drums(4.0), drums(4.0)]), Delivery(-19.0, -2.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_loudness_lands_within_a_tenth(name):
    audio, wanted = CASES[name]
    audio = audio.astype(np.float32)
    plan, out = made(audio, wanted)
    assert plan.reached, plan.reason
    assert out.shape == audio.shape
    assert lufs(out) == pytest.approx(wanted.lufs, abs=0.1)
    assert plan.lufs == pytest.approx(lufs(out), abs=0.02)
    assert true_peak_db(out) <= wanted.true_peak_db
    assert plan.reduction.deepest_db <= wanted.max_limiting_db + 1e-6
    assert plan.true_peak_db == pytest.approx(true_peak_db(out), abs=0.1)


def test_the_cases_need_the_limiter():
    """A guard for the test above: gain alone would pass the ceiling."""
    needing = 0
    for audio, wanted in CASES.values():
        audio = audio.astype(np.float32)
        needing += true_peak_db(audio) + wanted.lufs - lufs(audio) > wanted.true_peak_db + 0.5
    assert needing == len(CASES) - 1  # "music" needs none


def test_more_limiting_than_allowed_is_not_done_and_said():
    audio = drums()
    plan, out = made(audio, Delivery(-8.0, -1.0, 6.0))
    assert not plan.reached
    assert plan.reduction.deepest_db == pytest.approx(6.0, abs=0.01)
    assert lufs(out) < -8.5
    assert f"{lufs(out):.1f} LUFS" in plan.reason and "6 dB of limiting" in plan.reason
    assert true_peak_db(out) <= -1.0
    more, _ = made(audio, Delivery(-8.0, -1.0, 15.0))
    assert more.lufs > plan.lufs + 0.5


def test_no_limiting_allowed_is_gain_alone():
    audio = drums()
    plan, out = made(audio, Delivery(-8.0, -1.0, 0.0))
    assert plan.reduction.deepest_db == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(out, audio * 10 ** (plan.gain_db / 20), atol=1e-6)
    assert -1.15 < true_peak_db(out) <= -1.0


def test_nothing_wanted_passes_every_bit():
    audio = (3.0 * music(1.0)).astype(np.float32)
    plan, out = made(audio, Delivery(None, None))
    np.testing.assert_array_equal(out, audio)
    assert (plan.gain_db, plan.ceiling_db, plan.reached, plan.reason) == (0.0, None, True, "")


def test_a_ceiling_alone_leaves_the_level():
    audio = (0.9 * drums() / np.abs(drums()).max()).astype(np.float32)
    plan, out = made(audio, Delivery(None, -3.0))
    assert plan.gain_db == 0.0 and plan.reached
    assert true_peak_db(out) <= -3.0
    lower, _ = made(audio, Delivery(None, -20.0))
    assert not lower.reached and "quieter" in lower.reason and lower.gain_db < 0.0


def test_a_loudness_alone_is_gain_alone():
    audio = drums()
    plan, out = made(audio, Delivery(-6.0, None))
    assert lufs(out) == pytest.approx(-6.0, abs=0.01)
    np.testing.assert_array_equal(out, audio * np.float32(10 ** (plan.gain_db / 20)))
    assert np.abs(out).max() > 1.0


def test_silence_and_what_is_too_short_are_said():
    plan, out = made(np.zeros((50_000, 2), np.float32), Delivery())
    assert plan.reached and "silent" in plan.reason and not out.any()
    short = np.full((1000, 1), 1.5, np.float32)
    plan, out = made(short, Delivery())
    assert plan.reached and "too short" in plan.reason
    assert true_peak_db(out) <= -1.0
    np.testing.assert_allclose(out, short * out[0, 0] / 1.5)
    quiet, same = made(0.1 * short, Delivery())
    assert quiet.gain_db == 0.0
    np.testing.assert_array_equal(same, 0.1 * short)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (11_025, 2), (48_000, 5), (96_000, 2)])
def test_other_rates_and_layouts(rate, channels):
    audio = np.tile(drums(4.0, rate), (1, 3))[:, :channels]
    wanted = float(lufs(audio, rate) - true_peak_db(audio))  # 1 dB above what gain alone can reach
    plan, out = made(audio, Delivery(wanted, -1.0), rate)
    assert plan.reached and plan.reduction.deepest_db > 1.0
    assert lufs(out, rate) == pytest.approx(wanted, abs=0.1)
    assert true_peak_db(out) <= -1.0


def test_the_lfe_does_not_count():
    """pyloudnorm knows no LFE, so it hears the other five."""
    audio = np.tile(drums(3.0), (1, 3))
    audio[:, 3] *= 3.0
    _, out = made(audio, Delivery(-24.0, -1.0))
    assert lufs(out[:, [0, 1, 2, 4, 5]]) == pytest.approx(-24.0, abs=0.1)


def test_the_size_of_the_pieces_does_not_matter():
    audio = drums()
    (first, out), (second, same) = (made(audio, Delivery(-14.0, -1.0), size=size) for size in (997, 100_000))
    assert first == second
    np.testing.assert_array_equal(out, same)


def test_numbers_that_cannot_be_are_refused():
    for wrong in ({"lufs": 3.0}, {"true_peak_db": 1.0}, {"max_limiting_db": -1.0}, {"lufs": float("nan")}):
        with pytest.raises(BadInputError, match="cannot be delivered"):
            Delivery(**wrong)
