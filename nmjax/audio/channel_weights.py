"""Weights of the channels in a loudness: ITU-R BS.1770."""

from __future__ import annotations

import numpy as np

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
