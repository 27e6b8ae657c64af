"""How fast is the music read? Excerpts a second of the pipeline alone, and a start with 100,000 known files.

    python benchmarks/pipeline.py [MUSIC]

MUSIC is a folder; without it, noise is written (WAV, 44.1 and 48 kHz). Each row takes batches for a few seconds after
the first one; `first batch` is the time until that one, with the start of threads or workers. The 100,000 files are
links to a few WAV files, with an index of songs of four minutes that was written beforehand.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from nmjax.config import Config, load_config
from nmjax.data import Song, find_songs, split_songs, training_batches
from nmjax.data.index import Row, index_path, save
from nmjax.data.measure import CENTRES_HZ
from nmjax.models import SAMPLE_RATE

SECONDS = 3.0  # of each row
FILES, LINKS_A_FILE, SONG_SECONDS = 100_000, 20_000, 240
CASES = [("mono 2 s", ["small"]), ("stereo 5 s", [])]
READERS = [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2)]  # threads, workers


def noise_music(folder: Path) -> Path:
    """Eight songs of a minute, half of them at the model's rate."""
    folder.mkdir()
    for i in range(8):
        rate = (44_100, 48_000)[i % 2]
        audio = 0.1 * np.random.default_rng(i).standard_normal((60 * rate, 2))
        soundfile.write(str(folder / f"{i}.wav"), audio, rate)
    return folder


def excerpts_a_second(songs: list[Song], config: Config, semitones: float) -> tuple[float, float]:
    """(rate, seconds until the first batch)."""
    began = time.perf_counter()
    stream = training_batches(songs, config.data, SAMPLE_RATE, 0, None, semitones)
    try:
        next(stream)
        first, count = time.perf_counter(), 0
        while time.perf_counter() < first + SECONDS:
            next(stream)
            count += config.data.batch_size
        return count / (time.perf_counter() - first), first - began
    finally:
        stream.close()


def many_songs(folder: Path, cache_dir: Path) -> None:
    """A folder of links, and its index."""
    rng = np.random.default_rng(0)
    for i in range(-(-FILES // LINKS_A_FILE)):
        soundfile.write(str(folder.parent / f"{i}.wav"), 0.1 * rng.standard_normal((SAMPLE_RATE, 2)), SAMPLE_RATE)
    rows = []
    for i in range(FILES):
        key = f"album_{i // 10:05d}/song_{i % 10}.wav"
        if i % 10 == 0:
            (folder / key).parent.mkdir(parents=True)
        os.link(folder.parent / f"{i // LINKS_A_FILE}.wav", folder / key)
        stat = (folder / key).stat()
        levels = rng.integers(-45, -10, 2 * SONG_SECONDS, np.int8)
        levels[:4] = -80
        header = (SONG_SECONDS * SAMPLE_RATE, SAMPLE_RATE, 2, "WAV", "PCM_16", "")
        spectrum = np.zeros(len(CENTRES_HZ), np.float32)
        rows.append(Row(key, stat.st_size, stat.st_mtime_ns, "", *header, -14.0, levels, spectrum))
    save(index_path(folder, cache_dir), rows)


def start(folder: Path, cache_dir: Path, config: Config) -> dict[str, float]:
    """Seconds of the processor for each part of a start in which nothing is new."""
    marks = [time.process_time()]
    songs = find_songs(folder, None, cache_dir)
    marks.append(time.process_time())
    training, _ = split_songs(songs, 0.1, 0)
    marks.append(time.process_time())
    training_batches(training, config.data, SAMPLE_RATE, 0)
    marks.append(time.process_time())
    return dict(zip(("walk, index, songs", "split", "slots"), np.diff(marks).tolist(), strict=True))


def main(music: Path | None) -> None:
    """Print one table."""
    table = Table("what", "threads", "workers", "speed shift", "excerpts/s", "first batch, s", title="Pipeline")
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        songs = find_songs(music or noise_music(place / "noise"), None, None if music else place / "cache")
        for name, overlays in CASES:
            for threads, workers in READERS:
                for semitones in (0.0, 2.0):
                    changes = [f"data.read_threads={threads}", f"data.workers={workers}"]
                    config = load_config("1a", overlays, changes)
                    rate, first = excerpts_a_second(songs, config, semitones)
                    shift = f"±{semitones:g} st" if semitones else "–"
                    table.add_row(name, str(threads), str(workers), shift, f"{rate:.0f}", f"{first:.2f}")
        many_songs(place / "many", place / "cache")
        parts = start(place / "many", place / "cache", load_config("1a"))
        for part, seconds in (*parts.items(), ("all of it", sum(parts.values()))):
            table.add_row(f"{FILES:,} known files: {part}", "", "", "", "", f"{seconds:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
