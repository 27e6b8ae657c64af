"""Makes the styles that come with the program, with `nmjax targets --save`, and the table of docs/reference/styles.md.

    python scripts/make_styles.py music features

The first folder is that of `scripts/music.py`, the second keeps the features of each song as a target file. A style is
the average of the training songs of its kind, in which n songs of one author weigh as much as √n songs; "balanced" is
the average of all kinds, "warm" and "bright" are tilts of it. The analysis of the songs takes about 25 minutes; songs
whose features exist are not analyzed again. One package is left out, whose codec is too coarse.
"""

import argparse
import csv
import re
from collections import Counter
from pathlib import Path

from nmjax.cli.main import main as nmjax
from nmjax.reference.styles import style_file

CATALOG_CSV = Path(__file__).with_name("music.csv")
KINDS = {  # of the genre in music.csv; the first that matches
    "orchestral": r"orchestral \(sampled\)|^Classical|^Romantic",
    "folk": r"orchestral/folk|^folk|ethnic|^celtic",
    "pop": r"mixed light|kart|latin|christmas|cartoon",
    "rock": r"light rock|^metal|thrash",
    "industrial": r"industrial/dark ambient",
    "chiptune": r"chiptune",
    "electronic": r"space electronic|ambient|electronic|drum and bass|dnb",
}
LEFT_OUT = "warzone2100-music"  # 47 kbit/s
TILTS_DB = {"warm": -0.75, "bright": 0.75}  # per octave


def kind_of(genre: str) -> str:
    """The style of a genre; empty where there is none."""
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, genre, re.IGNORECASE)), "")


def main(music: Path, features: Path) -> None:
    """Write all styles, and print a row for each."""
    with open(CATALOG_CSV, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        songs = [row for row in rows if row["split"] == "train" and row["package"] != LEFT_OUT]
    print("| style | songs | hours | authors | packages | licenses |\n|---|---|---|---|---|---|")
    for kind in KINDS:
        rows = [row for row in songs if kind_of(row["genre"]) == kind and (music / song_path(row)).is_file()]
        songs_by_author = Counter(row["author"] for row in rows)
        files = [features_file(row, music, features) for row in rows]
        weights = [songs_by_author[row["author"]] ** -0.5 for row in rows]
        save(kind, *(f"{file}={weight:.6f}" for file, weight in zip(files, weights, strict=True)))
        hours = sum(float(row["seconds"]) for row in rows) / 3600.0
        packages, licenses = (sorted({row[name] for row in rows}) for name in ("package", "license"))
        counts = f"{len(rows)} | {hours:.1f} | {len(songs_by_author)}"
        print(f"| {kind} | {counts} | {', '.join(packages)} | {', '.join(licenses)} |", flush=True)
    save("balanced", *KINDS)
    for name, tilt_db in TILTS_DB.items():
        save(name, "balanced", "--tilt", f"{tilt_db}")


def features_file(row: dict[str, str], music: Path, features: Path) -> Path:
    """The target file of a song, made if it does not exist."""
    file = features / row["package"] / f"{Path(row['path']).name}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        run("targets", str(music / song_path(row)), "--save", str(file))
    return file


def song_path(row: dict[str, str]) -> Path:
    return Path(row["split"]) / row["package"] / row["path"]


def save(style: str, *arguments: str) -> None:
    run("targets", *arguments, "--save", str(style_file(style)), "--name", f"the style {style}", "--force")


def run(*arguments: str) -> None:
    if code := nmjax(list(arguments)):
        raise SystemExit(code)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", type=Path)
    parser.add_argument("features", type=Path)
    given = parser.parse_args()
    main(given.music, given.features)
