"""Speed of compressor, saturator and width: nmjax and other systems in turns, 8 stereo signals of 5 s at 44.1 kHz.

    python benchmarks/processors.py --peers PEERS/bin/python

`--peers` is an environment with torch, torchcomp, dasp-pytorch and pedalboard; missing ones are
omitted. Each system runs in a warm process of its own. With torchcomp, the ballistics are compared too: its recursion
on the overshoot of nmjax's detector against nmjax's per-sample form and its form at the control rate.
"""

import argparse
import math
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from filters import Worker, format_markdown
from processor_systems import COMPRESSOR, RATE, SYSTEMS, signals

CASE = {"batch": 8, "time": 5 * RATE}
HEAD = ["system", "ms", "CPU ms", "ms with gradient", "CPU ms with gradient"]


def median_times(workers, gradient, rounds):
    """Median wall and CPU milliseconds of every system that supports the case; the systems take turns."""
    able = [w for w in workers if not gradient or SYSTEMS[w.name].has_gradient]
    able = [w for w in able if w.ask(do="prepare", gradient=gradient, **CASE) is not None]
    took = {w.name: [] for w in able}
    for turn in range(rounds):
        for worker in able:
            if turn < 3 or took[worker.name][0]["wall"] < 1.0:
                took[worker.name].append(worker.ask(do="run"))
    return {n: [1e3 * statistics.median(t[kind] for t in ts) for kind in ("wall", "cpu")] for n, ts in took.items()}


def ballistics_db(worker):
    """Largest gain difference to torchcomp's recursion on the same overshoot, per sample and at the control points."""
    import jax
    import jax.numpy as jnp

    from nmjax.dsp import Compressor, control_hop, gain_reduction_db
    from nmjax.dsp.compressor_per_sample import compress_per_sample, overshoot_per_sample_db

    with jax.enable_x64(True):
        audio = jnp.asarray(signals(CASE), jnp.float64)
        full = {name: jnp.full((CASE["batch"],), value, jnp.float64) for name, value in COMPRESSOR.items()}
        settings = Compressor(**full, makeup_db=jnp.zeros_like(full["ratio"]))
        over = np.asarray(jax.jit(overshoot_per_sample_db, static_argnums=2)(audio, settings, RATE))
        gain = np.asarray(jax.jit(compress_per_sample, static_argnums=2)(audio, settings, RATE)[1])
        points = np.asarray(jax.jit(gain_reduction_db, static_argnums=2)(audio, settings, RATE)[0])
    rise, fall = (-math.expm1(-1e3 / (COMPRESSOR[name] * RATE)) for name in ("attack_ms", "release_ms"))
    with tempfile.TemporaryDirectory() as folder:
        files = {name: str(Path(folder) / f"{name}.npy") for name in ("overshoot", "envelope")}
        np.save(files["overshoot"], over)
        worker.ask(do="ballistics", rise=rise, fall=fall, **files)
        torchcomp_db = (1.0 - 1.0 / COMPRESSOR["ratio"]) * np.load(files["envelope"])
    hop = control_hop(RATE)
    at_points = torchcomp_db[:, hop - 1 :: hop]
    return np.abs(gain + torchcomp_db).max(), np.abs(points[:, : at_points.shape[1]] - at_points).max()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers", default=sys.executable, help="the Python of torchcomp, dasp-pytorch and pedalboard")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    workers, missing = [], []
    for name in SYSTEMS:
        own = sys.executable if "nmjax" in name or "SciPy" in name else options.peers
        worker = Worker(name, own, "processor_systems.py")
        (workers if worker.versions else missing).append(worker)
    forward, slopes = (median_times(workers, gradient, options.rounds) for gradient in (False, True))
    empty = [None, None]
    table = [
        [name] + ["" if x is None else f"{x:.1f}" for x in forward[name] + slopes.get(name, empty)] for name in forward
    ]
    print(format_markdown(HEAD, table))
    print("\n" + ", ".join(sorted({f"{k} {v}" for w in workers for k, v in w.versions.items()})))
    for worker in missing:
        print(f"not installed, not measured: {worker.name}")
    for worker in (w for w in workers if w.name == "compressor: torchcomp"):
        by_sample, at_points = ballistics_db(worker)
        print(f"gain against torchcomp's recursion: {by_sample:.1e} dB per sample, {at_points:.3f} dB at the points")


if __name__ == "__main__":
    main()
