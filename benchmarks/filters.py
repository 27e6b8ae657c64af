"""Speed, memory and error of a cascade of peaking filters: nmjax and other systems, alternating in one run.

    python benchmarks/filters.py --peers PEERS/bin/python --python philtorch=OTHER/bin/python -o docs/results/filters.md

`--peers` is an environment with pedalboard, torchlpc, torch and torchaudio; `--python` names another for a system that
needs another PyTorch (philtorch 0.7 needs 2.14, torchaudio 2.9 needs 2.9). A system whose packages are missing is
omitted, and the report says so. Each system runs in a warm process of its own; they take turns, so that other load on
the machine affects all of them.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from filter_systems import RATE, SYSTEMS

HERE = Path(__file__).parent
REFERENCE = "SciPy sosfilt, float64"
SLOW_S, SLOW_ROUNDS = 1.0, 3  # calls longer than a second are run three times, not fifteen
MAX_GRADIENT_BYTES = 1e10  # that a system may store for a gradient
BYTES_PER_SAMPLE_BAND = {
    "PyTorch, one FFT": 80,
    "torchaudio lfilter": 16,
    "torchlpc": 16,
    "philtorch": 16,
}  # stored for a gradient
HEAD = ["system", "ms", "CPU ms", "÷ SciPy", "÷ torchaudio", "× memory bound", "peak MB", "error dB"]


class Worker:
    """The process of one system. script: the file in this folder that it runs."""

    def __init__(self, name, python, script="filter_systems.py"):
        command = [python, str(HERE / script), name]
        environment = os.environ | {"PYTHONPATH": str(HERE.parent), "PYTHONWARNINGS": "ignore"}
        self.name = name
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        line = self.process.stdout.readline()
        self.versions = json.loads(line)["versions"] if line else None

    def ask(self, **case):
        if self.process.poll() is not None:
            return None
        self.process.stdin.write(json.dumps(case) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line) if line else None


def copy_bandwidth():
    """Bytes read and written in a second by copying 256 MB, the best of 7."""
    source = np.ones(2**26, np.float32)
    target = np.empty_like(source)
    took = []
    for _ in range(7):
        start = time.perf_counter()
        np.copyto(target, source)
        took.append(time.perf_counter() - start)
    return 2 * source.nbytes / min(took)


def is_feasible(name, case):
    """Whether a system can run a case within the limits of memory and time."""
    if name == "nmjax, per sample" and case["time"] > 5 * RATE:
        return False
    gradient_bytes = case["batch"] * case["time"] * case["bands"] * BYTES_PER_SAMPLE_BAND.get(name, 0)
    return not case["gradient"] or (SYSTEMS[name].has_gradient and gradient_bytes < MAX_GRADIENT_BYTES)


def measure_systems(workers, case, folder):
    """The times of every system for a case; the systems take turns."""
    reference = str(Path(folder) / "reference.npy")
    results, rounds = {}, case.pop("rounds")
    for worker in workers:
        is_reference = worker.name == REFERENCE
        if not (is_reference or is_feasible(worker.name, case)):
            continue
        request = case | {"gradient": case["gradient"] and not is_reference}
        paths = {"reference": "" if is_reference else reference, "save": reference if is_reference else ""}
        reply = worker.ask(do="prepare", **request, **paths)
        if reply is not None:
            results[worker.name] = reply | {"wall": [], "cpu": []}
    for turn in range(rounds):
        for worker in workers:
            result = results.get(worker.name)
            if result and (turn < SLOW_ROUNDS or max(result["wall"]) < SLOW_S):
                reply = worker.ask(do="run")
                if reply is None:  # the process died, probably out of memory
                    del results[worker.name]
                    continue
                results[worker.name]["wall"].append(reply["wall"])
                results[worker.name]["cpu"].append(reply["cpu"])
    return results


def table_rows(found, case, bandwidth):
    """Rows of the table of a case. The memory bound is one pass of each array at the speed of a copy."""
    wall = {name: statistics.median(f["wall"]) for name, f in found.items()}
    passes = 5 if case["gradient"] else 2  # x, y; with gradient x, y, dy, x again and dx
    bound = passes * 4 * case["batch"] * case["time"] / bandwidth
    for name, f in found.items():
        if case["gradient"] and name == REFERENCE:
            continue
        audio = wall.get("torchaudio lfilter")
        yield [
            name,
            f"{wall[name] * 1e3:.1f}",
            f"{statistics.median(f['cpu']) * 1e3:.1f}",
            "" if case["gradient"] else f"{wall[name] / wall[REFERENCE]:.2f}",
            f"{wall[name] / audio:.3f}" if audio else "",
            f"{wall[name] / bound:.1f}",
            f"{f['peak_mb']:.0f}",
            "reference" if name == REFERENCE else f"{f['error_db']:.0f}",
        ]


def format_markdown(head, table):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *table]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers", default=sys.executable, help="the Python of pedalboard, torchlpc and PyTorch")
    parser.add_argument(
        "--python", action="append", default=[], metavar="NAME=PATH", help="another Python for one system"
    )
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), metavar="NAME", help="run these only")
    parser.add_argument("--seconds", nargs="+", type=int, default=[5, 300], help="lengths of the signals")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8], help="numbers of signals at once")
    parser.add_argument("-o", "--out", type=Path, help="a Markdown file to write")
    options = parser.parse_args()
    python_paths = dict(pair.split("=", 1) for pair in options.python)
    workers, missing = [], []
    for name, system in ((n, s) for n, s in SYSTEMS.items() if n in {REFERENCE, *options.systems}):
        own = (
            sys.executable
            if name.startswith(("nmjax", "SciPy"))
            else python_paths.get(system.packages[0], options.peers)
        )
        worker = Worker(name, own)
        (workers if worker.versions else missing).append(worker)
    workers.sort(key=lambda worker: worker.name != REFERENCE)  # first: the others compare their output with its
    bandwidth = copy_bandwidth()
    versions = {k: v for worker in workers for k, v in worker.versions.items()}
    parts = [
        "# Filters: speed, memory, error\n",
        f"Written by `benchmarks/filters.py`; {os.cpu_count()} cores, PyTorch and JAX with as many threads, SciPy and "
        f"pedalboard with one; a copy moves {bandwidth / 1e9:.1f} GB/s. Medians of 15 (minutes: of 2), float32 unless "
        "stated, peaking filters over the model's range. Error: peak over peak against SciPy over the first 5 s, worst "
        "of all. Memory: largest resident size in a call beyond that before the first (nmjax's compiled program "
        "included). A gradient that would store more than 10 GB was not run, nor the per-sample form beyond 5 s. "
        + ", ".join(f"{k} {v}" for k, v in sorted(versions.items())),
    ]
    if missing:
        parts.append("Not installed, not measured: " + ", ".join(worker.name for worker in missing))
    with tempfile.TemporaryDirectory() as folder:
        for seconds in options.seconds:
            for batch, bands, gradient in itertools.product(options.batches, (5, 10), (False, True)):
                case = {"batch": batch, "bands": bands, "time": seconds * RATE, "gradient": gradient}
                results = measure_systems(workers, case | {"rounds": 15 if seconds <= 10 else 2}, folder)
                mode = "forward and gradient" if gradient else "forward"
                parts.append(f"\n## {batch} × {seconds} s, {bands} bands, {mode}\n")
                parts.append(format_markdown(HEAD, list(table_rows(results, case, bandwidth))))
                print("\n".join(parts[-2:]), flush=True)
    if options.out:
        options.out.write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
