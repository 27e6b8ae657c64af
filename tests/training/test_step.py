"""One update: non-finite and spiking updates are skipped, no float64, the running average, micro-batches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.config import load_config
from nmjax.models import build_model
from nmjax.training.state import apply_update, create_train_state, initial_variables, learning_rate_schedule
from nmjax.training.step import Pair, RandomInputs, crop_segment, make_train_step
from nmjax.training.validation_step import make_validation_step
from tests.synthetic_audio import music
from tests.training.tiny_run import smooth_eq_distribution, tiny_config

GATE_OVERRIDES = ("loss.gate_l1=1.0", "loss.gate_l1_warmup_steps=4", "loss.gate_entropy=0", "loss.gain=0", "loss.q=0")
CONFIG = tiny_config("1c", *GATE_OVERRIDES)  # of the one step that most of these tests share


@functools.cache
def _initial_variables(config):
    return initial_variables(build_model(config), 0)


def make_state(config=CONFIG):
    return create_train_state(config, _initial_variables(config))


def make_batch():
    samples = round(0.45 * 44_100)
    target = np.stack([music(0.45, channels=1, seed=i)[:samples] for i in range(4)]).astype(np.float32)
    length = np.array([samples, samples, 9000, samples], np.int32)
    return {"target": target, "length": length, "number": np.arange(4, dtype=np.int32)}


@functools.cache
def train_step(config=CONFIG):
    return jax.jit(make_train_step(config))


@functools.cache
def validation_step(config):
    return jax.jit(make_validation_step(config))


def random_inputs():
    return RandomInputs(np.int32(0), smooth_eq_distribution())


def leaves(tree):
    return [np.asarray(x) for x in jax.tree.leaves(tree)]


def assert_equal(a, b):
    for x, y in zip(leaves(a), leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def is_changed(a, b):
    return any((x != y).any() for x, y in zip(leaves(a), leaves(b), strict=True))


def test_a_non_finite_step_is_skipped_and_counted():
    state, metrics = train_step()(make_state(), make_batch(), random_inputs())
    assert (int(metrics["skipped"]), int(metrics["consecutive_skips"])) == (0, 0)
    bad = make_batch()
    bad["target"][0, 100] = np.nan
    after, metrics = train_step()(state, bad, random_inputs())
    assert (int(after.step), int(after.skipped), int(after.consecutive_skips)) == (2, 1, 1)
    assert_equal(protected_parts(after), protected_parts(state))
    after, metrics = train_step()(after, make_batch(), random_inputs())
    assert (int(after.step), int(metrics["skipped"]), int(metrics["consecutive_skips"])) == (3, 1, 0)
    assert is_changed(after.variables, state.variables)


def protected_parts(state):
    """Everything that a skipped update must not change."""
    return state.variables, state.ema_variables, state.opt_state, state.loss_ema


def small_state(**changes):
    tree = {"params": {"conv": {"kernel": jnp.ones(3)}}}
    return create_train_state(CONFIG, tree).replace(**changes)


def update_once(state, loss, **train):
    """The state after adding 1 to each variable with that loss."""
    config = CONFIG.train.model_copy(update=train)
    variables = jax.tree.map(lambda x: x + 1.0, state.variables)
    return apply_update(state, variables, state.opt_state, jnp.float32(loss), jnp.float32(1.0), config)


def test_a_loss_spike_is_skipped_after_the_first_good_updates():
    young = small_state(loss_ema=jnp.float32(0.5))
    assert int(update_once(young, 100.0).skipped) == 0  # the running mean is not known yet
    old = young.replace(step=jnp.asarray(200))
    assert int(update_once(old, 1.99).skipped) == 0
    spiked = update_once(update_once(old, 2.01), 2.01)
    assert (int(spiked.skipped), int(spiked.consecutive_skips)) == (2, 2)
    assert_equal(protected_parts(spiked), protected_parts(old))
    assert int(update_once(spiked, 0.5).consecutive_skips) == 0
    assert float(update_once(old, 1.0).loss_ema) == pytest.approx(0.51)


def test_the_average_follows_the_weights():
    def kernel(tree):
        return float(tree["params"]["conv"]["kernel"][0])

    state = small_state(step=jnp.asarray(10**6), loss_ema=jnp.float32(1.0))
    after = update_once(state, 1.0, ema_decay=0.9)
    assert (kernel(after.variables), kernel(after.ema_variables)) == (2.0, pytest.approx(1.1))
    assert kernel(update_once(state, 1.0, ema_decay=0.0).ema_variables) == 2.0
    early = update_once(small_state(), 1.0, ema_decay=0.999)  # a young average forgets the initial weights quickly
    assert kernel(early.ema_variables) == pytest.approx(1.9)


def test_biases_before_batchnorm_are_not_updated():
    """Their gradient is rounding noise, since BatchNorm cancels them."""
    state, _ = train_step()(make_state(), make_batch(), random_inputs())
    state, _ = train_step()(state, make_batch(), random_inputs())
    before, after = make_state().variables["params"], state.variables["params"]
    for name in ("stem_0", "stem_1"):
        assert_equal(after["encoder"][name]["conv"]["bias"], before["encoder"][name]["conv"]["bias"])
    assert np.any(np.asarray(after["decoder"]["gain"]["dense"]["bias"]) != 0.0)


def test_micro_batches_add_up_to_the_whole_batch():
    """With a batch of identical pairs, so that the BatchNorm statistics of each micro-batch are those of the batch."""
    whole, batch = tiny_config("1a", "augment.mixup_prob=0", "model.dropout=0"), make_batch()
    batch = {key: np.repeat(x[:2], 2, axis=0) for key, x in batch.items()}
    split = whole.model_copy(update={"train": whole.train.model_copy(update={"grad_accum_steps": 2})})
    (state, metrics), (split_state, split_metrics) = (
        train_step(config)(make_state(config), batch, random_inputs()) for config in (whole, split)
    )
    for name in ("loss", "mr_stft", "grad_norm"):
        assert float(metrics[name]) == pytest.approx(float(split_metrics[name]), rel=1e-4)
    for x, y in zip(leaves(state.variables["params"]), leaves(split_state.variables["params"]), strict=True):
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
    """It would, if a part of it or the whole program enabled 64 bits."""
    jaxpr = jax.make_jaxpr(make_train_step(CONFIG))(make_state(), make_batch(), random_inputs())
    dtypes = {str(d) for d in jaxpr_dtypes(jaxpr.jaxpr)}
    assert "float32" in dtypes
    assert not {"float64", "complex128"} & dtypes


def test_an_untrained_network_has_the_validation_loss_of_the_identity():
    validate, variables = validation_step(CONFIG), make_state().variables
    metrics, sample = validate(variables, make_batch())
    assert float(metrics["signal"]) == float(metrics["identity/signal"]) > 0.0
    np.testing.assert_array_equal(sample["output"], sample["input"])
    np.testing.assert_array_equal(sample["eq_response_db"], 0.0)
    assert np.abs(np.asarray(sample["target_response_db"])[8:]).max() > 0.5
    again, _ = validate(variables, make_batch())
    assert float(again["signal"]) == float(metrics["signal"])
    later = make_batch()
    later["number"] += 4
    other, _ = validate(variables, later)
    assert float(other["signal"]) != float(metrics["signal"])  # each excerpt has its own degradation


def test_the_learning_rate_warms_up_and_falls_to_zero():
    train = load_config("1a", [], ["train.steps=100", "train.warmup_steps=10", "train.learning_rate=0.5"]).train
    rate = learning_rate_schedule(train)
    assert [float(rate(s)) for s in (0, 5, 10)] == pytest.approx([0.0, 0.25, 0.5])
    assert float(rate(55)) == pytest.approx(0.25)
    assert float(rate(100)) == pytest.approx(0.0, abs=1e-7)


def test_gate_l1_warms_up():
    state = make_state()
    for number, weight in enumerate((0.0, 0.25)):
        state = state.replace(step=jnp.asarray(number, jnp.int32))
        state, metrics = train_step()(state, make_batch(), random_inputs())
        assert float(metrics["loss"] - metrics["signal"]) == pytest.approx(weight * float(metrics["gate_l1"]), abs=1e-4)


def test_frozen_modules_keep_their_values_and_the_others_are_updated():
    """Including the encoder's statistics."""
    config = tiny_config("1b", "train.frozen=[encoder,decoder]", "train.weight_decay=0.1", "train.warmup_steps=0")
    state = make_state(config)
    after, metrics = train_step(config)(state, make_batch(), random_inputs())
    for module in ("encoder", "decoder"):
        for kind in state.variables.keys() & {"params", "batch_stats"}:
            assert_equal(after.variables[kind].get(module), state.variables[kind].get(module))
    assert is_changed(after.variables["params"]["residual"], state.variables["params"]["residual"])
    assert float(metrics["grad_norm"]) > 0.0


def test_young_running_statistics_follow_the_batches():
    """Their decay after the first updates is 1/10, 2/11, 3/12, …, at most `model.bn_momentum`."""

    def statistics_after_a_step(momentum):
        config = tiny_config("1a", "model.encoder=tcn", f"model.bn_momentum={momentum}")
        return train_step(config)(make_state(config), make_batch(), random_inputs())[0].variables["batch_stats"]

    initial = make_state(tiny_config("1a", "model.encoder=tcn")).variables["batch_stats"]
    of_batch = statistics_after_a_step(0.0)
    assert is_changed(of_batch, initial)
    for momentum, decay in ((0.99, 0.1), (0.05, 0.05)):
        expected = jax.tree.map(lambda a, b, d=decay: d * a + (1.0 - d) * b, initial, of_batch)
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-7),
            statistics_after_a_step(momentum),
            expected,
        )


def test_the_spectral_branch_can_be_frozen_alone():
    overrides = ("model.encoder=two_branch", "train.frozen=[encoder/spectral]", "train.warmup_steps=0")
    state = make_state(config := tiny_config("1a", *overrides))
    after, _ = train_step(config)(state, make_batch(), random_inputs())
    before_branches, after_branches = (x.variables["params"]["encoder"] for x in (state, after))
    assert_equal(after_branches["spectral"], before_branches["spectral"])
    assert is_changed(after_branches["waveform"], before_branches["waveform"])


def test_a_segment_is_rendered_with_the_settings_of_the_whole_excerpt():
    """The segment is inside the signal, in source and target alike, and a validation takes the middle."""
    config = tiny_config("1a", "loss.segment_seconds=0.1")
    size = 4410
    source = jnp.arange(4 * 20_000, dtype=jnp.float32).reshape(4, 20_000, 1)
    lengths = jnp.array([20_000, 10_000, 3000, 4411])
    for position in (0.0, 0.5, 0.999999):
        segment = crop_segment(Pair(source, -source, lengths), jnp.full(4, position), config)
        starts = np.array([int(position * (max(n - size, 0) + 1)) for n in lengths])
        expected = np.asarray(source)[:, 0, 0][:, None] + starts[:, None] + np.arange(size)
        np.testing.assert_array_equal(segment.source[:, :, 0], expected)
        np.testing.assert_array_equal(segment.target, -segment.source)
        np.testing.assert_array_equal(segment.lengths, [size, size, 3000, size])
    _, sample = validation_step(config)(make_state(config).variables, make_batch())
    assert sample["output"].shape == (size, 1)
