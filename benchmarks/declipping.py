"""How much does declipping gain, and how long does it take, beside A-SPADE and cubic splines?

    python benchmarks/declipping.py music/validation.csv

An excerpt of each song of a CSV's column `target` (first channel, peak −1 dBFS) is clipped to an SDR of 5, 10 and
15 dB. The gain is SDR after minus SDR before; as unclipped samples are unchanged, the gain over all samples is that
over the clipped ones. Then the longest song, repeated up to four minutes and with 0.5 % of its samples clipped.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import soundfile
from declipping_baselines import a_spade, interpolate_cubic

from nmjax.dsp.declip import declip

RATE, TRACK_SECONDS = 44_100, 240


def declip_nmjax(signal, level):
    return declip(signal[:, None], np.array([[level, level]]), RATE)[:, 0]


METHODS = {"nmjax": declip_nmjax, "A-SPADE": a_spade, "cubic spline": interpolate_cubic}


def sdr_db(clean, signal):
    clean, error = clean.astype(np.float64), signal.astype(np.float64) - clean
    return 10.0 * np.log10(np.sum(clean**2) / np.sum(error**2))


def clip(clean, input_sdr_db):
    """The signal clipped to an SDR, and the level."""
    low, high, level = 0.0, 1.0, np.float32(1.0)
    for _ in range(40):
        level = np.float32(0.5 * (low + high))
        if sdr_db(clean, np.clip(clean, -level, level)) < input_sdr_db:
            low = level
        else:
            high = level
    return np.clip(clean, -level, level), level


def read_excerpts(paths, seconds):
    """A section of each song at a random place in its middle; songs of another rate and silence are omitted."""
    rng, excerpts = np.random.default_rng(0), []
    for path in paths:
        info, frames = soundfile.info(path), round(seconds * RATE)
        if info.samplerate != RATE or info.frames < 2 * frames:
            continue
        start = int(rng.uniform(0.2, 0.8) * (info.frames - frames))
        audio = soundfile.read(path, frames=frames, start=start, dtype="float32", always_2d=True)[0][:, 0]
        if np.sqrt(np.mean(audio**2)) > 0.01:
            excerpts.append(audio * np.float32(0.89 / np.abs(audio).max()))
    return excerpts


def print_gains(excerpts, input_sdrs_db):
    seconds = len(excerpts) * len(excerpts[0]) / RATE
    print(f"{len(excerpts)} excerpts, {seconds:.0f} s\n")
    print("| input SDR, dB | clipped | method | mean gain, dB | worst | best | CPU s | relative |")
    print("|---:|---:|---|---:|---:|---:|---:|---:|")
    declip_nmjax(*clip(excerpts[0], 10.0))  # compile
    for input_sdr_db in input_sdrs_db:
        clipped = [clip(clean, input_sdr_db) for clean in excerpts]
        share = np.mean([np.mean(np.abs(signal) >= level) for signal, level in clipped])
        reference_s = None
        for name, method in METHODS.items():
            start = time.process_time()
            results = [method(*job) for job in clipped]
            cpu_s = time.process_time() - start
            reference_s = reference_s or cpu_s
            gains = [
                sdr_db(clean, result) - sdr_db(clean, signal)
                for clean, result, (signal, _) in zip(excerpts, results, clipped, strict=True)
            ]
            print(
                f"| {input_sdr_db:.0f} | {100 * share:.0f} % | {name} | {np.mean(gains):.1f} | {min(gains):.1f} |"
                f" {max(gains):.1f} | {cpu_s:.1f} | {cpu_s / reference_s:.1f} |",
                flush=True,
            )


def print_track_time(paths):
    path = max(paths, key=lambda path: soundfile.info(path).duration)
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    audio = np.resize(audio, (TRACK_SECONDS * rate, audio.shape[1]))
    level = np.quantile(np.abs(audio), 0.995)
    clipped = np.clip(audio, -level, level)
    for compiled in (False, True):
        start, cpu_start = time.perf_counter(), time.process_time()
        result = declip(clipped, np.full((audio.shape[1], 2), level), rate)
        wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
        gain_db = sdr_db(audio, result) - sdr_db(audio, clipped)
        state = "compiled before" if compiled else "compilation included where its cache is empty"
        print(
            f"\n{path.name}, {TRACK_SECONDS} s, {audio.shape[1]} channels, 0.5 % clipped ({state}): {wall_s:.1f} s,"
            f" CPU {cpu_s:.1f} s, gain {gain_db:.1f} dB"
        )


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", type=Path, help="CSV file with a column `target`")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of an excerpt")
    parser.add_argument("--max-songs", type=int, help="only the first songs")
    parser.add_argument("--input-sdr-db", type=float, nargs="*", default=[5.0, 10.0, 15.0])
    options = parser.parse_args()
    with open(options.table, newline="") as file:
        paths = [options.table.parent / row["target"] for row in csv.DictReader(file)][: options.max_songs]
    print_track_time(paths)
    if options.input_sdr_db:
        print_gains(read_excerpts(paths, options.seconds), options.input_sdr_db)


if __name__ == "__main__":
    main()
