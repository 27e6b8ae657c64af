"""K-weighting filters of ITU-R BS.1770 for SciPy; `nmjax.dsp.svf.k_weighting_svf` has the same curve in JAX."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def k_weighting_sos(sample_rate: int) -> Float[np.ndarray, "2 6"]:
    """Second-order sections (high shelf, high-pass) for `scipy.signal.sosfilt`.

    The coefficients are pyloudnorm's, which follow B. De Man, "Evaluation of Implementations of the EBU R128
    Loudness Measurement" (AES 145, 2018), for any sample rate.

    Args:
        sample_rate: Hz, above 3,364 (twice the shelf's frequency).
    """
    from pyloudnorm import Meter as Filters  # imports SciPy: a second that most commands do not need

    filters = Filters(sample_rate, filter_class="DeMan")._filters.values()
    return np.stack([np.concatenate([section.b, section.a]) for section in filters])
