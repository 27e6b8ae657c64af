"""Batches: an endless, shuffled, resumable stream for training, and the same few for every validation."""

from __future__ import annotations

import math

import grain
import numpy as np

from nmjax.config import DataConfig
from nmjax.data.excerpts import ReadExcerpt, Slot, Slots
from nmjax.data.songs import Song


def training_batches(
    songs: list[Song], config: DataConfig, sample_rate: int, seed: int
) -> grain.DatasetIterator[dict[str, np.ndarray]]:
    """Batches `{"target": [batch, time, channel], "length": [batch], and "input" for pairs}` without end.

    Every slot of every song comes up once an epoch, in an order and at an offset that follow from the seed. The
    iterator's `get_state` and `set_state` go on exactly where they were.
    """
    reader = ReadExcerpt(config.excerpt_seconds, sample_rate, config.channels)
    dataset = grain.MapDataset.source(Slots(songs, config.excerpt_seconds)).seed(seed).shuffle().repeat()
    dataset = dataset.random_map(reader).batch(config.batch_size)
    options = grain.ReadOptions(num_threads=config.read_threads, prefetch_buffer_size=2 * config.read_threads)
    return iter(dataset.to_iter_dataset(options))


def validation_batches(songs: list[Song], config: DataConfig, sample_rate: int) -> list[dict[str, np.ndarray]]:
    """Excerpts spread evenly over the songs and within them, always the same, in whole batches."""
    count = math.ceil(config.validation_excerpts / config.batch_size) * config.batch_size
    each = math.ceil(count / len(songs))
    reader = ReadExcerpt(config.excerpt_seconds, sample_rate, config.channels)
    items = []
    for i in range(count):
        song = songs[i % len(songs)]
        start = (i // len(songs) + 0.5) / each * max(0.0, song.seconds - config.excerpt_seconds)
        items.append(reader(Slot(song, start, 0.0), np.random.default_rng(i)))
    return [
        {key: np.stack([item[key] for item in items[i : i + config.batch_size]]) for key in items[0]}
        for i in range(0, count, config.batch_size)
    ]
