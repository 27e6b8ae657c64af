"""What do 100,000 tracks on many machines, and a training on many hosts, cost? And what stops scaling first?

    python benchmarks/scale.py [jobs] [manifest] [index] [shuffle] [reading] [step]

Prints the tables of docs/explanation/scale.md; without names, all of them. Everything runs on this machine, and what
listens does so on 127.0.0.1 only. Each measurement has a process of its own: `scale_jobs.py`, `scale_data.py` and
`scale_step.py`.

jobs: short jobs through `run_dask`, as `infer.py --workers` and `--scheduler` submit them, beside the same jobs without
Dask and empty jobs by Dask's own `client.map`. Numbers a job are differences between two counts, so that the start of
workers is not part of them. The manager is the process that writes the manifest; with `--workers` the scheduler is in
it, too. 64 workers share one process, and their scheduler has another one. The second run finds all jobs done.
step: all-reduces are counted in the program that XLA compiles for simulated CPU devices.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile

LOCAL_COUNTS, REMOTE_COUNTS = (1000, 10_000), (300, 1500)  # of jobs
JOBS = {
    "`client.map`, 2 workers": ("measure_map", "workers", LOCAL_COUNTS),
    "`client.map`, 64 workers": ("measure_map", "scheduler", LOCAL_COUNTS),
    "nmjax, no Dask": ("measure_jobs", "sequential", LOCAL_COUNTS),
    "nmjax, `--workers 2`": ("measure_jobs", "workers", LOCAL_COUNTS),
    "nmjax, `--scheduler`, 64 workers": ("measure_jobs", "scheduler", REMOTE_COUNTS),
}
TRACKS = (10_000, 100_000)
SHUFFLE_SIZES = (10**5, 10**6, 10**7, 10**8)
READERS = ((16, 1), (128, 8), (1024, 64), (8192, 512))  # excerpts of the global batch, hosts: 16 excerpts a host
BATCHES = 40
STEPS = (("1b", 8, 16), ("1b", 64, 16), ("1b", 8, 1), ("2", 8, 16))  # phase, devices, excerpts of each
LINKS_GBIT_S = (25, 200)


def measure(name: str, *args: object, **environment: str) -> dict[str, float]:
    """The result of `module.function(*args)`, called in a new process."""
    command = [sys.executable, __file__, "--measure", name, json.dumps(args)]
    result = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def print_measurement(name: str, args: str = "[]") -> None:
    """Call `module.function` and print its result as JSON."""
    module, function = name.split(".")
    print(json.dumps(getattr(importlib.import_module(module), function)(*json.loads(args))))


def print_table(columns: str, rows: list[tuple[object, ...]]) -> None:
    """Print rows as a Markdown table; columns are separated by `|`, and all but the first are numbers."""
    names = columns.split("|")
    print(f"\n| {' | '.join(names)} |\n| --- |{' ---: |' * (len(names) - 1)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
    sys.stdout.flush()


def print_jobs() -> None:
    """Time and memory of short jobs."""
    rows = []
    for name, (function, how, counts) in JOBS.items():
        few, many = (measure(f"scale_jobs.{function}", how, count) for count in counts)
        keys = ("wall", "cpu", "scheduler_cpu", "mb")
        wall_ms, cpu_ms, scheduler_ms, kb = (1e3 * (many[x] - few[x]) / (counts[1] - counts[0]) for x in keys)
        times = (f"{1e3 / wall_ms:.0f}", f"{wall_ms:.2f}", f"{cpu_ms:.2f}")
        scheduler = (f"{scheduler_ms:.2f}", f"{many['scheduler_mb']:.0f}") if many["scheduler_mb"] else ("–", "–")
        resume = f"{many['resume_s']:.1f}" if "resume_s" in many else "–"
        rows.append((name, f"{counts[1]:,}", *times, f"{many['mb']:.0f}", f"{kb:.1f}", *scheduler, resume))
    columns = "short jobs by|jobs|jobs/s|ms a job|manager: CPU ms a job|its peak MB|of it kB a job"
    print_table(f"{columns}|scheduler: CPU ms a job|its peak MB|second run s", rows)


def print_manifest() -> None:
    """Time and memory of a manifest."""
    rows = []
    for count in TRACKS:
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/manifest.jsonl"
            write, read = measure("scale_data.write_manifest", path, count), measure("scale_data.read_manifest", path)
        line_ms = 1e3 * write["s"] / (2 * count)
        sizes = (f"{write['file_mb']:.0f}", f"{line_ms:.2f}", f"{write['s']:.0f}")
        rows.append((f"{count:,}", *sizes, f"{read['cpu_s']:.2f}", f"{read['mb']:.0f}"))
    print_table("tracks in the manifest|file MB|write ms a line|write all s|read CPU s|read MB", rows)


def print_index() -> None:
    """Time and memory of an index of the training data."""
    rows = []
    for count in TRACKS:
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/index.parquet"
            write, read = measure("scale_data.write_index", path, count), measure("scale_data.read_index", path)
        times = (f"{write['cpu_s']:.2f}", f"{read['cpu_s']:.2f}", f"{read['segments_cpu_s']:.2f}")
        rows.append((f"{count:,}", f"{write['file_mb']:.0f}", *times, f"{read['segments']:,}", f"{read['mb']:.0f}"))
    print_table("files in the index|file MB|write CPU s|read CPU s|find segments CPU s|segments|MB in memory", rows)


def print_shuffle() -> None:
    """Time and memory of the order of segments."""
    rows = []
    for size in SHUFFLE_SIZES:
        x = measure("scale_data.measure_shuffle", size)
        grain = (f"{x['us']:.2f}", f"{x['mb']:.1f}")
        rows.append((f"{size:,}", *grain, f"{x['cpu_s']:.2f}", f"{x['numpy_mb']:.0f}"))
    print_table("segments|Grain: CPU µs a lookup|Grain: MB|NumPy's permutation: CPU s|NumPy: MB", rows)


def print_reading() -> None:
    """CPU time of one host, by the number of hosts."""
    rows = []
    for batch_size, hosts in READERS:
        with tempfile.TemporaryDirectory() as folder:
            x = measure("scale_data.measure_reading", folder, batch_size, hosts, BATCHES)
        rows.append((hosts, f"{batch_size:,}", batch_size // hosts, f"{x['cpu_ms']:.2f}"))
    print_table("hosts|global batch|excerpts a host|CPU ms an excerpt", rows)


def print_step() -> None:
    """Collectives of the compiled step, and what they take on a link by a ring."""
    rows, times = [], []
    for phase, devices, excerpts in STEPS:
        # Without optimization of the machine code, which has no influence on collectives.
        x = measure("scale_step.compile_step", phase, devices, excerpts, XLA_FLAGS="--xla_backend_optimization_level=0")
        parameters, reduced, gathered, passed = (
            x[f"{key}_bytes"] / 1e6 for key in ("parameter", "reduced", "gathered", "passed")
        )
        sizes = (f"{parameters:.2f}", f"{reduced:.2f}", f"{reduced / parameters:.3f}", x["all_reduces"], x["small"])
        costs = (f"{gathered:.1f}", f"{passed:.2f}", f"{x['tflop']:.2f}", f"{x['compile_s']:.0f}")
        rows.append((phase, devices, excerpts, *sizes, *costs))
        sent = (devices - 1) / devices * (2 * reduced + gathered) + passed
        seconds = [8e6 * sent / (1e9 * link) for link in LINKS_GBIT_S]
        flops = (f"{x['tflop'] / s:,.0f}" for s in seconds)
        times.append((phase, devices, excerpts, f"{sent:.1f}", *(f"{1e3 * s:.1f}" for s in seconds), *flops))
    columns = "phase|devices|excerpts a device|parameters MB|all-reduced MB|ratio|all-reduces|of them under 64 kB"
    print_table(f"{columns}|all-gathered MB|passed to another device MB|TFLOP a device|compile s", rows)
    links = [f"{link} Gbit/s" for link in LINKS_GBIT_S]
    names = [f"ms at {link}" for link in links] + [f"TFLOP/s that compute as long, {link}" for link in links]
    print_table("|".join(["phase", "hosts of one device", "excerpts a host", "sent by each MB", *names]), times)


PARTS = {
    "jobs": print_jobs,
    "manifest": print_manifest,
    "index": print_index,
    "shuffle": print_shuffle,
    "reading": print_reading,
    "step": print_step,
}


def main(names: list[str]) -> None:
    """Print the tables of some parts."""
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} before the run.")
    for name in names or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print_measurement(*sys.argv[2:])
    else:
        main(sys.argv[1:])
