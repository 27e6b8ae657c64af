"""Hits and false alarms of the diagnosis: defects of known strength added to real music by independent code.

    python benchmarks/diagnosis.py MUSIC [--tracks 40] [--seconds 60] [--only hum_50 ...]

MUSIC is a folder, or a CSV with a column `target`. Takes a section from the middle of each track, fades its ends, and
inspects it untouched and with each defect. A track gets one strength of each defect; the next track gets the next
strength. A false alarm is a finding on the untouched section; a hit is the expected finding on the defective one,
counted where the untouched section did not have it. "Untouched" music may have defects of its own, so false alarms
are an upper limit. Last, the time for four minutes.
"""

import argparse
import collections
import csv
import sys
import time
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


def run(paths, seconds, only):
    alarms, hits = collections.Counter(), collections.defaultdict(list)
    for number, path in enumerate(paths):
        audio = read_section(path, seconds)
        untouched = inspect(audio)
        alarms.update({finding.name for finding in untouched})
        for finding in untouched:
            print(f"{path.stem}: {finding.severity} {finding.sentence}", file=sys.stderr)
        for index, defect in enumerate(DEFECTS):
            is_too_short = defect.finding == "loudness_range" and seconds < MIN_RANGE_SECONDS
            is_selected = only is None or defect.name in only
            if is_too_short or not is_selected or defect.finding in {finding.name for finding in untouched}:
                continue
            strength = defect.strengths[number % len(defect.strengths)]
            defective = defect.add(audio, strength, np.random.default_rng([number, index]))
            is_hit = defect.finding in {finding.name for finding in inspect(defective)}
            hits[defect.name, strength].append(is_hit)
            print(f"{path.stem}: {defect.name} {strength:g}: {'hit' if is_hit else 'miss'}", file=sys.stderr)
    return alarms, hits


def print_tables(alarms, hits, count):
    print("| defect | strength | hits | tracks |\n|---|---|---|---|")
    for defect in DEFECTS:
        for strength in defect.strengths:
            if results := hits.get((defect.name, strength)):
                cell = f"{strength:g} {defect.unit}".strip()
                print(f"| {defect.name} | {cell} | {100 * np.mean(results):.0f} % | {len(results)} |")
    print(f"\n| finding | on untouched music ({count} tracks) |\n|---|---|")
    for name in sorted({defect.finding for defect in DEFECTS} | set(alarms)):
        print(f"| {name} | {alarms[name]} ({100 * alarms[name] / count:.1f} %) |")


def print_time(path, seconds=240):
    audio = read_section(path, seconds)
    audio = np.tile(audio, (-(-seconds * RATE // len(audio)), 1))[: seconds * RATE]
    start, cpu = time.perf_counter(), time.process_time()
    inspect(audio)
    elapsed, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"\nFour minutes of stereo, decoded: {elapsed:.1f} s, {cpu:.1f} s of CPU time, the loudness scan included.")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("music", type=Path, help="a folder, or a CSV with a column `target`")
    parser.add_argument("--tracks", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", nargs="*", help="defects to add; without names: only untouched music")
    options = parser.parse_args()
    paths = find_tracks(options.music)
    paths = [paths[i] for i in np.linspace(0, len(paths) - 1, min(options.tracks, len(paths))).astype(int)]
    print_tables(*run(paths, options.seconds, options.only), len(paths))
    print_time(paths[0])


if __name__ == "__main__":
    main()
