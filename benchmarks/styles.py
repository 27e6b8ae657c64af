"""How far do styles move tracks, and does the style of a track's own kind move it less than others?

    python benchmarks/styles.py --data music/validation.csv

The middle of each song (`--seconds`) is matched to every style, as `infer.py --style` does, without the compressor. A
row per style: RMS of the EQ in dB over the bands that the song has, without its mean; median, 10 and 90 % over the
songs. Then a row per kind of music, after the column `genre`: the EQ of its own style and of the other kinds' styles,
and in how many songs its own is smaller than the median of the others.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from nmjax.audio import reader
from nmjax.evaluation.metrics import lufs
from nmjax.mastering import pretrained
from nmjax.mastering.analysis import SourceSignal, predict_settings
from nmjax.mastering.network import Network
from nmjax.mastering.references import features_from_chunks
from nmjax.reference import target_file
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.match import match_settings
from nmjax.reference.reference_target import ReferenceTarget
from nmjax.reference.response import bands_response_db
from nmjax.reference.styles import STYLE_NAMES, style_file

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from make_styles import KINDS, kind_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, metavar="CSV", help="songs, with target and genre")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N", help="length of the sections")
    args = parser.parse_args()
    with args.data.open(newline="", encoding="utf-8") as file:
        songs = [(args.data.parent / row["target"], kind_of(row["genre"])) for row in csv.DictReader(file)]
    network = pretrained.load_for_references(lambda _: None)
    styles = {name: target_file.read(style_file(name)) for name in STYLE_NAMES}
    targets = [
        ReferenceTarget(features, name, dynamics=0.0, width=0.0, is_style=True) for features, name in styles.values()
    ]
    rms_db: dict[str, list[dict[str, float]]] = defaultdict(list)
    for path, kind in songs:
        print(path.name, file=sys.stderr)
        rms_db[kind].append(dict(zip(styles, eq_rms_db(path, args.seconds, targets, network), strict=True)))
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


def eq_rms_db(path: Path, seconds: float, targets: list[ReferenceTarget], network: Network) -> list[float]:
    """RMS in dB of the EQ that each target gives the middle of a song."""
    info = reader.probe(path)
    frames = min(info.frames, round(seconds * info.sample_rate))
    audio = reader.read_frames(path, (info.frames - frames) // 2, frames)[:, :2]
    signal = SourceSignal(lambda: [audio], info.sample_rate, lufs(audio.astype(np.float64), info.sample_rate), frames)
    features = dataclasses.replace(features_from_chunks([audio], info.sample_rate), frames=None)
    prediction = predict_settings(signal, network)
    matches = [match_settings(prediction, features, target, load_excerpts=lambda: audio[None]) for target in targets]
    curves_db = [bands_response_db(match.prediction.settings.eq.bands(), CENTERS_HZ) for match in matches]
    return [float(np.std(curve_db[features.active_bands])) for curve_db in curves_db]


def describe(values: list[float] | np.ndarray) -> str:
    low, median, high = np.percentile(values, [10.0, 50.0, 90.0])
    return f"{median:.1f} ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    main()
