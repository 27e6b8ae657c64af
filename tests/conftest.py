"""A strict session: several CPU devices, rank promotion raises, warnings are errors (pyproject), shapes are checked."""

import jax

import tests.typecheck  # noqa: F401  (the import hook looks it up as an attribute of `tests`)

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
