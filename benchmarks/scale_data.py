"""Manifest, index, shuffle and reading for `scale.py`; each function runs in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import grain
import numpy as np
import soundfile
from scale_jobs import OUTCOME, peak_mb

from nmjax.batch.jobs import Job
from nmjax.batch.manifest import DONE, STARTED, Manifest, ManifestEntry
from nmjax.config import load_config
from nmjax.data import Song, training_batches
from nmjax.data.catalog import Recording
from nmjax.data.index import IndexRow, load_index, save_index
from nmjax.data.scan import THIRD_OCTAVE_CENTERS_HZ
from nmjax.data.segments import SegmentDataset

SONG_SECONDS, RATE = 240, 44_100
HEADER = (SONG_SECONDS * RATE, RATE, 2, "WAV", "PCM_16")
DIGEST = "36e262d569b637e5"


def manifest_entries(count: int) -> Iterator[ManifestEntry]:
    """The two lines of each track."""
    fields = {key: value for key, value in vars(OUTCOME).items() if key != "reference"}
    for i in range(count):
        name = f"album-{i // 10:05}/{i % 10} a title of the usual length"
        files = tuple(Path(f"/music/out/{name}-mastered.wav{suffix}") for suffix in ("", ".json"))
        job = Job(Path(f"/music/in/{name}.wav"), files)
        stamps = {file.name: [37_044_044, 1_796_033_461_576_632_875 + i] for file in files}
        stat = {"size": 37_044_044, "mtime_ns": 1_796_033_455_452_632_694 + i, "sha256": f"{i:064x}", "files": stamps}
        yield ManifestEntry.for_job(job, STARTED, DIGEST).with_time()
        yield ManifestEntry.for_job(job, DONE, DIGEST, **stat, **fields, seconds=4.88).with_time()


def write_manifest(path: str, count: int) -> dict[str, float]:
    """Write lines one at a time, as a run does."""
    with Manifest(Path(path)) as manifest:
        start = time.perf_counter()
        for entry in manifest_entries(count):
            manifest.add([entry])
        return {"s": time.perf_counter() - start, "file_mb": Path(path).stat().st_size / 1e6}


def read_manifest(path: str) -> dict[str, float]:
    """Open a manifest, as the next run does."""
    before, start = peak_mb(), time.process_time()
    with Manifest(Path(path)):
        return {"cpu_s": time.process_time() - start, "mb": peak_mb() - before}


def write_index(path: str, count: int) -> dict[str, float]:
    """Write an index of songs of four minutes."""
    rng, rows = np.random.default_rng(0), []
    for i in range(count):
        levels = rng.integers(-30, -10, 2 * SONG_SECONDS, np.int8)
        spectrum = rng.standard_normal(len(THIRD_OCTAVE_CENTERS_HZ)).astype(np.float32)
        key = f"album-{i // 10:05}/{i % 10}.wav"
        rows.append(IndexRow(key, 42_336_044, i, "", *HEADER, "", -14.0, levels, spectrum))
    start = time.process_time()
    save_index(Path(path), rows)
    return {"cpu_s": time.process_time() - start, "file_mb": Path(path).stat().st_size / 1e6}


def make_song(name: str, file: str, levels: np.ndarray, spectrum: np.ndarray) -> Song:
    """A song of the index, with any file."""
    return Song(name, "", Recording(file, *HEADER, 1.0, file, -14.0, levels, spectrum))


def read_index(path: str) -> dict[str, float]:
    """Read an index, then find the segments of its songs, as a training does."""
    before, start = peak_mb(), time.process_time()
    rows = list(load_index(Path(path)).values())
    read_s = time.process_time() - start
    songs = [make_song(row.key, f"/music/{row.key}", row.levels, row.spectrum) for row in rows]
    start = time.process_time()
    segments = SegmentDataset(songs, 5.0)
    segments_s = time.process_time() - start
    return {"cpu_s": read_s, "segments_cpu_s": segments_s, "segments": len(segments), "mb": peak_mb() - before}


def measure_shuffle(size: int) -> dict[str, float]:
    """CPU microseconds of a position in Grain's permutation, and CPU seconds of a permutation in memory."""
    shuffled = grain.MapDataset.range(size).shuffle(seed=0)
    indices = range(0, size, size // 100_000)
    before, start = peak_mb(), time.process_time()
    for i in indices:
        shuffled[i]
    grain_s, grain_mb = time.process_time() - start, peak_mb() - before
    start = time.process_time()
    np.random.default_rng(0).permutation(size)
    numpy_s = time.process_time() - start
    return {"us": 1e6 * grain_s / len(indices), "mb": grain_mb, "cpu_s": numpy_s, "numpy_mb": peak_mb() - before}


def measure_reading(folder: str, batch_size: int, hosts: int, batches: int) -> dict[str, float]:
    """CPU milliseconds of an excerpt on one host, which reads its own rows of each global batch."""
    file = f"{folder}/song.wav"
    soundfile.write(file, 0.1 * np.random.default_rng(0).standard_normal((SONG_SECONDS * RATE, 2)), RATE)
    levels, spectrum = np.full(2 * SONG_SECONDS, -14, np.int8), np.zeros(len(THIRD_OCTAVE_CENTERS_HZ), np.float32)
    songs = [make_song(str(i), file, levels, spectrum) for i in range(10_000)]
    config = load_config("1b", [], [f"data.batch_size={batch_size}"])
    stream = training_batches(songs, config.data, RATE, seed=0, speed_semitones=2.0, process=(hosts - 1, hosts))
    next(stream)
    start = time.process_time()
    for _ in range(batches):
        next(stream)
    cpu_s = time.process_time() - start
    stream.close()
    return {"cpu_ms": 1e3 * cpu_s / (batches * batch_size // hosts)}
