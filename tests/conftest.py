"""A strict session: several CPU devices, rank promotion raises, warnings are errors (pyproject), shapes are checked."""

import jax

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
