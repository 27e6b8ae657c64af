"""Numbers of ITU-R BS.1770 for meters in NumPy and in JAX: weights of channels, and filters of the K-weighting."""

from __future__ import annotations

import numpy as np

# Analog parameters of the K-weighting: B. De Man, "Evaluation of Implementations of the EBU R128 Loudness Measurement"
# (AES 145, 2018)
SHELF_HZ, SHELF_Q, SHELF_DB = 1681.974450955533, 0.7071752369554196, 3.999843853973347
SHELF_BAND_EXPONENT = 0.4996667741545416  # of the shelf's gain, in the middle of its slope
LOW_CUT_HZ, LOW_CUT_Q = 38.13547087602444, 0.5003270373238773

# In the channel order of WAV: 1.41 for side channels (azimuth 60 to 120 degrees, including Ls and Rs of 5.1), 1 for
# front and rear channels, 0 for the LFE (BS.1770-4, tables 3 and 4).
_CHANNEL_WEIGHTS = {
    1: (1.0,),
    2: (1.0, 1.0),
    3: (1.0, 1.0, 1.0),  # L R C
    4: (1.0, 1.0, 1.41, 1.41),  # L R Ls Rs
    5: (1.0, 1.0, 1.0, 1.41, 1.41),  # L R C Ls Rs
    6: (1.0, 1.0, 1.0, 0.0, 1.41, 1.41),  # 5.1: L R C LFE Ls Rs
    7: (1.0, 1.0, 1.0, 0.0, 1.0, 1.41, 1.41),  # 6.1: L R C LFE, back center, left and right side
    8: (1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.41, 1.41),  # 7.1: L R C LFE, left and right back, left and right side
}


def channel_weights(num_channels: int) -> np.ndarray:
    """The channel weights of BS.1770, `[channel]`, for layouts of 1 to 8 channels.

    Raises:
        ValueError: another number of channels.
    """
    if num_channels not in _CHANNEL_WEIGHTS:
        raise ValueError(f"channels is {num_channels}; loudness is defined here for 1 to {max(_CHANNEL_WEIGHTS)}")
    return np.array(_CHANNEL_WEIGHTS[num_channels], np.float32)
