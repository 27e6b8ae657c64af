"""The table of the stages' settings, the decoders that fill it, and the chain in pieces."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models import stages
from nmjax.models.settings import EqSettings, at_model_level
from nmjax.models.stages import LATENCY, PIECE, STAGES, TABLE
from tests.dsp.test_precision import precisions, stated
from tests.models.helpers import QUICKLY, apart_db, noise
from tests.music import music

RATE = 44_100
AUDIO = jnp.asarray(np.stack([music(0.4, seed=1), music(0.4, seed=2)]), jnp.float32)
MOVED = {  # away from every neutral value and from every end
    "compressor": {"threshold_db": -26.0, "ratio": 3.0, "attack_ms": 8.0, "release_ms": 90.0, "knee_db": 5.0,
                   "makeup_db": 2.0},
    "saturator": {"drive_db": 11.0, "mix": 0.6, "asymmetry": 0.4},
    "width": {"low": 0.5, "high": 1.4},
}  # fmt: skip
each_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.stage}.{row.name}")
each_stage = pytest.mark.parametrize("stage", STAGES)


def moved(stage, dtype=jnp.float32, batch=2):
    return STAGES[stage](**{name: jnp.full((batch,), value, dtype) for name, value in MOVED[stage].items()})


def settings_with(**given):
    """A prediction's settings with these stages, the equaliser flat."""
    flat = EqSettings(*(jnp.full((2, 1), value, jnp.float32) for value in (1000.0, 0.0, 1.0, 1.0)))
    return at_model_level(flat).replace(**given)


def on_axis(row, value):
    """Where a value lies on the axis that the setting moves on."""
    value = np.asarray(value, np.float64)
    return {"linear": lambda: value, "log": lambda: np.log(value), "slope": lambda: 1.0 - 1.0 / value}[row.axis]()


@each_row
def test_zero_is_the_start_exactly_and_large_numbers_are_the_ends(row):
    assert row.of_raw(jnp.zeros(1))[0] == np.float32(row.start)
    for raw, end in ((-30.0, row.low), (30.0, row.high)):
        np.testing.assert_allclose(row.of_raw(jnp.full((1,), raw))[0], end, rtol=2e-6, atol=1e-6)
    values = np.asarray(row.of_raw(jnp.linspace(-8.0, 8.0, 1001)))
    assert np.all(np.diff(values) >= -1e-6 * np.abs(values[1:]) - 2e-6), "but for rounding"
    low, high = row.limits
    span = 1e-6 * (row.high - row.low)
    assert low - span <= values.min() and values.max() <= high + span, "what the stage itself accepts"


@each_row
def test_the_slope_is_the_same_on_both_sides_of_the_start_and_half_the_range(row):
    """As of a sigmoid over the whole range, whatever side of the start is longer."""
    step, wanted = 1e-3, 0.5 * (on_axis(row, row.high) - on_axis(row, row.low))
    with jax.enable_x64(True):
        below, above = (row.of_raw(jnp.full((1,), raw, jnp.float64))[0] for raw in (-step, step))
    slopes = np.array([on_axis(row, row.start) - on_axis(row, below), on_axis(row, above) - on_axis(row, row.start)])
    np.testing.assert_allclose(slopes / step, wanted, rtol=1e-3)


@each_row
def test_start_and_neutral_lie_inside_what_can_be_chosen(row):
    assert row.low < row.start < row.high
    if row.neutral is not None:
        assert row.start == row.neutral
    assert row.limits[0] <= row.low and row.high <= row.limits[1]


def test_the_table_names_every_field_of_every_stage_once():
    for stage, kind in STAGES.items():
        fields = tuple(field.name for field in dataclasses.fields(kind))
        assert tuple(row.name for row in stages.settings_of(stage)) == fields
        assert any(row.neutral is not None for row in stages.settings_of(stage))
    assert len(TABLE) == sum(len(stages.settings_of(stage)) for stage in STAGES)


@pytest.mark.parametrize("channels", [1, 2])
def test_neutral_is_the_identity_to_the_bit(channels):
    given = settings_with(**{stage: stages.start_of(stage, 2) for stage in STAGES})
    audio = AUDIO[:, :5000, :channels].at[0, :100].set(0.0)
    out = jax.jit(stages.play, static_argnums=2)(audio, given, RATE)
    np.testing.assert_array_equal(np.asarray(out).view(np.uint32), np.asarray(audio).view(np.uint32))


@each_stage
def test_whether_a_stage_is_neutral_is_asked_of_its_neutral_settings_alone(stage):
    start = stages.start_of(stage, 2)
    assert stages.is_neutral(stage, start)
    for row in stages.settings_of(stage):
        other = dataclasses.replace(start, **{row.name: jnp.asarray([row.start, row.high], jnp.float32)})
        assert stages.is_neutral(stage, other) == (row.neutral is None), row.name
    assert not stages.is_neutral(stage, moved(stage))


def test_a_stage_that_is_missing_is_left_out():
    np.testing.assert_array_equal(stages.play(AUDIO, settings_with(), RATE), AUDIO)
    alone = stages.play(AUDIO, settings_with(width=moved("width")), RATE)
    assert apart_db(alone, AUDIO) > -40.0


def loss_of(raws, target):
    """From a decoder's outputs to a loss on what is heard; mean square, so that nothing is dead by the loss's doing."""
    values = {
        stage: STAGES[stage](*(row.of_raw(raws[stage, row.name]) for row in stages.settings_of(stage)))
        for stage in STAGES
    }
    return jnp.mean((stages.play(AUDIO, settings_with(**values), RATE) - target) ** 2)


def gradients(raws):
    target = AUDIO - 0.5 * jnp.roll(AUDIO, 1, axis=1) + 0.1 * AUDIO[:, :, ::-1]
    found = jax.jit(jax.grad(loss_of), compiler_options=QUICKLY)(raws, target)
    return {name: np.asarray(value) for name, value in found.items()}


def test_no_setting_is_dead():
    """Away from neutral every one has a gradient; at the start those have one that leave neutral."""
    raws = {(row.stage, row.name): jnp.asarray([0.4, -0.3]) for row in TABLE}
    for name, found in gradients(raws).items():
        assert np.all(np.isfinite(found)) and np.all(found != 0.0), name
    at_start = gradients({name: jnp.zeros(2) for name in raws})
    for row in TABLE:
        found = at_start[row.stage, row.name]
        assert np.all(np.isfinite(found)), row
        assert row.neutral is None or np.all(found != 0.0), row


def test_how_far_from_neutral_is_a_share_of_the_range():
    assert stages.processing(settings_with()) is None
    nothing = stages.processing(settings_with(**{stage: stages.start_of(stage, 2) for stage in STAGES}))
    np.testing.assert_array_equal(nothing, np.zeros((2, 5)))
    found = stages.processing(settings_with(**{stage: moved(stage) for stage in STAGES}))
    # slope 2/3 of 0.9 + 0.5, make-up 2 of 24, mix 0.6 of 1.5, the side's factors −0.5 of 1.5 and 0.4 of 2
    wanted = [(1 - 1 / 3.0) / 1.4, 2.0 / 24.0, 0.6 / 1.5, -0.5 / 1.5, 0.4 / 2.0]
    np.testing.assert_allclose(found, np.broadcast_to(wanted, (2, 5)), rtol=1e-5)


@pytest.mark.parametrize(("rate", "size"), [(44_100, 5 * PIECE), (96_000, 37 * PIECE)])
def test_pieces_in_turn_are_the_whole_with_the_delay_taken_off(rate, size):
    audio = np.asarray(AUDIO[:, : 40 * PIECE + 17], np.float64)
    with jax.enable_x64(True):
        given = {stage: moved(stage, jnp.float64) for stage in STAGES}
        whole = np.asarray(jax.jit(stages.play, static_argnums=2)(audio, settings_with(**given), rate))
        found = audio
        for stage, settings in given.items():
            late = LATENCY[stage]
            padded = np.pad(found, ((0, 0), (0, late), (0, 0)))
            state, out = stages.stage_state(stage, 2, 2, rate, jnp.float64), []
            step = jax.jit(stages.play_piece, static_argnums=(1, 3))
            for start in range(0, padded.shape[1], size):
                piece, state = step(padded[:, start : start + size], stage, settings, rate, state)
                out.append(np.asarray(piece))
            found = np.concatenate(out, axis=1)[:, late:]
    assert apart_db(found, whole) <= -200.0
    assert apart_db(whole, audio) > -20.0


def test_untrained_decoders_stand_at_the_starts_and_the_side_moves_the_width_alone():
    model, z, side = stages.StageDecoders(), noise((2, 512), 1), noise((2, 512), 2)
    variables = model.init(jax.random.key(0), z, side)
    for stage, found in model.apply(variables, z, side).items():
        jax.tree.map(np.testing.assert_array_equal, found, stages.start_of(stage, 2))
    trained = jax.tree.map(lambda x: x + 0.1 * noise(x.shape, 3), variables)
    before, after = model.apply(trained, z, side), model.apply(trained, z, -side)
    for stage in STAGES:
        same = [np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (before[stage], after[stage])), strict=True)]
        assert not any(same) if stage == "width" else all(same), stage


def test_every_product_states_the_highest_precision():
    given = settings_with(**{stage: moved(stage) for stage in STAGES})

    def energy(audio, given):
        return jnp.sum(stages.play(audio, given, RATE) ** 2)

    found = precisions(jax.grad(energy, argnums=(0, 1)), AUDIO, given)
    assert found and all(map(stated, found))


def documented(row):
    """A setting as a row of the table in docs/grey-box.md."""
    unit = f" {row.unit}" if row.unit else ""
    ends = (f"{round(low, 3):g} to {round(high, 3):g}{unit}" for low, high in ((row.low, row.high), row.limits))
    neutral = "" if row.neutral is None else f"{row.neutral:g}{unit}"
    return " | ".join((f"| {row.stage}.{row.name}", *ends, row.axis, f"{row.start:g}{unit}", f"{neutral} |"))


def test_the_table_in_the_documentation_is_this_one():
    page = (Path(__file__).parents[2] / "docs" / "grey-box.md").read_text()
    stated = [line for line in page.replace("−", "-").splitlines() if line.startswith(tuple(f"| {s}." for s in STAGES))]
    wanted = [documented(row) for row in TABLE]
    assert stated[: len(wanted)] == wanted, "\n".join(wanted)
