"""Formulas that JAX and NumPy share: the same values, of the type of the arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import Bands, response_db, response_phase
from nmjax.dsp.namespace import namespace
from nmjax.dsp.numerics import log10_or_neg_inf, safe_log, safe_sqrt
from nmjax.dsp.svf import FILTER_DESIGNS

GRID_HZ = np.geomspace(20.0, 20_000.0, 200)
COLUMNS = [np.array([[60.0, 900.0, 21_700.0]]), np.array([[6.0, -4.0, 3.0]]), np.array([[0.7, 2.0, 1.0]])]


def test_jax_where_one_argument_is_jaxs():
    assert namespace(np.ones(2), 1.0) is np
    assert namespace(np.ones(2), jnp.ones(2)).zeros(3) is not None and namespace(jnp.ones(2)) is not np
    assert jax.jit(lambda x: float(namespace(x) is np))(1.0) == 0.0


@pytest.mark.parametrize("kind", FILTER_DESIGNS)
@pytest.mark.parametrize("function", [response_db, response_phase])
def test_responses_are_equal(function, kind):
    with jax.enable_x64(True):
        in_jax = function(Bands(*(jnp.asarray(x) for x in COLUMNS), kind), jnp.asarray(GRID_HZ), 44_100.0)
        assert isinstance(in_jax, jax.Array) and in_jax.dtype == jnp.float64
    in_numpy = function(Bands(*COLUMNS, kind), GRID_HZ, 44_100.0)
    assert isinstance(in_numpy, np.ndarray)
    np.testing.assert_allclose(in_numpy, in_jax, atol=1e-9)


@pytest.mark.parametrize("function", [lambda x: safe_log(x, 1e-3), lambda x: safe_sqrt(x, 1e-3), log10_or_neg_inf])
def test_elementary_functions_are_equal(function):
    x = np.array([0.0, 1e-4, 0.5, 3.0], np.float32)
    result = function(x)
    assert isinstance(result, np.ndarray) and result.dtype == np.float32
    np.testing.assert_allclose(result, function(jnp.asarray(x)), rtol=1e-6)
