"""Mastering a track: wall and CPU seconds and the peak of memory, beside Matchering, in turns.

    python benchmarks/infer.py MUSIC --ckpt NAME=DIR [--ckpt …] [--matchering PYTHON] [--rounds 3] [--long]
        [--folder 10] [--seconds 210] [--also "NAME=OPTIONS" …]

MUSIC is any audio file; it is repeated or cut to 30 s and 3.5 min at 44.1 kHz (with --long to 3 min, 1 h and 3 h at
48 kHz instead), 16 bits, stereo. Every run is a process of its own: `infer.py` with an empty cache of compiled programs
(cold; not with --long) and with a filled one (warm). PYTHON is of an environment with Matchering, whose reference is
the same music in another order; it refuses tracks of more than 15 minutes. Prints medians, and the ratio of wall times
to Matchering's. The peak is that of the largest process: a master measures its track in a second one. With --folder N
also a folder of N tracks of 3.5 min, by one process and by two workers (an extra, `nmjax[dask]`). --also measures
further options of `infer.py`, in which REFERENCE is a file of the same music.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr

ROOT = Path(__file__).parents[1]
SHORT = ((30, 44_100), (210, 44_100))  # seconds, Hz
LONG = ((180, 48_000), (3600, 48_000), (10_800, 48_000))
MATCHERING = "import sys, matchering as mg; mg.process(sys.argv[1], sys.argv[2], [mg.pcm16(sys.argv[3])])"
MATCHERING_MAX_S = 900  # s
# A process of its own, and a small one: Linux counts the memory of the process that starts a program to the program's.
LAUNCHER = """
import os, sys, time
start, child = time.perf_counter(), os.fork()
if not child:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def write_track(source: Path, seconds: int, rate: int, shift: float, path: Path) -> Path:
    """The source from a share of its length on, around and around."""
    audio, own = soundfile.read(source, dtype="float32", always_2d=True, frames=600 * 44_100)
    audio = soxr.resample(audio[:, [0, -1]], own, rate)
    audio = np.roll(audio, int(shift * len(audio)), axis=0) * (0.7 / np.abs(audio).max())
    with soundfile.SoundFile(path, "w", rate, 2, "PCM_16") as file:
        remaining = seconds * rate
        while remaining:
            file.write(audio[:remaining])
            remaining -= min(remaining, len(audio))
    return path


def measure_process(command: list[str], cache: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and the peak in MB of one process."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LAUNCHER, *command], env=environment, capture_output=True
    )
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{process.stderr.decode()}")
    wall, cpu, peak = (float(x) for x in process.stdout.split()[-3:])
    return wall, cpu, peak / 1024


def systems(args: argparse.Namespace, folder: Path, track: Path, reference: Path, seconds: int):
    """Name → one measured run; cold only for the short tracks."""

    def infer(options: list[str], fresh: bool) -> Callable:
        def run():
            cache = Path(tempfile.mkdtemp(dir=folder)) if fresh else args.warm_cache
            out = str(folder / "out.wav")
            command = [sys.executable, str(ROOT / "infer.py"), *options, str(track), "-o", out]
            return measure_process([*command, "--force", "--quiet"], cache)

        return run

    runs = {}
    for argument in args.ckpt:
        name, checkpoint = argument.split("=", 1)
        runs[f"{name}, warm"] = infer(["--ckpt", checkpoint], fresh=False)
        if not args.long:
            runs[f"{name}, cold"] = infer(["--ckpt", checkpoint], fresh=True)
    for argument in args.also:
        name, options = argument.split("=", 1)
        runs[f"{name}, warm"] = infer(shlex.split(options.replace("REFERENCE", str(reference))), fresh=False)
    if args.matchering and seconds <= MATCHERING_MAX_S:
        command = [args.matchering, "-c", MATCHERING, str(track), str(reference), str(folder / "match.wav")]
        runs["Matchering"] = lambda: measure_process(command, folder / "match")
    return runs


def main() -> None:
    """Prints the table row by row."""
    parser = argparse.ArgumentParser()
    parser.add_argument("music", type=Path)
    parser.add_argument("--ckpt", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--matchering", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seconds", type=int, nargs="+", help="these lengths only")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=OPTIONS")
    parser.add_argument("--folder", type=int, default=0, metavar="N")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        args.warm_cache = Path(cache)
        print_tables(args)


def print_tables(args: argparse.Namespace) -> None:
    """One table for tracks, and one for a folder."""
    load = os.getloadavg()[0]
    print(f"{describe_cpu()}, load {load:.1f} before it, medians of {args.rounds}.\n", flush=True)
    print("| track | what | wall s | CPU s | × real time | peak MB | ratio to Matchering |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for seconds, rate in LONG if args.long else SHORT:
        if args.seconds and seconds not in args.seconds:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            track = write_track(args.music, seconds, rate, 0.0, folder / "track.wav")
            reference = write_track(args.music, min(seconds, 210), rate, 0.4, folder / "reference.wav")
            runs = systems(args, folder, track, reference, seconds)
            print_table(f"{seconds} s, {rate / 1000:g} kHz", seconds, runs, args.rounds)
    if args.folder:
        measure_folder(args)


def measure_folder(args: argparse.Namespace) -> None:
    """A folder of tracks, each beginning elsewhere in the music, with the first network."""
    name, checkpoint = args.ckpt[0].split("=", 1)
    seconds, rate = SHORT[-1]
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        (folder / "tracks").mkdir()
        for n in range(args.folder):
            write_track(args.music, seconds, rate, n / args.folder, folder / "tracks" / f"{n}.wav")

        def run(*workers: str) -> tuple[float, float, float]:
            command = [sys.executable, str(ROOT / "infer.py"), "--ckpt", checkpoint, str(folder / "tracks")]
            out = tempfile.mkdtemp(dir=folder)  # where nothing is done yet
            return measure_process([*command, "-o", out, "--force", "--quiet", *workers], args.warm_cache)

        runs = {f"{name}, one process": run, f"{name}, two workers": lambda: run("--workers", "2")}
        run()  # fills the cache
        print_table(f"{args.folder} × {seconds} s", args.folder * seconds, runs, args.rounds)


def print_table(track: str, seconds: int, runs: dict[str, Callable], rounds: int) -> None:
    """Rounds over all, in turns; hours only once, and without a run that fills the cache."""
    rounds, results = (1 if seconds >= LONG[1][0] else rounds), {name: [] for name in runs}
    for name, run in runs.items():
        if name.endswith("warm") and seconds <= 1000:
            run()
    for _ in range(rounds):
        for name, run in runs.items():
            results[name].append(run())
    medians = {name: [statistics.median(x) for x in zip(*samples, strict=True)] for name, samples in results.items()}
    peer = medians.get("Matchering")
    for name, (wall, cpu, peak) in medians.items():
        ratio = f"{wall / peer[0]:.2f}" if peer else ""
        row = f"| {track} | {name} | {wall:.1f} | {cpu:.1f} | {seconds / wall:.1f} | {peak:.0f} | {ratio} |"
        print(row, flush=True)


def describe_cpu() -> str:
    """Cores, model and vector width, as of Linux."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*: (.*)", text)
    width = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in text), "no AVX2")
    return f"{os.cpu_count()} cores ({model[1].strip() if model else 'unknown'}, {width})"


if __name__ == "__main__":
    main()
