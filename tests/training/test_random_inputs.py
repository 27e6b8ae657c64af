"""Random numbers per example: independent of the batch, and named fields of one draw."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nmjax.training.random_inputs import draw_uniforms, num_uniforms, per_example, split_uniforms


class Draws(NamedTuple):
    frequency: jax.Array
    gain: jax.Array
    coin: jax.Array


SHAPES = Draws(frequency=per_example(1), gain=per_example(2, 3), coin=per_example())


def test_random_inputs_do_not_depend_on_the_position_in_the_batch():
    all_examples = draw_uniforms(jax.random.key(0), jnp.arange(3), per_example(5))
    some_examples = draw_uniforms(jax.random.key(0), jnp.array([2, 0]), per_example(5))
    np.testing.assert_array_equal(some_examples, np.asarray(all_examples)[[2, 0]])


def test_fields_are_consecutive_columns_of_one_draw():
    assert num_uniforms(SHAPES) == 8
    uniforms = draw_uniforms(jax.random.key(0), jnp.arange(4), per_example(8))
    draws = draw_uniforms(jax.random.key(0), jnp.arange(4), SHAPES)
    assert [x.shape for x in draws] == [(4, 1), (4, 2, 3), (4,)]
    np.testing.assert_array_equal(np.concatenate([x.reshape(4, -1) for x in draws], axis=1), uniforms)
    jax.tree.map(np.testing.assert_array_equal, split_uniforms(uniforms, SHAPES), draws)
