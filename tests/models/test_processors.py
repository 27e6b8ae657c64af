"""Processors: the ranges of their settings, their decoders, and the chain as a whole and as a stream."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models.parameters import EqSettings, at_model_level
from nmjax.models.processor_decoders import ProcessorDecoders
from nmjax.models.processors import BLOCK_SIZE, PROCESSORS, apply_chain, distance_from_neutral
from tests.dsp.test_matmul_precision import is_highest, precisions
from tests.models.helpers import FAST_COMPILE, noise, peak_error_db
from tests.synthetic_audio import music

RATE = 44_100
AUDIO = jnp.asarray(np.stack([music(0.4, seed=1), music(0.4, seed=2)]), jnp.float32)
EXCERPT = AUDIO[:, :4410]  # for gradients, whose cost grows with the length
NON_NEUTRAL = {  # away from every neutral value and from both ends of every range
    "compressor": {
        "threshold_db": -26.0,
        "ratio": 3.0,
        "attack_ms": 8.0,
        "release_ms": 90.0,
        "knee_db": 5.0,
        "makeup_db": 2.0,
    },
    "saturator": {"drive_db": 11.0, "mix": 0.6, "asymmetry": 0.4},
    "width": {"low": 0.5, "high": 1.4},
}
SETTINGS = [(name, setting) for name, processor in PROCESSORS.items() for setting in processor.settings]
each_setting = pytest.mark.parametrize(
    ("name", "setting"), SETTINGS, ids=[f"{name}.{setting.name}" for name, setting in SETTINGS]
)
each_processor = pytest.mark.parametrize("name", PROCESSORS)


def non_neutral(name, dtype=jnp.float32, batch=2):
    values = {field: jnp.full((batch,), value, dtype) for field, value in NON_NEUTRAL[name].items()}
    return PROCESSORS[name].settings_type(**values)


def all_initial():
    return {name: processor.initial_settings(2) for name, processor in PROCESSORS.items()}


def make_settings(**processors):
    """Settings with these processors and a flat equalizer."""
    flat = EqSettings(*(jnp.full((2, 1), value, jnp.float32) for value in (1000.0, 0.0, 1.0, 1.0)))
    return at_model_level(flat).replace(**processors)


def to_scale(setting, value):
    """Position of a value on the setting's scale, written apart from the code."""
    value = np.asarray(value, np.float64)
    return {"linear": lambda: value, "log": lambda: np.log(value), "slope": lambda: 1.0 - 1.0 / value}[setting.scale]()


@each_setting
def test_raw_zero_is_the_initial_value_and_large_values_reach_the_ends(name, setting):
    assert setting.from_raw(jnp.zeros(1))[0] == np.float32(setting.initial)
    for raw, end in ((-30.0, setting.low), (30.0, setting.high)):
        np.testing.assert_allclose(setting.from_raw(jnp.full((1,), raw))[0], end, rtol=2e-6, atol=1e-6)
    values = np.asarray(setting.from_raw(jnp.linspace(-8.0, 8.0, 1001)))
    assert np.all(np.diff(values) >= -1e-6 * np.abs(values[1:]) - 2e-6), "monotonic, up to rounding"
    low, high = PROCESSORS[name].limits[setting.name]
    tolerance = 1e-6 * (setting.high - setting.low)
    assert low - tolerance <= values.min() and values.max() <= high + tolerance


@each_setting
def test_the_slope_at_the_initial_value_is_half_the_range_on_both_sides(name, setting):
    """As for a sigmoid over the whole range, whichever side of the initial value is longer."""
    step, expected = 1e-3, 0.5 * (to_scale(setting, setting.high) - to_scale(setting, setting.low))
    with jax.enable_x64(True):
        below, above = (setting.from_raw(jnp.full((1,), raw, jnp.float64))[0] for raw in (-step, step))
    initial = to_scale(setting, setting.initial)
    slopes = np.array([initial - to_scale(setting, below), to_scale(setting, above) - initial])
    np.testing.assert_allclose(slopes / step, expected, rtol=1e-3)


@each_setting
def test_to_raw_is_the_inverse_of_from_raw(name, setting):
    low, high = setting.to_scale(setting.low), setting.to_scale(setting.high)
    for fraction in (0.1, 0.5, 0.8):
        position = low + fraction * (high - low)
        value = position
        if setting.scale != "linear":
            value = np.exp(position) if setting.scale == "log" else 1.0 / (1.0 - position)
        raw = jnp.full((1,), setting.to_raw(float(value)), jnp.float32)
        np.testing.assert_allclose(setting.from_raw(raw), value, rtol=2e-5, atol=1e-5)


@each_setting
def test_initial_and_neutral_values_are_inside_the_range(name, setting):
    assert setting.low < setting.initial < setting.high
    assert setting.neutral in (None, setting.initial)
    low, high = PROCESSORS[name].limits[setting.name]
    assert low <= setting.low and setting.high <= high


@each_processor
def test_every_field_has_one_row_and_one_limit(name):
    processor = PROCESSORS[name]
    fields = [field.name for field in dataclasses.fields(processor.settings_type)]
    assert [setting.name for setting in processor.settings] == list(processor.limits) == fields
    assert any(setting.neutral is not None for setting in processor.settings)


@pytest.mark.parametrize("channels", [1, 2])
def test_neutral_processors_are_bit_identical(channels):
    audio = AUDIO[:, :5000, :channels].at[0, :100].set(0.0)
    out = jax.jit(apply_chain, static_argnums=2)(audio, make_settings(**all_initial()), RATE)
    np.testing.assert_array_equal(np.asarray(out).view(np.uint32), np.asarray(audio).view(np.uint32))


@each_processor
def test_neutrality_depends_only_on_the_neutral_settings(name):
    processor = PROCESSORS[name]
    initial = processor.initial_settings(2)
    assert processor.is_neutral(initial)
    for setting in processor.settings:
        values = jnp.asarray([setting.initial, setting.high], jnp.float32)
        other = dataclasses.replace(initial, **{setting.name: values})
        assert processor.is_neutral(other) == (setting.neutral is None), setting.name
    assert not processor.is_neutral(non_neutral(name))


def test_a_missing_processor_is_skipped():
    np.testing.assert_array_equal(apply_chain(AUDIO, make_settings(), RATE), AUDIO)
    alone = apply_chain(AUDIO, make_settings(width=non_neutral("width")), RATE)
    assert peak_error_db(alone, AUDIO) > -40.0


def output_loss(raws, target):
    """Mean square error of the chain's output, from the decoders' raw values."""
    values = {
        name: processor.settings_type(*(s.from_raw(raws[name, s.name]) for s in processor.settings))
        for name, processor in PROCESSORS.items()
    }
    return jnp.mean((apply_chain(EXCERPT, make_settings(**values), RATE) - target) ** 2)


def raw_gradients(raws):
    target = EXCERPT - 0.5 * jnp.roll(EXCERPT, 1, axis=1) + 0.1 * EXCERPT[:, :, ::-1]
    result = jax.jit(jax.grad(output_loss), compiler_options=FAST_COMPILE)(raws, target)
    return {key: np.asarray(value) for key, value in result.items()}


def test_every_setting_has_a_gradient():
    """Away from neutral, all settings have one; at the initial values, those have one that leave neutral."""
    raws = {(name, setting.name): jnp.asarray([0.4, -0.3]) for name, setting in SETTINGS}
    for key, result in raw_gradients(raws).items():
        assert np.all(np.isfinite(result)) and np.all(result != 0.0), key
    initial = raw_gradients({key: jnp.zeros(2) for key in raws})
    for name, setting in SETTINGS:
        result = initial[name, setting.name]
        assert np.all(np.isfinite(result)), setting
        assert setting.neutral is None or np.all(result != 0.0), setting


def test_distance_from_neutral_is_a_fraction_of_the_range():
    assert distance_from_neutral(make_settings()) is None
    np.testing.assert_array_equal(distance_from_neutral(make_settings(**all_initial())), np.zeros((2, 5)))
    result = distance_from_neutral(make_settings(**{name: non_neutral(name) for name in PROCESSORS}))
    # slope 2/3 of 0.9 + 0.5, make-up 2 of 24, mix 0.6 of 1.5, the side's factors −0.5 of 1.5 and 0.4 of 2
    expected = [(1 - 1 / 3.0) / 1.4, 2.0 / 24.0, 0.6 / 1.5, -0.5 / 1.5, 0.4 / 2.0]
    np.testing.assert_allclose(result, np.broadcast_to(expected, (2, 5)), rtol=1e-5)


@pytest.mark.parametrize(("rate", "size"), [(44_100, 5 * BLOCK_SIZE), (96_000, 37 * BLOCK_SIZE)])
def test_streaming_equals_one_call_after_latency_compensation(rate, size):
    audio = np.asarray(AUDIO[:, : 40 * BLOCK_SIZE + 17], np.float64)
    with jax.enable_x64(True):
        settings = {name: non_neutral(name, jnp.float64) for name in PROCESSORS}
        whole = np.asarray(jax.jit(apply_chain, static_argnums=2)(audio, make_settings(**settings), rate))
        result = audio
        for name, processor in PROCESSORS.items():
            latency = processor.latency_samples
            padded = np.pad(result, ((0, 0), (0, latency), (0, 0)))
            state, blocks = processor.initial_state(2, 2, rate, jnp.float64), []
            process_block = jax.jit(processor.process_block, static_argnums=2)
            for start in range(0, padded.shape[1], size):
                block, state = process_block(padded[:, start : start + size], settings[name], rate, state)
                blocks.append(np.asarray(block))
            result = np.concatenate(blocks, axis=1)[:, latency:]
    assert peak_error_db(result, whole) <= -200.0
    assert peak_error_db(whole, audio) > -20.0


def test_untrained_decoders_predict_initial_settings_and_the_side_changes_only_the_width():
    model, z, z_side = ProcessorDecoders(), noise((2, 512), 1), noise((2, 512), 2)
    variables = model.init(jax.random.key(0), z, z_side)
    jax.tree.map(np.testing.assert_array_equal, model.apply(variables, z, z_side), all_initial())
    trained = jax.tree.map(lambda x: x + 0.1 * noise(x.shape, 3), variables)
    before, after = model.apply(trained, z, z_side), model.apply(trained, z, -z_side)
    for name in PROCESSORS:
        same = [np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (before[name], after[name])), strict=True)]
        assert not any(same) if name == "width" else all(same), name


def test_every_matrix_product_has_the_highest_precision():
    settings = make_settings(**{name: non_neutral(name) for name in PROCESSORS})

    def energy(audio, settings):
        return jnp.sum(apply_chain(audio, settings, RATE) ** 2)

    result = precisions(jax.grad(energy, argnums=(0, 1)), AUDIO, settings)
    assert result and all(map(is_highest, result))


def doc_row(name, setting):
    """A setting as a row of the table in docs/explanation/processors.md."""
    unit = f" {setting.unit}" if setting.unit else ""
    ranges = ((setting.low, setting.high), PROCESSORS[name].limits[setting.name])
    ranges = (f"{round(low, 3):g} to {round(high, 3):g}{unit}" for low, high in ranges)
    neutral = "" if setting.neutral is None else f"{setting.neutral:g}{unit}"
    return " | ".join(
        (f"| {name}.{setting.name}", *ranges, setting.scale, f"{setting.initial:g}{unit}", f"{neutral} |")
    )


def test_the_table_in_the_documentation_is_up_to_date():
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "processors.md").read_text()
    rows = [
        line for line in page.replace("−", "-").splitlines() if line.startswith(tuple(f"| {n}." for n in PROCESSORS))
    ]
    expected = [doc_row(name, setting) for name, setting in SETTINGS]
    assert rows[: len(expected)] == expected, "\n".join(expected)
