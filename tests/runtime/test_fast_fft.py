"""The transform without the rest of SciPy: its bits are SciPy's, and without its module NumPy's."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.fft

from nmjax.runtime import fast_fft


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "axis"), [((4096,), -1), ((3, 100, 64), 1), ((2, 5, 4096), 2), ((7, 9), -1)])
def test_the_bits_are_those_of_scipy(dtype, shape, axis):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    assert fast_fft._scipy_transform() is not None
    found, expected = fast_fft.rfft(x, axis), scipy.fft.rfft(x, axis=axis)
    assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


def test_strided_signals_are_transformed_too():
    x = np.random.default_rng(1).standard_normal((64, 6)).astype(np.float32)[::2, ::3]
    np.testing.assert_array_equal(fast_fft.rfft(x, 0), scipy.fft.rfft(x, axis=0))


def test_it_does_not_import_scipy_and_leaves_it_importable():
    code = (
        "import sys, numpy as np\nfrom nmjax.runtime import fast_fft\nx = np.ones((2, 8), np.float32)\n"
        "a = fast_fft.rfft(x)\nassert 'scipy' not in sys.modules\n"
        "import scipy.fft\nassert (scipy.fft.rfft(x) == a).all()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "module", ["scipy.fft._moved.pypocketfft", "scipy.fft._pocketfft.gone", "scipy.linalg._flinalg"]
)
def test_where_the_module_has_moved_numpy_transforms(monkeypatch, module):
    monkeypatch.setattr(fast_fft, "_MODULE", module)
    fast_fft._scipy_transform.cache_clear()
    try:
        assert fast_fft._scipy_transform() is None
        x = np.random.default_rng(2).standard_normal((3, 50))
        np.testing.assert_array_equal(fast_fft.rfft(x), np.fft.rfft(x))
    finally:
        fast_fft._scipy_transform.cache_clear()
