"""One update: what is not finite and what is a spike is left out, float32 throughout, averages, micro-batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.config import load_config
from nmjax.models import build_model
from nmjax.training import step
from nmjax.training.state import apply_update, create_train_state, initial_variables, learning_rate_schedule
from nmjax.training.step import RandomInputs, make_train_step, make_validation_step
from tests.synthetic_audio import music
from tests.training.tiny_run import smooth_eq_distribution, tiny_config

GATE_OVERRIDES = ("loss.gate_l1=1.0", "loss.gate_l1_warmup_steps=4", "loss.gate_entropy=0", "loss.gain=0", "loss.q=0")


def step_config(phase="1c", *more):
    """A phase, smaller; by itself the one whose step is compiled for most of these tests."""
    return tiny_config(phase, *(more or GATE_OVERRIDES))


def make_state(c):
    return create_train_state(c, initial_variables(build_model(c), 0))


def make_batch():
    samples = round(0.45 * 44_100)
    target = np.stack([music(0.45, channels=1, seed=i)[:samples] for i in range(4)]).astype(np.float32)
    length = np.array([samples, samples, 9000, samples], np.int32)
    return {"target": target, "length": length, "number": np.arange(4, dtype=np.int32)}


def jit_train_step():
    return jax.jit(make_train_step(step_config()))


def random_inputs(order=0):
    return RandomInputs(np.int32(order), smooth_eq_distribution())


def leaves(tree):
    return [np.asarray(x) for x in jax.tree.leaves(tree)]


def test_a_non_finite_step_is_skipped_and_counted():
    state, metrics = jit_train_step()(make_state(step_config()), make_batch(), random_inputs())
    assert (int(metrics["skipped"]), int(metrics["consecutive_skips"])) == (0, 0)
    bad = make_batch()
    bad["target"][0, 100] = np.nan
    after, metrics = jit_train_step()(state, bad, random_inputs())
    assert (int(after.step), int(after.skipped), int(after.consecutive_skips)) == (2, 1, 1)
    for a, b in zip(leaves(protected_parts(after)), leaves(protected_parts(state)), strict=True):
        np.testing.assert_array_equal(a, b)
    after, metrics = jit_train_step()(after, make_batch(), random_inputs())
    assert (int(after.step), int(metrics["skipped"]), int(metrics["consecutive_skips"])) == (3, 1, 0)
    assert any((a != b).any() for a, b in zip(leaves(after.model), leaves(state.model), strict=True))


def protected_parts(state):
    """What an update that is left out must not touch."""
    return state.model, state.ema_variables, state.opt_state, state.loss_ema


def small_state(**changes):
    tree = {"params": {"conv": {"kernel": jnp.ones(3)}}}
    return create_train_state(step_config(), tree).replace(**changes)


def update_once(state, loss, **train):
    """The state after an update by 1 with that loss."""
    c = step_config().train.model_copy(update=train)
    after = jax.tree.map(lambda x: x + 1.0, state.model)
    return apply_update(state, after, state.opt_state, jnp.float32(loss), jnp.float32(1.0), c)


def test_a_loss_spike_is_skipped_after_warm_up():
    young, late_step = small_state(loss_ema=jnp.float32(0.5)), jnp.asarray(200)
    assert int(update_once(young, 100.0).skipped) == 0  # nothing is known yet
    old = young.replace(step=late_step)
    assert int(update_once(old, 1.99).skipped) == 0
    spiked = update_once(update_once(old, 2.01), 2.01)
    assert (int(spiked.skipped), int(spiked.consecutive_skips)) == (2, 2)
    for a, b in zip(leaves(protected_parts(spiked)), leaves(protected_parts(old)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(update_once(spiked, 0.5).consecutive_skips) == 0
    assert float(update_once(old, 1.0).loss_ema) == pytest.approx(0.51)


def test_the_average_follows_the_weights():
    state = small_state(step=jnp.asarray(10**6), loss_ema=jnp.float32(1.0))
    kernel = lambda tree: float(tree["params"]["conv"]["kernel"][0])  # noqa: E731
    after = update_once(state, 1.0, ema=0.9)
    assert (kernel(after.variables), kernel(after.ema_variables)) == (2.0, pytest.approx(1.1))
    assert kernel(update_once(state, 1.0, ema=0.0).ema_variables) == 2.0
    early = update_once(small_state(), 1.0, ema=0.999)  # a young average forgets its start quickly
    assert kernel(early.ema_variables) == pytest.approx(1.9)


def test_biases_before_batchnorm_are_not_updated():
    """Their gradient is rounding; the statistics take them out again."""
    state, _ = jit_train_step()(make_state(step_config()), make_batch(), random_inputs())
    state, _ = jit_train_step()(state, make_batch(), random_inputs())
    before, after = make_state(step_config()).variables["params"], state.model["params"]
    for name in ("stem_0", "stem_1"):
        np.testing.assert_array_equal(after["encoder"][name]["conv"]["bias"], before["encoder"][name]["conv"]["bias"])
    assert np.any(np.asarray(after["decoder"]["gain"]["dense"]["bias"]) != 0.0)


def test_micro_batches_add_up_to_the_whole_batch():
    """Without BatchNorm's statistics, which are each micro-batch's own: with the encoder's batch made of twins."""
    whole, twins = step_config("1a", "augment.mixup_prob=0", "model.dropout=0"), make_batch()
    for key, x in twins.items():
        twins[key] = np.repeat(x[:2], 2, axis=0)
    parts = whole.model_copy(update={"train": whole.train.model_copy(update={"accumulate": 2})})
    (a, m), (b, n) = (jax.jit(make_train_step(c))(make_state(c), twins, random_inputs()) for c in (whole, parts))
    for name in ("loss", "mr_stft", "gradient_norm"):
        assert float(m[name]) == pytest.approx(float(n[name]), rel=1e-4)
    for x, y in zip(leaves(a.model["params"]), leaves(b.model["params"]), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)


def jaxpr_dtypes(jaxpr):
    for equation in jaxpr.eqns:
        yield from (v.aval.dtype for v in equation.outvars)
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from jaxpr_dtypes(inner)


def test_the_step_contains_no_float64():
    """It would, if something in it switched 64 bits on for itself, or for the whole program."""
    jaxpr = jax.make_jaxpr(make_train_step(step_config()))(make_state(step_config()), make_batch(), random_inputs())
    seen = {str(d) for d in jaxpr_dtypes(jaxpr.jaxpr)}
    assert "float32" in seen
    assert not {"float64", "complex128"} & seen


def test_an_untrained_network_scores_as_the_identity_does():
    c = step_config()
    score = jax.jit(make_validation_step(c))
    metrics, sample = score(make_state(c).variables, make_batch())
    assert float(metrics["signal"]) == float(metrics["identity/signal"]) > 0.0
    np.testing.assert_array_equal(sample["output"], sample["input"])
    np.testing.assert_array_equal(sample["eq_response_db"], 0.0)
    assert np.abs(np.asarray(sample["target_response_db"])[8:]).max() > 0.5
    again, _ = score(make_state(c).variables, make_batch())
    assert float(again["signal"]) == float(metrics["signal"])
    later = make_batch()
    later["number"] += 4
    other, _ = score(make_state(c).variables, later)
    assert float(other["signal"]) != float(metrics["signal"])  # every excerpt has degradations of its own


def test_the_learning_rate_warms_up_and_falls_to_zero():
    train = load_config("1a", [], ["train.steps=100", "train.warmup_steps=10", "train.learning_rate=0.5"]).train
    rate = learning_rate_schedule(train)
    assert [float(rate(s)) for s in (0, 5, 10)] == pytest.approx([0.0, 0.25, 0.5])
    assert float(rate(55)) == pytest.approx(0.25)
    assert float(rate(100)) == pytest.approx(0.0, abs=1e-7)


def test_gate_l1_warms_up():
    state = make_state(step_config())
    for number, share in enumerate((0.0, 0.25)):
        state, m = jit_train_step()(state.replace(step=jnp.asarray(number, jnp.int32)), make_batch(), random_inputs())
        assert float(m["loss"] - m["signal"]) == pytest.approx(share * float(m["gate_l1"]), abs=1e-4)


def test_frozen_parts_stay_and_the_others_are_updated():
    """The encoder's statistics and the decoder's dropout included: with both frozen, all is as in mastering."""
    frozen = step_config("1b", "train.frozen=[encoder,decoder]", "train.weight_decay=0.1", "train.warmup_steps=0")
    state = make_state(frozen)
    after, metrics = jax.jit(make_train_step(frozen))(state, make_batch(), random_inputs())
    for part in ("encoder", "decoder"):
        for kind in state.variables.keys() & {"params", "batch_stats"}:
            for a, b in zip(leaves(after.model[kind].get(part)), leaves(state.variables[kind].get(part)), strict=True):
                np.testing.assert_array_equal(a, b)
    changed = zip(leaves(after.model["params"]["residual"]), leaves(state.variables["params"]["residual"]), strict=True)
    assert any((a != b).any() for a, b in changed)
    assert float(metrics["gradient_norm"]) > 0.0


def test_a_section_is_scored_with_settings_of_the_whole_excerpt():
    """The stretch lies inside the signal, source and target alike, and a validation judges its middle."""
    c = step_config("1a", "loss.segment_seconds=0.1")
    size = 4410
    source = jnp.arange(4 * 20_000, dtype=jnp.float32).reshape(4, 20_000, 1)
    lengths = jnp.array([20_000, 10_000, 3000, 4411])
    for position in (0.0, 0.5, 0.999999):
        section, target, section_lengths = step._crop_segment(source, -source, lengths, jnp.full(4, position), c)
        starts = np.array([int(position * (max(n - size, 0) + 1)) for n in lengths])
        np.testing.assert_array_equal(
            section[:, :, 0], np.asarray(source)[:, 0, 0][:, None] + starts[:, None] + np.arange(size)
        )
        np.testing.assert_array_equal(target, -section)
        np.testing.assert_array_equal(section_lengths, [size, size, 3000, size])
    _, sample = jax.jit(make_validation_step(c))(make_state(c).variables, make_batch())
    assert sample["output"].shape == (size, 1)
