"""Most of these tests compile a whole training step and run it a few times."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def _fast_compilation(request):
    """Half the time to compile and three times that of a step; a module with many steps says MANY_STEPS."""
    jax.config.update("jax_disable_most_optimizations", not getattr(request.module, "MANY_STEPS", False))
    yield
    jax.config.update("jax_disable_most_optimizations", False)
