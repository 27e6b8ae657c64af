"""How far do styles move tracks, and does the style of a track's own kind move it less than others?

    python benchmarks/styles.py --data music/validation.csv

Computed from the levels of the middle of each song (`--seconds`): the curve that `infer.py --style` fits filters to,
where the network predicts no EQ. A row per style: its RMS in dB over the bands that the song has, without its mean;
median, 10 and 90 % over the songs. Then a row per kind of music, after the column `genre`: the curve of its own style
and those of the other kinds' styles, and in how many songs its own is smaller than the median of the others.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from nmjax.audio import reader
from nmjax.mastering.reference_features import features_from_chunks
from nmjax.reference import target_file
from nmjax.reference.bands import NUM_BANDS
from nmjax.reference.features import TrackFeatures
from nmjax.reference.limits import DEFAULT_LIMITS
from nmjax.reference.posterior import STYLE_PRIOR
from nmjax.reference.styles import STYLE_NAMES, style_file
from nmjax.reference.target_eq import eq_correction_db, limit_gains, limits_of_sound

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from make_styles import KINDS, kind_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, metavar="CSV", help="songs, with target and genre")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N", help="length of the sections")
    args = parser.parse_args()
    with args.data.open(newline="", encoding="utf-8") as file:
        songs = [(args.data.parent / row["target"], kind_of(row["genre"])) for row in csv.DictReader(file)]
    styles = {name: target_file.read(style_file(name))[0] for name in STYLE_NAMES}
    rms_db: dict[str, list[dict[str, float]]] = defaultdict(list)
    for path, kind in songs:
        print(path.name, file=sys.stderr)
        track = read_features(path, args.seconds)
        rms_db[kind].append({name: eq_rms_db(track, style) for name, style in styles.items()})
    everything = [row for rows in rms_db.values() for row in rows]
    print(f"| style | EQ of {len(everything)} songs, dB RMS: median (10 to 90 %) |\n|---|---:|")
    for name in styles:
        print(f"| {name} | {describe([row[name] for row in everything])} |")
    print("\n| kind of song | songs | its own style | the others | own below the median of the others |")
    print("|---|---:|---:|---:|---:|")
    for kind, rows in rms_db.items():
        if kind:
            others = [[row[name] for name in KINDS if name != kind] for row in rows]
            smaller = np.mean([row[kind] < np.median(other) for row, other in zip(rows, others, strict=True)])
            cells = describe([row[kind] for row in rows]), describe(np.concatenate(others))
            print(f"| {kind} | {len(rows)} | {cells[0]} | {cells[1]} | {smaller:.0%} |")


def read_features(path: Path, seconds: float) -> TrackFeatures:
    """Features of the middle of a song."""
    info = reader.probe(path)
    frames = min(info.frames, round(seconds * info.sample_rate))
    audio = reader.read_frames(path, (info.frames - frames) // 2, frames)[:, :2]
    return features_from_chunks([audio], info.sample_rate)


def eq_rms_db(track: TrackFeatures, style: TrackFeatures) -> float:
    """RMS in dB of the curve that the style asks for, within the limits."""
    correction = eq_correction_db(track, style, np.zeros(NUM_BANDS), STYLE_PRIOR)
    curve_db = limit_gains(correction.curve_db, track, limits_of_sound(track, DEFAULT_LIMITS.response(track)))
    return float(np.std(curve_db[track.active_bands]))


def describe(values: list[float] | np.ndarray) -> str:
    low, median, high = np.percentile(values, [10.0, 50.0, 90.0])
    return f"{median:.1f} ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    main()
