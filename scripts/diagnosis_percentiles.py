"""Makes the table that ranks a track's measures among the training songs.

    python scripts/diagnosis_percentiles.py MUSIC/train.csv MEASURES nmjax/mastering/diagnosis/percentiles.json

Measures every target of the CSV that has no line in the file MEASURES yet and appends one for it, so that a run that
was stopped continues where it ended. Then stores, for each measure, the 0th to the 100th percentile over the songs.
Songs shorter than 30 s are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmjax.audio import reader
from nmjax.mastering.diagnosis.diagnosis import track_measures
from nmjax.mastering.diagnosis.inspection import scan_track

MIN_SECONDS = 30.0


def song_measures(path: Path) -> dict[str, float]:
    """Measures of a song; none of a short one."""
    info = reader.probe(path)
    statistics, loudness = scan_track(reader.read_chunks(path), info.sample_rate, info.channels)
    return track_measures(statistics, loudness) if statistics.seconds >= MIN_SECONDS else {}


def read_measures(path: Path) -> dict[str, dict[str, float]]:
    """Measures by target, from a file of earlier runs."""
    if not path.exists():
        return {}
    return {line["target"]: line["measures"] for line in map(json.loads, path.read_text("utf-8").splitlines())}


def percentile_table(songs: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """The 0th to the 100th percentile of each measure."""
    names = sorted(set().union(*songs))
    return {
        name: np.percentile([song[name] for song in songs if name in song], np.arange(101)).round(2).tolist()
        for name in names
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("music", type=Path, help="CSV with a column target")
    parser.add_argument("measures", type=Path, help="JSON lines of the songs measured so far")
    parser.add_argument("out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    with options.music.open(encoding="utf-8") as file:
        targets = [row["target"] for row in csv.DictReader(file)]
    done = read_measures(options.measures)
    with options.measures.open("a", encoding="utf-8") as file:
        for target in (target for target in targets if target not in done):
            done[target] = song_measures(options.music.parent / target)
            print(json.dumps({"target": target, "measures": done[target]}), file=file, flush=True)
    songs = [done[target] for target in targets if done[target]]
    table = {"songs": len(songs), "measures": percentile_table(songs)}
    options.out.write_text(json.dumps(table).replace('], "', '],\n"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
