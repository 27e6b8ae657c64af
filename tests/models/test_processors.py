"""The table of the stages' settings, the decoders that fill it, and the chain in pieces."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models import processors
from nmjax.models.parameters import EqSettings, at_model_level
from nmjax.models.processors import BLOCK_SIZE, LATENCY_SAMPLES, PROCESSORS, SETTING_TABLE
from tests.dsp.test_matmul_precision import is_highest, precisions
from tests.models.helpers import FAST_COMPILE, noise, peak_error_db
from tests.synthetic_audio import music

RATE = 44_100
AUDIO = jnp.asarray(np.stack([music(0.4, seed=1), music(0.4, seed=2)]), jnp.float32)
NON_NEUTRAL = {  # away from every neutral value and from every end
    "compressor": {"threshold_db": -26.0, "ratio": 3.0, "attack_ms": 8.0, "release_ms": 90.0, "knee_db": 5.0,
                   "makeup_db": 2.0},
    "saturator": {"drive_db": 11.0, "mix": 0.6, "asymmetry": 0.4},
    "width": {"low": 0.5, "high": 1.4},
}  # fmt: skip
each_row = pytest.mark.parametrize("row", SETTING_TABLE, ids=lambda row: f"{row.processor}.{row.name}")
each_processor = pytest.mark.parametrize("stage", PROCESSORS)


def non_neutral(stage, dtype=jnp.float32, batch=2):
    return PROCESSORS[stage](**{name: jnp.full((batch,), value, dtype) for name, value in NON_NEUTRAL[stage].items()})


def make_settings(**processors):
    """A prediction's settings with these stages, the equaliser flat."""
    flat = EqSettings(*(jnp.full((2, 1), value, jnp.float32) for value in (1000.0, 0.0, 1.0, 1.0)))
    return at_model_level(flat).replace(**processors)


def to_axis(row, value):
    """Where a value lies on the axis that the setting moves on."""
    value = np.asarray(value, np.float64)
    return {"linear": lambda: value, "log": lambda: np.log(value), "slope": lambda: 1.0 - 1.0 / value}[row.scale]()


@each_row
def test_raw_zero_is_the_default_and_large_values_reach_the_ends(row):
    assert row.from_raw(jnp.zeros(1))[0] == np.float32(row.start)
    for raw, end in ((-30.0, row.low), (30.0, row.high)):
        np.testing.assert_allclose(row.from_raw(jnp.full((1,), raw))[0], end, rtol=2e-6, atol=1e-6)
    values = np.asarray(row.from_raw(jnp.linspace(-8.0, 8.0, 1001)))
    assert np.all(np.diff(values) >= -1e-6 * np.abs(values[1:]) - 2e-6), "but for rounding"
    low, high = row.limits
    span = 1e-6 * (row.high - row.low)
    assert low - span <= values.min() and values.max() <= high + span, "what the stage itself accepts"


@each_row
def test_the_slope_is_the_same_on_both_sides_of_the_start_and_half_the_range(row):
    """As of a sigmoid over the whole range, whatever side of the start is longer."""
    step, expected = 1e-3, 0.5 * (to_axis(row, row.high) - to_axis(row, row.low))
    with jax.enable_x64(True):
        below, above = (row.from_raw(jnp.full((1,), raw, jnp.float64))[0] for raw in (-step, step))
    slopes = np.array([to_axis(row, row.start) - to_axis(row, below), to_axis(row, above) - to_axis(row, row.start)])
    np.testing.assert_allclose(slopes / step, expected, rtol=1e-3)


@each_row
def test_default_and_neutral_lie_inside_the_range(row):
    assert row.low < row.start < row.high
    if row.neutral is not None:
        assert row.start == row.neutral
    assert row.limits[0] <= row.low and row.high <= row.limits[1]


def test_the_table_has_every_field_of_every_processor_once():
    for stage, kind in PROCESSORS.items():
        fields = tuple(field.name for field in dataclasses.fields(kind))
        assert tuple(row.name for row in processors.processor_settings(stage)) == fields
        assert any(row.neutral is not None for row in processors.processor_settings(stage))
    assert len(SETTING_TABLE) == sum(len(processors.processor_settings(stage)) for stage in PROCESSORS)


@pytest.mark.parametrize("channels", [1, 2])
def test_neutral_is_bit_identical(channels):
    given = make_settings(**{stage: processors.initial_settings(stage, 2) for stage in PROCESSORS})
    audio = AUDIO[:, :5000, :channels].at[0, :100].set(0.0)
    out = jax.jit(processors.apply_chain, static_argnums=2)(audio, given, RATE)
    np.testing.assert_array_equal(np.asarray(out).view(np.uint32), np.asarray(audio).view(np.uint32))


@each_processor
def test_neutrality_depends_only_on_the_neutral_settings(stage):
    start = processors.initial_settings(stage, 2)
    assert processors.is_neutral(stage, start)
    for row in processors.processor_settings(stage):
        other = dataclasses.replace(start, **{row.name: jnp.asarray([row.initial, row.high], jnp.float32)})
        assert processors.is_neutral(stage, other) == (row.neutral is None), row.name
    assert not processors.is_neutral(stage, non_neutral(stage))


def test_a_missing_processor_is_skipped():
    np.testing.assert_array_equal(processors.apply_chain(AUDIO, make_settings(), RATE), AUDIO)
    alone = processors.apply_chain(AUDIO, make_settings(width=non_neutral("width")), RATE)
    assert peak_error_db(alone, AUDIO) > -40.0


def output_loss(raws, target):
    """From a decoder's outputs to a loss on what is heard; mean square, so that nothing is dead by the loss's doing."""
    values = {
        stage: PROCESSORS[stage](*(row.from_raw(raws[stage, row.name]) for row in processors.processor_settings(stage)))
        for stage in PROCESSORS
    }
    return jnp.mean((processors.apply_chain(AUDIO, make_settings(**values), RATE) - target) ** 2)


def raw_gradients(raws):
    target = AUDIO - 0.5 * jnp.roll(AUDIO, 1, axis=1) + 0.1 * AUDIO[:, :, ::-1]
    result = jax.jit(jax.grad(output_loss), compiler_options=FAST_COMPILE)(raws, target)
    return {name: np.asarray(value) for name, value in result.items()}


def test_every_setting_has_a_gradient():
    """Away from neutral every one has a gradient; at the start those have one that leave neutral."""
    raws = {(row.processor, row.name): jnp.asarray([0.4, -0.3]) for row in SETTING_TABLE}
    for name, result in raw_gradients(raws).items():
        assert np.all(np.isfinite(result)) and np.all(result != 0.0), name
    at_start = raw_gradients({name: jnp.zeros(2) for name in raws})
    for row in SETTING_TABLE:
        result = at_start[row.processor, row.name]
        assert np.all(np.isfinite(result)), row
        assert row.neutral is None or np.all(result != 0.0), row


def test_neutrality_distance_is_a_fraction_of_the_range():
    assert processors.distance_from_neutral(make_settings()) is None
    nothing = processors.distance_from_neutral(
        make_settings(**{stage: processors.initial_settings(stage, 2) for stage in PROCESSORS})
    )
    np.testing.assert_array_equal(nothing, np.zeros((2, 5)))
    result = processors.distance_from_neutral(make_settings(**{stage: non_neutral(stage) for stage in PROCESSORS}))
    # slope 2/3 of 0.9 + 0.5, make-up 2 of 24, mix 0.6 of 1.5, the side's factors −0.5 of 1.5 and 0.4 of 2
    expected = [(1 - 1 / 3.0) / 1.4, 2.0 / 24.0, 0.6 / 1.5, -0.5 / 1.5, 0.4 / 2.0]
    np.testing.assert_allclose(result, np.broadcast_to(expected, (2, 5)), rtol=1e-5)


@pytest.mark.parametrize(("rate", "size"), [(44_100, 5 * BLOCK_SIZE), (96_000, 37 * BLOCK_SIZE)])
def test_streaming_equals_one_call_after_latency_compensation(rate, size):
    audio = np.asarray(AUDIO[:, : 40 * BLOCK_SIZE + 17], np.float64)
    with jax.enable_x64(True):
        given = {stage: non_neutral(stage, jnp.float64) for stage in PROCESSORS}
        whole = np.asarray(jax.jit(processors.apply_chain, static_argnums=2)(audio, make_settings(**given), rate))
        result = audio
        for stage, settings in given.items():
            late = LATENCY_SAMPLES[stage]
            padded = np.pad(result, ((0, 0), (0, late), (0, 0)))
            state, out = processors.processor_state(stage, 2, 2, rate, jnp.float64), []
            step = jax.jit(processors.process_block, static_argnums=(1, 3))
            for start in range(0, padded.shape[1], size):
                piece, state = step(padded[:, start : start + size], stage, settings, rate, state)
                out.append(np.asarray(piece))
            result = np.concatenate(out, axis=1)[:, late:]
    assert peak_error_db(result, whole) <= -200.0
    assert peak_error_db(whole, audio) > -20.0


def test_untrained_decoders_predict_the_defaults_and_the_side_changes_only_the_width():
    model, z, side = processors.ProcessorDecoders(), noise((2, 512), 1), noise((2, 512), 2)
    variables = model.init(jax.random.key(0), z, side)
    for stage, result in model.apply(variables, z, side).items():
        jax.tree.map(np.testing.assert_array_equal, result, processors.initial_settings(stage, 2))
    trained = jax.tree.map(lambda x: x + 0.1 * noise(x.shape, 3), variables)
    before, after = model.apply(trained, z, side), model.apply(trained, z, -side)
    for stage in PROCESSORS:
        same = [np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (before[stage], after[stage])), strict=True)]
        assert not any(same) if stage == "width" else all(same), stage


def test_every_product_states_the_highest_precision():
    given = make_settings(**{stage: non_neutral(stage) for stage in PROCESSORS})

    def energy(audio, given):
        return jnp.sum(processors.apply_chain(audio, given, RATE) ** 2)

    result = precisions(jax.grad(energy, argnums=(0, 1)), AUDIO, given)
    assert result and all(map(is_highest, result))


def doc_row(row):
    """A setting as a row of the table in docs/processors.md."""
    unit = f" {row.unit}" if row.unit else ""
    ends = (f"{round(low, 3):g} to {round(high, 3):g}{unit}" for low, high in ((row.low, row.high), row.limits))
    neutral = "" if row.neutral is None else f"{row.neutral:g}{unit}"
    return " | ".join((f"| {row.processor}.{row.name}", *ends, row.scale, f"{row.initial:g}{unit}", f"{neutral} |"))


def test_the_table_in_the_documentation_is_this_one():
    page = (Path(__file__).parents[2] / "docs" / "processors.md").read_text()
    stated = [
        line for line in page.replace("−", "-").splitlines() if line.startswith(tuple(f"| {s}." for s in PROCESSORS))
    ]
    expected = [doc_row(row) for row in SETTING_TABLE]
    assert stated[: len(expected)] == expected, "\n".join(expected)
