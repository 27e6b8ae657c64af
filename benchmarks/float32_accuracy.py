"""How exact is float32? The worst of 2,000 random cascades on noise against SciPy in float64, in dB.

    python benchmarks/exactness.py

Peak error over peak output, with as many steps of the recursion before the doublings as `nmjax.dsp.block_recursion` takes (4),
and with 1 and 16 for comparison.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' oracle and draws are used here, too

from nmjax.dsp import block_recursion
from tests.dsp import test_float32_accuracy as exactness
from tests.dsp.oracles import random_bands

CASCADES = 2000
CASES = [("model's range", rate, bands) for bands in (5, 10) for rate in (44_100, 48_000)]
CASES += [("everything", rate, 10) for rate in (8_000, 44_100, 192_000)]


def worst_db(bands_range, rate, bands):
    def draw(seed):
        if bands_range == "everything":
            return exactness.widest_bands(seed, exactness.BATCH, bands, rate)
        return random_bands(seed, exactness.BATCH, bands)

    return exactness.worst_db(draw, CASCADES, bands, rate)


def main():
    default_steps = block_recursion._DIRECT_STEPS
    print(f"{'steps':>32s}" + "".join(f"{steps:>9d}" for steps in (default_steps, 1, 16)))
    for case in CASES:
        errors_db = []
        for block_recursion._DIRECT_STEPS in (default_steps, 1, 16):
            exactness.RENDER.clear_cache()
            errors_db.append(worst_db(*case))
        print(
            f"{case[0]:>14s} {case[1]:>7d} Hz {case[2]:>2d} bands" + "".join(f"{x:9.1f}" for x in errors_db), flush=True
        )


if __name__ == "__main__":
    main()
