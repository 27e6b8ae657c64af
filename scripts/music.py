"""Free music to train with: downloads the Debian packages of music.csv and writes train.csv and validation.csv,
and train-free.csv: the training songs under CC-BY, CC-BY-SA, CC0 or in the public domain.

    python scripts/music.py DIR [PACKAGE …]

Needs Debian's (or Ubuntu's) apt-get and dpkg-deb, no root; 2.9 GB for training and 0.5 GB for validation. Safe to
repeat: packages that exist are not downloaded again. music.csv names title, license and author of every track.
"""

import argparse
import csv
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CATALOG_CSV = Path(__file__).with_suffix(".csv")
FREE_LICENSES = re.compile("cc-by|cc0|public-domain", re.IGNORECASE)  # a song may have several licenses


def fetch_package(package: str, folder: Path) -> None:
    """Download one package and unpack it into `folder`, whole or not at all."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        subprocess.run(["apt-get", "download", "-qq", package], cwd=temporary, check=True)
        deb = next(Path(temporary).glob("*.deb"))
        unpacked = Path(temporary) / "unpacked"
        subprocess.run(["dpkg-deb", "-x", str(deb), str(unpacked)], check=True)
        for archive in unpacked.rglob("*music.pk3"):  # a ZIP file, whose songs music.csv lists below "NAME.pk3!"
            with zipfile.ZipFile(archive) as songs:
                songs.extractall(f"{archive}!")
            archive.unlink()
        unpacked.rename(folder)


def main(folder: Path, packages: set[str]) -> None:
    """Fetch, then list what is there."""
    with open(CATALOG_CSV, newline="", encoding="utf-8") as file:
        catalog = list(csv.DictReader(file))
    rows = [row for row in catalog if not packages or row["package"] in packages]
    if packages and {row["package"] for row in rows} != packages:
        sys.exit(f"Packages can be: {', '.join(sorted({row['package'] for row in catalog}))}.")
    for split, package in sorted({(row["split"], row["package"]) for row in rows}):
        print(f"{split}: {package}")
        fetch_package(package, folder / split / package)
    lists = {split: [row for row in catalog if row["split"] == split] for split in ("train", "validation")}
    lists["train-free"] = [row for row in lists["train"] if FREE_LICENSES.search(row["license"])]
    for name, rows in lists.items():
        tracks = [(f"{r['split']}/{r['package']}/{r['path']}", r["genre"]) for r in rows]
        tracks = [(target, genre) for target, genre in tracks if (folder / target).is_file()]
        with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("target", "genre"), *tracks])
        print(f"{folder / f'{name}.csv'}: {len(tracks)} tracks")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("packages", nargs="*")
    given = parser.parse_args()
    try:
        main(given.folder, set(given.packages))
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        sys.exit(f"Stopped: {error}. This needs Debian 12's apt-get and dpkg-deb; run 'apt-get update' and try again.")
