"""How exact is float32? The worst of 2,000 random cascades on noise against SciPy in float64, in dB.

    python benchmarks/exactness.py

Peak error over peak output, with as many steps of the recursion before the doublings as `nmjax.dsp.stretch` takes (4),
and with 1 and 16 for comparison.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' oracle and draws are used here, too

from nmjax.dsp import stretch
from tests.dsp import test_exactness as exactness
from tests.dsp.oracles import random_bands

CASCADES = 2000
CASES = [("model's range", rate, bands) for bands in (5, 10) for rate in (44_100, 48_000)]
CASES += [("everything", rate, 10) for rate in (8_000, 44_100, 192_000)]


def worst_db(what, rate, bands):
    def draw(seed):
        if what == "everything":
            return exactness.widest_bands(seed, exactness.AT_ONCE, bands, rate)
        return random_bands(seed, exactness.AT_ONCE, bands)

    return exactness.worst_db(draw, CASCADES, bands, rate)


def main():
    chosen = stretch._STEPS
    print(f"{'steps':>32s}" + "".join(f"{steps:>9d}" for steps in (chosen, 1, 16)))
    for case in CASES:
        found = []
        for stretch._STEPS in (chosen, 1, 16):
            exactness.RENDER.clear_cache()
            found.append(worst_db(*case))
        print(f"{case[0]:>14s} {case[1]:>7d} Hz {case[2]:>2d} bands" + "".join(f"{x:9.1f}" for x in found), flush=True)


if __name__ == "__main__":
    main()
