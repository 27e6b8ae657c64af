"""The compressor: a plain loop in float64, static curve, time constants, streaming, neutral settings, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import (
    Compressor,
    compress,
    control_hop,
    detector_level_db,
    gain_reduction_db,
    level_gain_reduction_db,
    static_curve_db,
)
from nmjax.dsp.compressor import STREAM_BLOCK
from nmjax.dsp.compressor_per_sample import compress_per_sample

from .oracles import cookbook_sos, error_db, noise, sosfilt_batch

RATE = 44_100.0
SETTINGS = {
    "threshold_db": -24.0,
    "ratio": 4.0,
    "attack_ms": 10.0,
    "release_ms": 100.0,
    "knee_db": 6.0,
    "makeup_db": 3.0,
}
NEUTRAL = {"ratio": 1.0, "makeup_db": 0.0}
NAMES = list(SETTINGS)
RENDER = jax.jit(compress, static_argnums=(2, 4))
REDUCTION = jax.jit(gain_reduction_db, static_argnums=(2, 4))


def compressor(dtype=jnp.float32, **other):
    return Compressor(**{k: jnp.asarray(np.atleast_1d(v), dtype) for k, v in (SETTINGS | other).items()})


def beat(seconds=0.5, rate=RATE, seed=0):
    """Eight decaying notes a second over soft noise, `[1, time, 2]`: material with strong gain reduction."""
    rng, time = np.random.default_rng(seed), round(seconds * rate)
    since = (np.arange(time) / rate) % 0.125
    bed = 0.02 * rng.standard_normal((time, 2))
    struck = 0.5 * np.exp(-since / 0.02) * np.sin(2 * np.pi * 200.0 * since)
    return (bed + struck[:, None])[None].astype(np.float32)


def per_sample_gain_db(audio, rate, threshold_db, ratio, attack_ms, release_ms, knee_db, makeup_db):
    """The tutorial's compressor in plain NumPy, float64, one sample after the other; `audio [time, channel]`."""
    size = 8 * control_hop(rate)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(size) + 0.5) / size)
    power = np.convolve(np.mean(np.asarray(audio, np.float64) ** 2, axis=1), window / window.sum())[: len(audio)]
    level = 10 * np.log10(np.maximum(2 * power, 1e-12))
    attack, release = (np.exp(-1.0 / (0.001 * t * rate)) for t in (attack_ms, release_ms))
    gain, followed = np.zeros(len(audio)), 0.0
    for n, x in enumerate(level):
        if 2 * (x - threshold_db) < -knee_db:
            over = 0.0
        elif 2 * abs(x - threshold_db) <= knee_db:
            over = (x - threshold_db + knee_db / 2) ** 2 / (2 * knee_db) if knee_db else 0.0
        else:
            over = x - threshold_db
        share = attack if over > followed else release
        followed = share * followed + (1 - share) * over
        gain[n] = makeup_db - (1 - 1 / ratio) * followed
    return gain


CASES = [
    {},
    {"attack_ms": 0.1, "release_ms": 5.0, "knee_db": 0.0, "ratio": 20.0},
    {"attack_ms": 1.0, "release_ms": 50.0, "knee_db": 24.0},
    {"attack_ms": 50.0, "release_ms": 20.0, "threshold_db": -40.0},
    {"ratio": 0.7, "threshold_db": -30.0, "makeup_db": -6.0},
]


@pytest.mark.parametrize("rate", [8_000.0, RATE, 96_000.0])
@pytest.mark.parametrize("other", CASES, ids=str)
def test_matches_a_per_sample_loop(other, rate):
    """The per-sample form to rounding; the control-rate form to 0.1 dB RMS and 1.5 dB at any sample, or 0.15 dB RMS for
    an attack shorter than a sample (at 8 kHz)."""
    audio = beat(0.3 if rate <= RATE else 0.15, rate)
    expected = per_sample_gain_db(audio[0], rate, **SETTINGS | other)
    with jax.enable_x64(True):
        _, gain = compress_per_sample(jnp.asarray(audio, jnp.float64), compressor(jnp.float64, **other), rate)
        np.testing.assert_allclose(gain[0], expected, atol=1e-9)
    y, _ = RENDER(audio, compressor(**other), rate)
    loud = np.abs(audio[0, :, 0]) > 1e-4
    result = 20 * np.log10(np.abs(np.asarray(y)[0, loud, 0] / audio[0, loud, 0]))
    within_a_sample = rate * other.get("attack_ms", 10.0) < 1e3
    assert np.sqrt(np.mean((result - expected[loud]) ** 2)) <= (0.15 if within_a_sample else 0.1)
    assert np.max(np.abs(result - expected[loud])) <= 1.5


def sine(level_db, seconds=0.4, freq_hz=5_000.0, rate=RATE):
    """A sine whose peak is at `level_db` dBFS, both channels."""
    wave = 10 ** (level_db / 20) * np.sin(2 * np.pi * freq_hz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[None, :, None], 2, axis=2).astype(np.float32)


def giannoulis_curve_db(x, threshold_db, ratio, knee_db, makeup_db, **_):
    """Giannoulis et al., eq. 4, and the make-up."""
    if 2 * (x - threshold_db) < -knee_db:
        y = x
    elif 2 * abs(x - threshold_db) <= knee_db and knee_db:
        y = x + (1 / ratio - 1) * (x - threshold_db + knee_db / 2) ** 2 / (2 * knee_db)
    else:
        y = threshold_db + (x - threshold_db) / ratio
    return y + makeup_db


@pytest.mark.parametrize("other", [{}, {"knee_db": 0.0, "ratio": 100.0}, {"knee_db": 24.0}, {"ratio": 0.6}], ids=str)
def test_a_steady_sine_lands_on_the_static_curve(other):
    settings = compressor(attack_ms=1.0, release_ms=5.0, **other)
    for level in (-60.0, -27.0, -25.0, -24.0, -21.5, -10.0, 0.0):
        expected = giannoulis_curve_db(level, **SETTINGS | other)
        curve = static_curve_db(jnp.full((1, 1), level), settings)[0, 0]
        np.testing.assert_allclose(curve, expected, atol=1e-4 if other.get("knee_db", 6.0) else 2e-4)
        y = np.asarray(RENDER(sine(level), settings, RATE)[0], np.float64)[0, -8820:, 0]
        np.testing.assert_allclose(10 * np.log10(2 * np.mean(y**2)), expected, atol=0.01)


@pytest.mark.parametrize("attack_ms, release_ms", [(5.0, 50.0), (30.0, 300.0), (100.0, 20.0), (200.0, 100.0)])
def test_step_response_has_the_set_time_constants(attack_ms, release_ms):
    """From 20 to 63.2 % of a step takes ln(0.8/0.368) time constants; the delay of the detector, a millisecond or two,
    cancels in the difference."""
    settings = compressor(attack_ms=attack_ms, release_ms=release_ms, knee_db=0.0)
    loud, soft = sine(-4.0, seconds=2.4), sine(-14.0, seconds=2.4)  # 8 times the longest time constant
    reduction = np.asarray(REDUCTION(np.concatenate([soft, loud, soft], axis=1), settings, RATE)[0])[0]
    third, hop = len(reduction) // 3, control_hop(RATE)
    for time_ms, section in ((attack_ms, reduction[third : 2 * third]), (release_ms, -reduction[2 * third :])):
        progress = (section - section[0]) / (section[-1] - section[0])
        ends = np.interp([0.2, 1 - np.exp(-1)], progress, np.arange(len(progress)) * 1e3 * hop / RATE)
        np.testing.assert_allclose((ends[1] - ends[0]) / np.log(0.8 * np.e), time_ms, rtol=0.02)


@pytest.mark.parametrize("name, values", [("attack_ms", (1.0, 50.0)), ("release_ms", (20.0, 500.0))])
def test_attack_and_release_change_the_gain(name, values):
    """Each changes the gain by more than 1 dB somewhere in the beat."""
    few, many = (np.asarray(REDUCTION(beat(1.0), compressor(**{name: v}), RATE)[0]) for v in values)
    assert np.max(np.abs(few - many)) >= 1.0


def test_reduction_db_equals_the_applied_gain():
    audio, settings = beat(0.2), compressor()
    reduction, state = REDUCTION(audio, settings, RATE)
    y, last = RENDER(audio, settings, RATE)
    at = np.arange(reduction.shape[1] - 1) * control_hop(RATE) + control_hop(RATE) - 1
    gain = 20 * np.log10(np.asarray(y)[0, at, 0] / audio[0, at, 0])
    np.testing.assert_allclose(gain, SETTINGS["makeup_db"] - np.asarray(reduction)[0, :-1], atol=1e-3)
    np.testing.assert_array_equal(state.envelope_db, last.envelope_db)


def test_channels_share_one_gain():
    audio = np.concatenate([beat(0.2)[..., :1], 0.1 * beat(0.2, seed=1)[..., :1]], axis=2)
    y = np.asarray(RENDER(audio, compressor(), RATE)[0])
    loud = np.abs(audio).min(axis=2)[0] > 1e-3
    np.testing.assert_allclose(*(y[0, loud, c] / audio[0, loud, c] for c in (0, 1)), rtol=1e-5)


def test_the_side_chain_high_pass_matches_scipy():
    audio = beat(0.3)
    y, _ = RENDER(audio, compressor(makeup_db=0.0), RATE, None, 400.0)
    detector_input = sosfilt_batch(audio, cookbook_sos("high_pass", 400.0, np.sqrt(0.5), RATE)[None, None])[0]
    expected = per_sample_gain_db(detector_input, RATE, **SETTINGS | {"makeup_db": 0.0})
    loud = np.abs(audio[0, :, 0]) > 1e-4
    result = 20 * np.log10(np.abs(np.asarray(y)[0, loud, 0] / audio[0, loud, 0]))
    assert np.sqrt(np.mean((result - expected[loud]) ** 2)) <= 0.1
    assert np.max(np.abs(expected - per_sample_gain_db(audio[0], RATE, **SETTINGS | {"makeup_db": 0.0}))) > 1.0


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_neutral_is_bit_identical(dtype):
    with jax.enable_x64(True):
        audio = jnp.asarray(noise(1, 1, 3000, 2, level=0.3), dtype)
        y, _ = RENDER(audio, compressor(**NEUTRAL), RATE)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, audio)


@pytest.mark.parametrize("rate", [8_000.0, 11_025.0, 16_000.0, 22_050.0, 32_000.0, 48_000.0, 88_200.0, 192_000.0])
def test_the_control_hop_divides_a_stream_block(rate):
    assert STREAM_BLOCK % control_hop(rate) == 0
    assert 0.25e-3 <= control_hop(rate) / rate <= 0.37e-3


@pytest.mark.parametrize("rate, sidechain_hz", [(8_000.0, 0.0), (RATE, 150.0), (192_000.0, 0.0)])
def test_streaming_equals_one_call(rate, sidechain_hz):
    """Chunks of a multiple of `STREAM_BLOCK`, the last one of any length."""
    audio, settings, time = noise(2, 1, 13 * STREAM_BLOCK + 5, 2, level=0.3), compressor(), 13 * STREAM_BLOCK + 5
    whole, _ = RENDER(audio, settings, rate, None, sidechain_hz)
    state, parts = None, []
    for start, end in ((0, STREAM_BLOCK), (STREAM_BLOCK, 8 * STREAM_BLOCK), (8 * STREAM_BLOCK, time)):
        y, state = RENDER(audio[:, start:end], settings, rate, state, sidechain_hz)
        parts.append(np.asarray(y))
    assert error_db(np.concatenate(parts, axis=1), whole) <= -110.0


def loss(settings, audio, rate=RATE):
    y, state = compress(audio, settings, rate)
    return jnp.sum(jnp.asarray(noise(3, *y.shape), y.dtype) * y * jnp.abs(y)) + 0.1 * jnp.sum(state.envelope_db)


GRADIENTS = jax.jit(jax.grad(loss, argnums=(0, 1)))
LOSS = jax.jit(loss)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ratio", [4.0, 0.7])
def test_the_gradient_is_the_finite_difference(name, ratio):
    with jax.enable_x64(True):
        audio, at = jnp.asarray(beat(0.1), jnp.float64), SETTINGS | {"ratio": ratio}
        slope = float(getattr(GRADIENTS(compressor(jnp.float64, **at), audio)[0], name)[0])
        step = 1e-6 * abs(at[name])
        above, below = (LOSS(compressor(jnp.float64, **at | {name: at[name] + h}), audio) for h in (step, -step))
        np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=1e-5)
    single = getattr(GRADIENTS(compressor(**at), beat(0.1))[0], name)[0]
    np.testing.assert_allclose(single, slope, rtol=2e-3)
    assert single != 0.0


def test_the_gradient_by_the_signal_is_the_finite_difference():
    with jax.enable_x64(True):
        audio, direction = jnp.asarray(beat(0.1), jnp.float64), jnp.asarray(noise(4, 1, 4410, 2), jnp.float64)
        settings = compressor(jnp.float64)
        above, below = (LOSS(settings, audio + h * direction) for h in (1e-6, -1e-6))
        np.testing.assert_allclose(
            jnp.vdot(GRADIENTS(settings, audio)[1], direction), (above - below) / 2e-6, rtol=1e-5
        )


def test_ratio_has_a_gradient_at_the_identity():
    slope = GRADIENTS(compressor(**NEUTRAL), beat(0.1))[0]
    assert abs(slope.ratio[0]) > 1e-2
    assert abs(slope.makeup_db[0]) > 1e-4


SIGNALS = {
    "silence": np.zeros((1, 500, 2)),
    "one sample": np.full((1, 1, 2), 0.5),
    "clipped": np.sign(noise(5, 1, 500, 2)),
    "far too loud": 1e3 * noise(6, 1, 500, 2),
}


@pytest.mark.parametrize("audio", SIGNALS.values(), ids=SIGNALS.keys())
@pytest.mark.parametrize("knee_db", [0.0, 6.0])
def test_value_and_gradient_are_finite(audio, knee_db):
    slopes = GRADIENTS(compressor(knee_db=knee_db), jnp.asarray(audio, jnp.float32))
    y, state = RENDER(jnp.asarray(audio, jnp.float32), compressor(knee_db=knee_db), RATE)
    for x in jax.tree.leaves((slopes, y, state)):
        assert np.all(np.isfinite(x))


def test_every_row_has_its_own_settings():
    audio = np.concatenate([beat(0.1), beat(0.1, seed=1)])
    both, _ = RENDER(audio, compressor(**{k: np.full(2, v) for k, v in SETTINGS.items()} | {"ratio": [2.0, 8.0]}), RATE)
    for row, ratio in enumerate((2.0, 8.0)):
        alone, _ = RENDER(audio[row : row + 1], compressor(ratio=ratio), RATE)
        assert error_db(both[row : row + 1], alone) <= -120.0


def test_invalid_arguments_are_reported():
    audio = jnp.zeros((1, 100, 2))
    for other, words in (
        ({"ratio": 0.0}, r"ratio must be from 0.5 to 100; it is 0"),
        ({"attack_ms": 300.0}, r"attack_ms must be from 0.1 to 200; it is 300"),
        ({"knee_db": [1.0, 2.0]}, r"knee_db must be one value a signal, \[1\]; it is of shape \[2\]"),
    ):
        with pytest.raises(ValueError, match=words):
            compress(audio, compressor(**other), RATE)
    with pytest.raises(ValueError, match=r"sidechain_hz must be 0, or below half the rate \(22050 Hz\); it is 30000"):
        compress(audio, compressor(), RATE, None, 30_000.0)
    _, state = RENDER(audio, compressor(), RATE)
    with pytest.raises(ValueError, match=r"state must be of shape \[1, 224\]"):
        compress(audio, compressor(), 96_000.0, state)


@pytest.mark.parametrize("rate", [44_100, 96_000])
def test_the_reduction_follows_from_the_level_alone(rate):
    audio = jnp.asarray(beat(rate=rate)[:, :-5])  # not a whole number of hops
    level_db = detector_level_db(audio, rate)
    for settings in (compressor(), compressor(ratio=0.8, attack_ms=1.0)):
        np.testing.assert_allclose(
            level_gain_reduction_db(level_db, settings, rate), REDUCTION(audio, settings, rate)[0], atol=1e-4
        )


def test_the_detector_reads_the_peak_of_a_sine():
    """The level is on the scale of the threshold: 0.5 is −6.02 dB."""
    sine = 0.5 * np.sin(2 * np.pi * 1e3 * np.arange(RATE) / RATE)
    level_db = detector_level_db(jnp.asarray(sine[None, :, None], jnp.float32), RATE)
    np.testing.assert_allclose(np.asarray(level_db)[0, 100:], 20 * np.log10(0.5), atol=0.05)


@pytest.mark.parametrize(("dtype", "limit_db"), [(np.float64, -115.0), (np.float32, -100.0)])
def test_numpy_arrays_need_no_compiled_program(dtype, limit_db):
    """The same formula as for JAX, over chunks of a stream, with the state of the one before."""
    audio = np.concatenate([beat(seed=3), 0.2 * beat(seed=4)]).astype(dtype)
    values = SETTINGS | {"attack_ms": [1.0, 30.0], "ratio": [8.0, 0.7]}
    rows = {name: np.broadcast_to(np.asarray(value, dtype), 2) for name, value in values.items()}
    expected, _ = RENDER(jnp.asarray(audio, jnp.float32), compressor(**rows), RATE)
    state, outputs = None, []
    for chunk in np.split(audio, [STREAM_BLOCK * 7, STREAM_BLOCK * 150], axis=1):
        output, state = compress(chunk, Compressor(**rows), RATE, state)
        outputs.append(output)
    found = np.concatenate(outputs, axis=1)
    assert isinstance(found, np.ndarray) and found.dtype == dtype
    assert error_db(found, np.asarray(expected)) <= limit_db
