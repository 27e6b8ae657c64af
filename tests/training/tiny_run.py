"""The smallest complete run, and a logger that records it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nmjax.config import Config, load_config
from nmjax.data import Song, training_batches, validation_batches
from nmjax.models import build_model
from nmjax.training.augment import EqDistribution, eq_distribution
from nmjax.training.loop import BatchIterator, TrainingLoop
from nmjax.training.state import create_train_state, initial_variables

OVERRIDES = (
    "model.width=0.02",
    "model.bn_momentum=0.5",
    "data.excerpt_seconds=0.45",
    "data.batch_size=4",
    "data.validation_excerpts=4",
    "data.read_threads=0",
    "loss.fft_sizes=[256]",
)


def tiny_config(phase: str = "1a", *more: str) -> Config:
    """The smoke config with fewer channels and shorter excerpts."""
    return load_config(phase, ["smoke"], [*OVERRIDES, *more])


def train_arguments(phase: str, data: Path, out: Path, *more: str) -> list[str]:
    """The same config as arguments of the command line."""
    return ["train", "--phase", phase, "--config", "smoke", "--data", str(data), "--out", str(out), *more, *OVERRIDES]


def smooth_eq_distribution() -> EqDistribution:
    """Smooth differences between songs, with a standard deviation of 4 dB."""
    centers_hz = np.geomspace(50.0, 16_000.0, 8)
    octaves = np.log2(centers_hz)[:, None] - np.log2(centers_hz)[None]
    return eq_distribution(centers_hz, 16.0 * np.exp(-0.5 * octaves**2))


class RecordingLogger:
    """A logger that records everything, and can stop a run: by an exception, or by a SIGTERM to its own process."""

    def __init__(self, crash_at: int | None = None, kill_at: int | None = None):
        self.losses: dict[int, float] = {}
        self.validations: list[tuple[int, float]] = []
        self.messages: list[str] = []
        self._crash_at, self._kill_at = crash_at, kill_at

    def info(self, message: str) -> None:
        self.messages.append(message)

    def log_step(self, step: int, metrics: dict[str, float]) -> None:
        self.losses[step] = metrics["loss"]
        if step == self._crash_at:
            raise InterruptedError
        if step == self._kill_at:
            os.kill(os.getpid(), signal.SIGTERM)

    def log_validation(self, step: int, metrics: dict[str, float], is_best: bool, sample: dict) -> None:
        self.validations.append((step, metrics["signal"]))

    def flush(self) -> None: ...


def new_run(
    config: Config,
    songs: list[Song],
    folder: Path,
    wrap_batches: Callable[[BatchIterator, int], BatchIterator] = lambda batches, shuffle_index: batches,
) -> TrainingLoop:
    """A run on songs, which also validates on them. `wrap_batches` can change the training batches."""

    def make_batches(shuffle_index: int) -> BatchIterator:
        batches = training_batches(songs, config.data, 44_100, config.seed, order=shuffle_index)
        return wrap_batches(batches, shuffle_index)

    return TrainingLoop(
        config=config,
        state=create_train_state(config, initial_variables(build_model(config), config.seed)),
        eq_distribution=smooth_eq_distribution(),
        make_batches=make_batches,
        validation_batches=validation_batches(songs, config.data, 44_100),
        out=folder,
    )
