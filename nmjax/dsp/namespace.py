"""One formula for JAX and NumPy: functions that take the elementary operations from where their arguments are from."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from nmjax.runtime import lazy_jax
from nmjax.runtime.lazy_jax import jax, jnp


def namespace(*arrays: Any) -> ModuleType:
    """`jax.numpy` where one of the arrays is JAX's, and otherwise `numpy`, which needs no import of JAX."""
    if lazy_jax.is_imported() and any(isinstance(x, jax.Array) for x in arrays):
        return jnp
    return np
