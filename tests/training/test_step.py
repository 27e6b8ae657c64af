"""One update: what is not finite is left out, float32 throughout, the same on one device and on four."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.config import load_config
from nmjax.models import build_model
from nmjax.training.loop import Run
from nmjax.training.state import initial_state, initial_variables, learning_rate
from nmjax.training.step import make_train_step, make_validation_step
from tests.music import music
from tests.training.tiny import tiny


def config(phase="1b", *more):
    return tiny(phase, *more)


def fresh(c):
    return initial_state(c, initial_variables(build_model(c), 0))


def batch():
    samples = round(0.45 * 44_100)
    target = np.stack([music(0.45, channels=1, seed=i)[:samples] for i in range(4)]).astype(np.float32)
    return {"target": target, "length": np.array([samples, samples, 9000, samples], np.int32)}


def compiled():
    return jax.jit(make_train_step(config()))


def leaves(tree):
    return [np.asarray(x) for x in jax.tree.leaves(tree)]


def test_a_step_that_is_not_finite_is_skipped_and_counted():
    state, key = fresh(config()), jax.random.key(0)
    state, metrics = compiled()(state, batch(), key)
    assert int(metrics["skipped"]) == 0
    bad = batch()
    bad["target"][0, 100] = np.nan
    after, metrics = compiled()(state, bad, key)
    assert (int(after.step), int(after.skipped)) == (2, 1)
    for a, b in zip(leaves((after.model, after.optimiser)), leaves((state.model, state.optimiser)), strict=True):
        np.testing.assert_array_equal(a, b)
    after, metrics = compiled()(after, batch(), key)
    assert (int(after.step), int(metrics["skipped"])) == (3, 1)
    assert any((a != b).any() for a, b in zip(leaves(after.model), leaves(state.model), strict=True))


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
    jaxpr = jax.make_jaxpr(make_train_step(config()))(fresh(config()), batch(), jax.random.key(0))
    seen = {str(d) for d in dtypes(jaxpr.jaxpr)}
    assert "float32" in seen
    assert not {"float64", "complex128"} & seen


class NoData:
    """A stream that is never asked."""

    def __next__(self):
        raise AssertionError

    get_state = set_state = __next__


def test_four_devices_agree_with_one(tmp_path):
    c, key = config(), jax.random.key(0)
    run = Run(c, fresh(c), NoData(), [], tmp_path)
    assert len(jax.devices()) == 4
    spread = jax.device_put(batch(), run._spread)
    _, ours = run._train_step(run.state, spread, key)
    _, alone = compiled()(fresh(c), batch(), key)
    for name in ("loss", "mr_stft", "gradient_norm"):
        assert float(ours[name]) == pytest.approx(float(alone[name]), rel=1e-4)


def test_an_untrained_network_scores_as_the_identity_does():
    c = config()
    metrics = jax.jit(make_validation_step(c))(fresh(c).model, batch(), jax.random.key(1), np.int32(0))
    assert float(metrics["signal"]) == float(metrics["identity/signal"]) > 0.0
    other = jax.jit(make_validation_step(c))(fresh(c).model, batch(), jax.random.key(1), np.int32(1))
    assert float(other["signal"]) != float(metrics["signal"])  # every batch has degradations of its own


def test_the_learning_rate_warms_up_and_falls_to_zero():
    train = load_config("1a", [], ["train.steps=100", "train.warmup_steps=10", "train.learning_rate=0.5"]).train
    rate = learning_rate(train)
    assert [float(rate(s)) for s in (0, 5, 10)] == pytest.approx([0.0, 0.25, 0.5])
    assert float(rate(55)) == pytest.approx(0.25)
    assert float(rate(100)) == pytest.approx(0.0, abs=1e-7)


def test_the_sparsity_warms_up():
    c = config("1c", "loss.sparsity=1.0", "loss.sparsity_warmup=4", "loss.decisiveness=0", "loss.gain=0", "loss.q=0")
    state, step = fresh(c), jax.jit(make_train_step(c))
    for number, share in enumerate((0.0, 0.25)):
        state, m = step(state.replace(step=jnp.asarray(number, jnp.int32)), batch(), jax.random.key(0))
        assert float(m["loss"] - m["signal"]) == pytest.approx(share * float(m["gates"]), abs=1e-4)
