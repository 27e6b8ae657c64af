"""Accuracy of float32: the worst error of 2,000 random cascades on noise against SciPy in float64, in dB.

    python benchmarks/float32_accuracy.py

Peak error over peak output, with the number of simulated samples before the doublings of `nmjax.dsp.block_recursion`
(4), and with 1 and 16 for comparison.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the tests' oracles and random cascades

from nmjax.dsp import block_recursion
from tests.dsp import test_float32_accuracy as accuracy
from tests.dsp.oracles import random_bands

CASCADES = 2000
CASES = [("model's range", rate, bands) for bands in (5, 10) for rate in (44_100, 48_000)]
CASES += [("everything", rate, 10) for rate in (8_000, 44_100, 192_000)]


def worst_db(bands_range, rate, bands):
    def draw(seed):
        if bands_range == "everything":
            return accuracy.widest_bands(seed, accuracy.BATCH, bands, rate)
        return random_bands(seed, accuracy.BATCH, bands)

    return accuracy.worst_db(draw, CASCADES, bands, rate)


def main():
    default_steps = block_recursion.DIRECT_STEPS
    print(f"{'steps':>32s}" + "".join(f"{steps:>9d}" for steps in (default_steps, 1, 16)))
    for case in CASES:
        errors_db = []
        for block_recursion.DIRECT_STEPS in (default_steps, 1, 16):
            accuracy.RENDER.clear_cache()
            errors_db.append(worst_db(*case))
        print(
            f"{case[0]:>14s} {case[1]:>7d} Hz {case[2]:>2d} bands" + "".join(f"{x:9.1f}" for x in errors_db), flush=True
        )


if __name__ == "__main__":
    main()
