"""How fast is the input pipeline? Excerpts per second, the time that training waits for data, and a start with 100,000
indexed files.

    python benchmarks/pipeline.py [MUSIC]

MUSIC is a folder; without it, noise is written (WAV, 44.1 and 48 kHz). Each row reads batches for a few seconds after
the first one; `first batch` is the time until that one, including the start of threads or workers. `waiting` is the
fraction of the training time (1a and 1b at `small`, after two steps) spent waiting for the next batch. The 100,000
files are links to a few WAV files, with an index of songs of four minutes.
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
from nmjax.data import SONG_SPECTRUM_HZ, Song, find_songs, spectrum_covariance, split_songs, training_batches
from nmjax.data.index import IndexRow, index_path, save_index
from nmjax.data.scan import THIRD_OCTAVE_CENTERS_HZ
from nmjax.models import SAMPLE_RATE, build_model
from nmjax.training.augment import eq_distribution
from nmjax.training.loop import TrainingLoop
from nmjax.training.state import create_train_state, initial_variables

SECONDS = 3.0  # per row
STEPS, WARMUP_STEPS = 12, 2  # of the training; the first ones are not measured
FILES, LINKS_PER_FILE, SONG_SECONDS = 100_000, 20_000, 240
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


def throughput(songs: list[Song], config: Config, semitones: float) -> tuple[float, float]:
    """Excerpts per second, and seconds until the first batch."""
    start_time = time.perf_counter()
    stream = training_batches(songs, config.data, SAMPLE_RATE, seed=0, speed_semitones=semitones)
    try:
        next(stream)
        first, count = time.perf_counter(), 0
        while time.perf_counter() < first + SECONDS:
            next(stream)
            count += config.data.batch_size
        return count / (time.perf_counter() - first), first - start_time
    finally:
        stream.close()


def write_linked_songs(folder: Path, cache_dir: Path) -> None:
    """Write a folder of links, and its index."""
    rng = np.random.default_rng(0)
    for i in range(-(-FILES // LINKS_PER_FILE)):
        soundfile.write(str(folder.parent / f"{i}.wav"), 0.1 * rng.standard_normal((SAMPLE_RATE, 2)), SAMPLE_RATE)
    rows = []
    for i in range(FILES):
        key = f"album_{i // 10:05d}/song_{i % 10}.wav"
        if i % 10 == 0:
            (folder / key).parent.mkdir(parents=True)
        os.link(folder.parent / f"{i // LINKS_PER_FILE}.wav", folder / key)
        stat = (folder / key).stat()
        levels = rng.integers(-45, -10, 2 * SONG_SECONDS, np.int8)
        levels[:4] = -80
        header = (SONG_SECONDS * SAMPLE_RATE, SAMPLE_RATE, 2, "WAV", "PCM_16", "")
        spectrum = np.zeros(len(THIRD_OCTAVE_CENTERS_HZ), np.float32)
        rows.append(IndexRow(key, stat.st_size, stat.st_mtime_ns, "", *header, -14.0, levels, spectrum))
    save_index(index_path(folder, cache_dir), rows)


def time_startup(folder: Path, cache_dir: Path, config: Config) -> dict[str, np.ndarray]:
    """Wall and CPU seconds of each part of a start in which all files are indexed."""

    def now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    marks = [now()]
    songs = find_songs(folder, None, cache_dir)
    marks.append(now())
    training, _ = split_songs(songs, 0.1, 0)
    marks.append(now())
    training_batches(training, config.data, SAMPLE_RATE, 0)
    marks.append(now())
    return dict(zip(("walk, index, songs", "split", "segments"), np.diff(marks, axis=0), strict=True))


class WaitTimer:
    """A logger that sums the seconds of the steps, and those spent waiting for data."""

    def __init__(self):
        self.wait_seconds = self.seconds = self._last = 0.0

    def info(self, message: str) -> None: ...

    def log_validation(self, step: int, metrics: dict, is_best: bool, sample: dict) -> None: ...

    def flush(self) -> None: ...

    def log_step(self, step: int, metrics: dict[str, float]) -> None:
        now = time.perf_counter()
        if step > WARMUP_STEPS:
            self.seconds += now - self._last
            self.wait_seconds += metrics["data_wait_seconds"]
        self._last = now


def measure_wait_fraction(songs: list[Song], phase: str, folder: Path) -> float:
    """Fraction of the time of some training steps spent waiting for data."""
    config = load_config(phase, ["small"], [f"train.steps={STEPS}", "train.checkpoint_every=1000"])
    state = create_train_state(config, initial_variables(build_model(config), 0))

    def make_batches(shuffle_index: int):
        speed_semitones = config.augment.speed_semitones
        return training_batches(
            songs, config.data, SAMPLE_RATE, seed=0, speed_semitones=speed_semitones, order=shuffle_index
        )

    loop = TrainingLoop(
        config=config,
        state=state,
        eq_distribution=eq_distribution(SONG_SPECTRUM_HZ, spectrum_covariance(songs)),
        make_batches=make_batches,
        validation_batches=[],
        out=folder,
    )
    timer = WaitTimer()
    loop.train(timer)
    loop.close()
    return timer.wait_seconds / timer.seconds


def main(music: Path | None) -> None:
    """Print one table."""
    table = Table(
        "data", "threads", "workers", "speed shift", "excerpts/s", "first batch, s", "waiting", title="Pipeline"
    )
    with tempfile.TemporaryDirectory() as scratch:
        scratch_dir = Path(scratch)
        songs = find_songs(music or noise_music(scratch_dir / "noise"), None, None if music else scratch_dir / "cache")
        for name, overlays in CASES:
            for threads, workers in READERS:
                for semitones in (0.0, 2.0):
                    changes = [f"data.read_threads={threads}", f"data.num_workers={workers}"]
                    config = load_config("1a", overlays, changes)
                    rate, first = throughput(songs, config, semitones)
                    shift = f"±{semitones:g} st" if semitones else "–"
                    table.add_row(name, str(threads), str(workers), shift, f"{rate:.0f}", f"{first:.2f}")
        Console().print(table)
        for phase in ("1a", "1b"):
            fraction = measure_wait_fraction(songs, phase, scratch_dir / phase)
            Console().print(f"training {phase} at small waits for data {100 * fraction:.2f} % of the time")
        write_linked_songs(scratch_dir / "many", scratch_dir / "cache")
        parts = time_startup(scratch_dir / "many", scratch_dir / "cache", load_config("1a"))
        table = Table("part", "seconds", "CPU seconds", title=f"A start with {FILES:,} indexed files")
        for part, (wall, processor) in (*parts.items(), ("total", sum(parts.values()))):
            table.add_row(part, f"{wall:.2f}", f"{processor:.2f}")
        Console().print(table)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
