"""One update: what is not finite and what is a spike is left out, float32 throughout, averages, micro-batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.config import load_config
from nmjax.models import build_model
from nmjax.training import step
from nmjax.training.state import advanced, initial_state, initial_variables, learning_rate
from nmjax.training.step import Dice, make_train_step, make_validation_step
from tests.music import music
from tests.training.tiny import style, tiny

SPARSE = ("loss.sparsity=1.0", "loss.sparsity_warmup=4", "loss.decisiveness=0", "loss.gain=0", "loss.q=0")


def config(phase="1c", *more):
    """A phase, smaller; by itself the one whose step is compiled for most of these tests."""
    return tiny(phase, *(more or SPARSE))


def fresh(c):
    return initial_state(c, initial_variables(build_model(c), 0))


def batch():
    samples = round(0.45 * 44_100)
    target = np.stack([music(0.45, channels=1, seed=i)[:samples] for i in range(4)]).astype(np.float32)
    length = np.array([samples, samples, 9000, samples], np.int32)
    return {"target": target, "length": length, "number": np.arange(4, dtype=np.int32)}


def compiled():
    return jax.jit(make_train_step(config()))


def dice(order=0):
    return Dice(np.int32(order), style())


def leaves(tree):
    return [np.asarray(x) for x in jax.tree.leaves(tree)]


def test_a_step_that_is_not_finite_is_left_out_and_counted():
    state, metrics = compiled()(fresh(config()), batch(), dice())
    assert (int(metrics["skipped"]), int(metrics["in_row"])) == (0, 0)
    bad = batch()
    bad["target"][0, 100] = np.nan
    after, metrics = compiled()(state, bad, dice())
    assert (int(after.step), int(after.skipped), int(after.in_row)) == (2, 1, 1)
    for a, b in zip(leaves(kept(after)), leaves(kept(state)), strict=True):
        np.testing.assert_array_equal(a, b)
    after, metrics = compiled()(after, batch(), dice())
    assert (int(after.step), int(metrics["skipped"]), int(metrics["in_row"])) == (3, 1, 0)
    assert any((a != b).any() for a, b in zip(leaves(after.model), leaves(state.model), strict=True))


def kept(state):
    """What an update that is left out must not touch."""
    return state.model, state.average, state.optimiser, state.usual


def small_state(**changes):
    tree = {"params": {"conv": {"kernel": jnp.ones(3)}}}
    return initial_state(config(), tree).replace(**changes)


def moved(state, loss, **train):
    """The state after an update by 1 with that loss."""
    c = config().train.model_copy(update=train)
    after = jax.tree.map(lambda x: x + 1.0, state.model)
    return advanced(state, after, state.optimiser, jnp.float32(loss), jnp.float32(1.0), c)


def test_a_spike_is_left_out_once_a_usual_loss_is_known():
    young, settled = small_state(usual=jnp.float32(0.5)), jnp.asarray(200)
    assert int(moved(young, 100.0).skipped) == 0  # nothing is known yet
    old = young.replace(step=settled)
    assert int(moved(old, 1.99).skipped) == 0
    spiked = moved(moved(old, 2.01), 2.01)
    assert (int(spiked.skipped), int(spiked.in_row)) == (2, 2)
    for a, b in zip(leaves(kept(spiked)), leaves(kept(old)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(moved(spiked, 0.5).in_row) == 0
    assert float(moved(old, 1.0).usual) == pytest.approx(0.51)


def test_the_average_follows_the_weights():
    state = small_state(step=jnp.asarray(10**6), usual=jnp.float32(1.0))
    kernel = lambda tree: float(tree["params"]["conv"]["kernel"][0])  # noqa: E731
    after = moved(state, 1.0, ema=0.9)
    assert (kernel(after.model), kernel(after.average)) == (2.0, pytest.approx(1.1))
    assert kernel(moved(state, 1.0, ema=0.0).average) == 2.0
    early = moved(small_state(), 1.0, ema=0.999)  # a young average forgets its start quickly
    assert kernel(early.average) == pytest.approx(1.9)


def test_biases_before_batchnorm_are_left_alone():
    """Their gradient is rounding; the statistics take them out again."""
    state, _ = compiled()(fresh(config()), batch(), dice())
    state, _ = compiled()(state, batch(), dice())
    before, after = fresh(config()).model["params"], state.model["params"]
    for name in ("stem_0", "stem_1"):
        np.testing.assert_array_equal(after["encoder"][name]["conv"]["bias"], before["encoder"][name]["conv"]["bias"])
    assert np.any(np.asarray(after["decoder"]["gain"]["dense"]["bias"]) != 0.0)


def test_micro_batches_add_up_to_the_whole_batch():
    """Without BatchNorm's statistics, which are each micro-batch's own: with the encoder's batch made of twins."""
    whole, twins = config("1a", "augment.mix=0", "model.dropout=0"), batch()
    for key, x in twins.items():
        twins[key] = np.repeat(x[:2], 2, axis=0)
    parts = whole.model_copy(update={"train": whole.train.model_copy(update={"accumulate": 2})})
    (a, m), (b, n) = (jax.jit(make_train_step(c))(fresh(c), twins, dice()) for c in (whole, parts))
    for name in ("loss", "mr_stft", "gradient_norm"):
        assert float(m[name]) == pytest.approx(float(n[name]), rel=1e-4)
    for x, y in zip(leaves(a.model["params"]), leaves(b.model["params"]), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)


def dtypes(jaxpr):
    for equation in jaxpr.eqns:
        yield from (v.aval.dtype for v in equation.outvars)
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from dtypes(inner)


def test_the_step_contains_no_float64():
    """It would, if something in it switched 64 bits on for itself, or for the whole program."""
    jaxpr = jax.make_jaxpr(make_train_step(config()))(fresh(config()), batch(), dice())
    seen = {str(d) for d in dtypes(jaxpr.jaxpr)}
    assert "float32" in seen
    assert not {"float64", "complex128"} & seen


def test_an_untrained_network_scores_as_the_identity_does():
    c = config()
    score = jax.jit(make_validation_step(c))
    metrics, sample = score(fresh(c).model, batch())
    assert float(metrics["signal"]) == float(metrics["identity/signal"]) > 0.0
    np.testing.assert_array_equal(sample["output"], sample["input"])
    np.testing.assert_array_equal(sample["curve_db"], 0.0)
    assert np.abs(np.asarray(sample["wanted_db"])[8:]).max() > 0.5
    again, _ = score(fresh(c).model, batch())
    assert float(again["signal"]) == float(metrics["signal"])
    later = batch()
    later["number"] += 4
    other, _ = score(fresh(c).model, later)
    assert float(other["signal"]) != float(metrics["signal"])  # every excerpt has degradations of its own


def test_the_learning_rate_warms_up_and_falls_to_zero():
    train = load_config("1a", [], ["train.steps=100", "train.warmup_steps=10", "train.learning_rate=0.5"]).train
    rate = learning_rate(train)
    assert [float(rate(s)) for s in (0, 5, 10)] == pytest.approx([0.0, 0.25, 0.5])
    assert float(rate(55)) == pytest.approx(0.25)
    assert float(rate(100)) == pytest.approx(0.0, abs=1e-7)


def test_the_sparsity_warms_up():
    state = fresh(config())
    for number, share in enumerate((0.0, 0.25)):
        state, m = compiled()(state.replace(step=jnp.asarray(number, jnp.int32)), batch(), dice())
        assert float(m["loss"] - m["signal"]) == pytest.approx(share * float(m["gates"]), abs=1e-4)


def test_frozen_parts_stay_and_the_others_learn():
    """The encoder's statistics and the decoder's dropout included: with both frozen, all is as in mastering."""
    frozen = config("1b", "train.frozen=[encoder,decoder]", "train.weight_decay=0.1", "train.warmup_steps=0")
    state = fresh(frozen)
    after, metrics = jax.jit(make_train_step(frozen))(state, batch(), dice())
    for part in ("encoder", "decoder"):
        for kind in state.model.keys() & {"params", "batch_stats"}:
            for a, b in zip(leaves(after.model[kind].get(part)), leaves(state.model[kind].get(part)), strict=True):
                np.testing.assert_array_equal(a, b)
    changed = zip(leaves(after.model["params"]["residual"]), leaves(state.model["params"]["residual"]), strict=True)
    assert any((a != b).any() for a, b in changed)
    assert float(metrics["gradient_norm"]) > 0.0


def test_a_part_is_judged_by_settings_that_heard_all():
    """The stretch lies inside the signal, source and target alike, and a validation judges its middle."""
    c = config("1a", "loss.seconds=0.1")
    size = 4410
    source = jnp.arange(4 * 20_000, dtype=jnp.float32).reshape(4, 20_000, 1)
    lengths = jnp.array([20_000, 10_000, 3000, 4411])
    for place in (0.0, 0.5, 0.999999):
        part, target, kept = step._judged(source, -source, lengths, jnp.full(4, place), c)
        starts = np.array([int(place * (max(n - size, 0) + 1)) for n in lengths])
        np.testing.assert_array_equal(
            part[:, :, 0], np.asarray(source)[:, 0, 0][:, None] + starts[:, None] + np.arange(size)
        )
        np.testing.assert_array_equal(target, -part)
        np.testing.assert_array_equal(kept, [size, size, 3000, size])
    _, sample = jax.jit(make_validation_step(c))(fresh(c).model, batch())
    assert sample["output"].shape == (size, 1)
