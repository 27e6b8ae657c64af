"""Hits and false alarms of the diagnosis: defects of known strength added to real music by independent code.

    python benchmarks/diagnosis.py MUSIC ... [--tracks 40] [--seconds 60] [--only hum_50 ...]

MUSIC is a folder, or a CSV with a column `target`; each has its own column in the tables. Takes a section from the
middle of each track, fades its ends, and inspects it untouched and with each defect. A track gets one strength of each
defect; the next track gets the next strength. A false alarm is a finding on the untouched section; a hit is the
expected finding on the defective one, counted where the untouched section did not have it. "Untouched" music may have
defects of its own, so false alarms are an upper limit. Last, the time for four minutes.
"""

import argparse
import collections
import csv
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from diagnosis_defects import DEFECTS, RATE
from scipy.signal import resample_poly

from nmjax.mastering.diagnosis.diagnosis import diagnose
from nmjax.mastering.diagnosis.inspection import scan_track

CHUNK = 1 << 16
FILE_BITS = 24
FADE_SECONDS = 1.0
MIN_RANGE_SECONDS = 90.0  # the loudness range is not judged below
EXTENSIONS = {".flac", ".wav", ".ogg", ".mp3", ".aiff"}


def find_tracks(music):
    """The audio files of a folder, or of a CSV."""
    if music.suffix == ".csv":
        with open(music, newline="") as file:
            return [music.parent / row["target"] for row in csv.DictReader(file)]
    return sorted(path for path in music.rglob("*") if path.suffix.lower() in EXTENSIONS)


def read_section(path, seconds):
    """The middle of a track at 44.1 kHz, with faded ends: `[frames, 2]`."""
    info = soundfile.info(path)
    start = max(0, int((info.duration - seconds) / 2 * info.samplerate))
    audio, rate = soundfile.read(path, int(seconds * info.samplerate), start, always_2d=True)
    if rate != RATE:
        audio = resample_poly(audio, RATE, rate, axis=0)
    audio = np.repeat(audio, 2, axis=1)[:, :2] if audio.shape[1] == 1 else audio[:, :2]
    fade = np.minimum(1.0, np.arange(len(audio)) / (FADE_SECONDS * RATE))[:, None]
    return audio * fade * fade[::-1]


def inspect(audio, bits=FILE_BITS):
    """Findings on a signal as a file of 24 bits would hold it."""
    stored = (np.round(audio * 2.0 ** (bits - 1)) / 2.0 ** (bits - 1)).astype(np.float32)
    chunks = [stored[start : start + CHUNK] for start in range(0, len(stored), CHUNK)]
    return diagnose(*scan_track(chunks, RATE, audio.shape[1]), FILE_BITS)


def inspect_track(number, path, seconds, only):
    """One track: its findings when untouched, and for each defect added to it whether it was found."""
    audio = read_section(path, seconds)
    untouched = {finding.name: f"{finding.severity} {finding.sentence}" for finding in inspect(audio)}
    hits = {}
    for index, defect in enumerate(DEFECTS):
        is_too_short = defect.finding == "loudness_range" and seconds < MIN_RANGE_SECONDS
        is_selected = only is None or defect.name in only
        if is_too_short or not is_selected or defect.finding in untouched:
            continue
        strength = defect.strengths[number % len(defect.strengths)]
        defective = defect.add(audio, strength, np.random.default_rng([number, index]))
        hits[defect.name, strength] = defect.finding in {finding.name for finding in inspect(defective)}
    return untouched, hits


def run(paths, options):
    """The tracks of one set, several at a time: findings on untouched music, and the hits of each defect."""
    alarms, hits = collections.Counter(), collections.defaultdict(list)
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool:
        tasks = [pool.submit(inspect_track, n, path, options.seconds, options.only) for n, path in enumerate(paths)]
        for path, task in zip(paths, tasks, strict=True):
            untouched, found = task.result()
            alarms.update(untouched.keys())
            for text in untouched.values():
                print(f"{path.stem}: {text}", file=sys.stderr)
            for (name, strength), is_hit in found.items():
                hits[name, strength].append(is_hit)
                print(f"{path.stem}: {name} {strength:g}: {'hit' if is_hit else 'miss'}", file=sys.stderr, flush=True)
    return alarms, hits


def print_tables(results, labels):
    """Both tables, a column for each set of tracks."""
    header = "".join(f" {label} |" for label in labels)
    rule = "---|" * len(labels)
    print(f"| defect | strength |{header}\n|---|---|{rule}")
    for defect in DEFECTS:
        for strength in defect.strengths:
            found = [hits.get((defect.name, strength), []) for _, hits in results]
            if any(found):
                cells = "".join(f" {100 * np.mean(hit):.0f} % of {len(hit)} |" if hit else " |" for hit in found)
                print(f"| {defect.name} | {f'{strength:g} {defect.unit}'.strip()} |{cells}")
    print(f"\n| finding on untouched music |{header}\n|---|{rule}")
    for name in sorted({defect.finding for defect in DEFECTS}.union(*(alarms for alarms, _ in results))):
        cells = "".join(
            f" {alarms[name]} ({100 * alarms[name] / count:.1f} %) |"
            for (alarms, _), count in zip(results, labels.values(), strict=True)
        )
        print(f"| {name} |{cells}")


def print_time(path, seconds=240):
    audio = read_section(path, seconds)
    audio = np.tile(audio, (-(-seconds * RATE // len(audio)), 1))[: seconds * RATE]
    start, cpu = time.perf_counter(), time.process_time()
    inspect(audio)
    elapsed, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"\nFour minutes of stereo, decoded: {elapsed:.1f} s, {cpu:.1f} s of CPU time, the loudness scan included.")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("music", type=Path, nargs="+", help="folders, or CSVs with a column `target`")
    parser.add_argument("--tracks", type=int, default=40, help="of each folder or CSV")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="defects to add; without names: only untouched music")
    options = parser.parse_args()
    results, labels = [], {}
    for music in options.music:
        paths = find_tracks(music)
        paths = [paths[i] for i in np.linspace(0, len(paths) - 1, min(options.tracks, len(paths))).astype(int)]
        labels[f"{music.stem} ({len(paths)} tracks)"] = len(paths)
        results.append(run(paths, options))
    print_tables(results, labels)
    print_time(paths[0])


if __name__ == "__main__":
    main()
