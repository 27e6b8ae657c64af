"""The frequency grid of reference matching."""

import numpy as np

CENTERS_HZ = 1000.0 * 2.0 ** (np.arange(-32, 24) / 6.0)  # 1/6 octaves, 24.8 Hz to 14.3 kHz: lossy files end at 16 kHz
EDGES_HZ = 1000.0 * 2.0 ** ((np.arange(-32, 25) - 0.5) / 6.0)  # of the bands
NUM_BANDS = len(CENTERS_HZ)
ACTIVE_RANGE_DB = 70.0  # bands further below the loudest band hold noise
WIDTH_FROM_HZ = 200.0  # the width is that above: the crossover of the width processor
MONO_DB = -40.0  # side over mid; a narrower recording counts as mono
FLOOR_DB = -120.0  # lower limit of long-term levels
