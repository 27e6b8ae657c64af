"""Unmastered and mastered pairs from free music, mastered by a chain of ffmpeg's filters.

    python scripts/make_pairs.py MUSIC/train.csv PAIRS --chain adaptive
    python scripts/make_pairs.py MUSIC/validation.csv PAIRS-VALIDATION --chain adaptive --curve PAIRS/curve.json
    python train.py --phase 1a --data PAIRS/mix --target PAIRS/master --out runs/1a

Takes a minute from the middle of each song, at 44.1 kHz and −20 LUFS. MUSIC/train.csv comes from scripts/music.py.

The chain `static` treats all songs alike: bass +3 dB, −4 dB at 300 Hz, treble +4 dB, saturation, compression, width.
The chain `adaptive` moves each song half of the way toward the mean spectrum of the songs in curve.json (at most 6 dB
in a third octave), then compresses what exceeds −26 dBFS RMS by 2.5:1, saturates by tanh, and widens. Needs ffmpeg.
"""

import argparse
import csv
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyloudnorm
import soundfile
from numpy.typing import NDArray

RATE = 44_100
LOUDNESS_LUFS = -20.0
MIN_SECONDS = 20.0  # shorter songs are left out
THIRD_OCTAVES_HZ = 1000.0 * 2.0 ** (np.arange(-16, 13) / 3.0)  # 25 Hz to 16 kHz
SHARE_OF_DISTANCE = 0.5  # of the distance to the curve that `adaptive` corrects
MAX_CORRECTION_DB = 6.0

COMPRESSOR = "acompressor=threshold=0.05:ratio=2.5:attack=15:release=150:knee=4:detection=rms"
SATURATOR = "asoftclip=type=tanh:threshold=0.7:oversample=4"
WIDTH = "stereotools=slev=1.3"
STATIC_EQ = "bass=g=3:f=90:t=s:w=0.7,equalizer=g=-4:f=300:t=q:w=0.8,treble=g=4:f=6000:t=s:w=0.7"


class Song(NamedTuple):
    """A song of the list: its file, its folder among the pairs (the package) and its kind of music."""

    path: Path
    package: str
    genre: str


def read_songs(catalog: Path) -> list[Song]:
    """The songs of a CSV `target,genre` of scripts/music.py whose paths begin with split and package."""
    with open(catalog, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [Song(catalog.parent / row["target"], Path(row["target"]).parts[1], row["genre"]) for row in rows]


def run_ffmpeg(arguments: list[str], audio: NDArray | None = None) -> NDArray:
    """Audio `[time, 2]` from ffmpeg; `audio` is its input where no file is given."""
    stream = ["-f", "f32le", "-ar", str(RATE), "-ac", "2"]
    source = [] if audio is None else [*stream, "-i", "-"]
    command = ["ffmpeg", "-v", "error", *source, *arguments, *stream, "-"]
    data = b"" if audio is None else audio.astype("<f4").tobytes()
    output = subprocess.run(command, input=data, capture_output=True, check=True).stdout
    return np.frombuffer(output, "<f4").reshape(-1, 2).astype(np.float64)


def read_excerpt(song: Song, seconds: float) -> NDArray | None:
    """The middle of a song at −20 LUFS; None where it is too short or silent."""
    probe = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(song.path)]
    duration = float(subprocess.run(probe, capture_output=True, check=True, text=True).stdout)
    if duration < MIN_SECONDS:
        return None
    start = max(0.0, 0.5 * (duration - seconds))
    audio = run_ffmpeg(["-ss", f"{start:.3f}", "-t", str(seconds), "-i", str(song.path), "-vn"])
    loudness = pyloudnorm.Meter(RATE).integrated_loudness(audio)
    return audio * 10.0 ** ((LOUDNESS_LUFS - loudness) / 20.0) if np.isfinite(loudness) else None


def third_octave_levels_db(audio: NDArray) -> NDArray:
    """Long-term levels of the mid signal in third octaves of 25 Hz to 16 kHz (Welch's method, Hann windows)."""
    size = 8192
    mid = audio.mean(axis=1)
    frames = np.lib.stride_tricks.sliding_window_view(mid, size)[:: size // 2]
    power = np.mean(np.abs(np.fft.rfft(frames * np.hanning(size))) ** 2, axis=0)
    freq_hz = np.fft.rfftfreq(size, 1.0 / RATE)
    edges = np.stack([THIRD_OCTAVES_HZ * 2.0 ** (-1 / 6), THIRD_OCTAVES_HZ * 2.0 ** (1 / 6)])
    # The integral of the power's interpolation: low third octaves are narrower than a bin.
    cumulative = np.concatenate([[0.0], np.cumsum(power)])
    low, high = np.interp(edges, freq_hz - 0.5 * freq_hz[1], cumulative[:-1])
    return 10.0 * np.log10(np.maximum(high - low, 1e-12))


def correction_db(levels_db: NDArray, curve_db: NDArray) -> NDArray:
    """Half of the distance to the curve without its mean, at most 6 dB, smoothed over three third octaves."""
    distance = curve_db - levels_db
    correction = np.clip(SHARE_OF_DISTANCE * (distance - distance.mean()), -MAX_CORRECTION_DB, MAX_CORRECTION_DB)
    padded = np.pad(correction, 1, mode="edge")
    return np.convolve(padded, [0.25, 0.5, 0.25], mode="valid")


def chain_filters(chain: str, levels_db: NDArray, curve_db: NDArray) -> str:
    """ffmpeg's filters for a song with these third-octave levels."""
    if chain == "static":
        return ",".join([STATIC_EQ, SATURATOR, COMPRESSOR, WIDTH])
    gains = correction_db(levels_db, curve_db)
    entries = ";".join(f"entry({f:.2f},{g:.3f})" for f, g in zip(THIRD_OCTAVES_HZ, gains, strict=True))
    equalizer = f"firequalizer=gain_entry='{entries}':accuracy=2:min_phase=on"
    return ",".join([equalizer, COMPRESSOR, SATURATOR, WIDTH])


def write(path: Path, audio: NDArray) -> None:
    """A 24-bit FLAC file; louder than full scale it is turned down, as pairs may differ in level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio / max(1.0, np.abs(audio).max() * 1.001), RATE, subtype="PCM_24")


def measure_levels(song: Song, seconds: float) -> NDArray | None:
    """Third-octave levels of a song's excerpt."""
    audio = read_excerpt(song, seconds)
    return None if audio is None else third_octave_levels_db(audio)


def make_pair(song: Song, name: str, *, seconds: float, chain: str, curve_db: NDArray, out: Path) -> bool:
    """Write both sides of a pair; False where the song cannot be used."""
    audio = read_excerpt(song, seconds)
    if audio is None:
        return False
    filters = chain_filters(chain, third_octave_levels_db(audio), curve_db)
    write(out / "mix" / song.package / name, audio)
    write(out / "master" / song.package / name, run_ffmpeg(["-af", filters], audio))
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--chain", choices=("static", "adaptive"), required=True)
    parser.add_argument("--curve", type=Path, help="curve.json of other pairs; default: the mean of these songs")
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    songs = read_songs(args.catalog)
    names = [f"{index:03d}-{song.path.stem}.flac" for index, song in enumerate(songs)]
    args.out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        if args.curve:
            curve_db = np.array(json.loads(args.curve.read_text())["levels_db"])
        else:
            levels = [x for x in pool.map(partial(measure_levels, seconds=args.seconds), songs) if x is not None]
            curve_db = np.mean(levels, axis=0)
        curve = {"freq_hz": THIRD_OCTAVES_HZ.tolist(), "levels_db": curve_db.tolist()}
        (args.out / "curve.json").write_text(json.dumps(curve, indent=1))
        make = partial(make_pair, seconds=args.seconds, chain=args.chain, curve_db=curve_db, out=args.out)
        made = list(pool.map(make, songs, names))
    with open(args.out / "pairs.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("input", "target", "genre"))
        for song, name, is_made in zip(songs, names, made, strict=True):
            if is_made:
                rows.writerow((f"mix/{song.package}/{name}", f"master/{song.package}/{name}", song.genre))
    print(f"{sum(made)} pairs in {args.out}; {len(made) - sum(made)} songs left out.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
