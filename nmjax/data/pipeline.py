"""Batches: an endless, shuffled, resumable stream for training, and the same few for every validation."""

from __future__ import annotations

import dataclasses
import math
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import grain
import numpy as np

from nmjax.config import DataConfig
from nmjax.data.excerpts import ReadExcerpt
from nmjax.data.slots import Slot, Slots
from nmjax.data.songs import Song
from nmjax.errors import BadInputError

Batch = dict[str, np.ndarray]
_NUMBERS = 2**31  # what an int32 holds


class Stream:
    """Batches without end. `get_state` and `set_state` go on exactly where it was, with any number of workers,
    threads and processes: all that counts is how many batches have been taken."""

    def __init__(self, dataset: grain.MapDataset[Batch], config: DataConfig):
        self._dataset, self._config = dataset, config
        self._taken, self._batches = 0, None

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._batches is None:
            self._batches = self._started()
        batch = next(self._batches)
        self._taken += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        """For JSON."""
        return {"batches": self._taken}

    def set_state(self, state: dict[str, Any]) -> None:
        """The next batch is the one that followed when `state` was got."""
        self.close()
        self._taken = state["batches"]

    def close(self) -> None:
        """End the workers. The stream itself goes on if it is asked to."""
        if self._batches is not None:
            self._batches.close()
        self._batches = None

    def _started(self) -> grain.DatasetIterator[Batch]:
        threads, workers = self._config.read_threads, self._config.workers
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
        dataset = self._dataset[self._taken :].to_iter_dataset(options)
        if workers:
            from absl import flags

            flags.FLAGS.mark_as_parsed()  # grain hands them to its workers, and there is no absl command line here
            options = grain.MultiprocessingOptions(workers, per_worker_buffer_size=2)
            dataset = dataset.mp_prefetch(options, worker_init_fn=_left_alone)
        return iter(dataset)


def training_batches(
    songs: list[Song],
    config: DataConfig,
    sample_rate: int,
    seed: int,
    weights: Sequence[float] | None = None,
    speed_semitones: float = 0.0,
    process: tuple[int, int] = (0, 1),
    order: int = 0,
) -> Stream:
    """Batches `{"target": [rows, time, channel], "length": [rows], "number": [rows], and "input" for pairs}`, no end.

    Every slot comes up once an epoch, in an order and at an offset that follow from seed, order and nothing else.
    Examples are numbered from 0 on (int32, modulo 2³¹); batch k holds those from k·`batch_size` on.

    Args:
        weights: the share of each source of songs among the excerpts; None: as many as each has.
        speed_semitones: how far an excerpt is played faster or slower at most.
        process: this one of so many, each of which gets its rows of every batch, in turn.
        order: another number is another order of the same music.

    Raises:
        BadInputError: a batch that cannot be divided among the processes.
    """
    here, count = process
    if config.batch_size % count:
        raise BadInputError(f"data.batch_size ({config.batch_size}) must be a multiple of the {count} processes.")
    groups = [songs] if weights is None else [[s for s in songs if s.source == i] for i in range(len(weights))]
    seeds = np.random.SeedSequence([seed, order]).generate_state(len(groups))
    shuffled = [
        grain.MapDataset.source(Slots(group, config.excerpt_seconds)).shuffle(int(draw)).repeat()
        for group, draw in zip(groups, seeds, strict=True)
    ]
    mixed = shuffled[0] if weights is None else grain.MapDataset.mix(shuffled, weights)
    numbered = mixed.map_with_index(_numbered).batch(config.batch_size, batch_fn=list)
    rows = config.batch_size // count
    reader = ReadExcerpt(config.excerpt_seconds, sample_rate, config.channels, speed_semitones)
    return Stream(numbered.map(_ReadRows(reader, (seed, order), here * rows, rows)), config)


def validation_batches(
    songs: list[Song], config: DataConfig, sample_rate: int, process: tuple[int, int] = (0, 1)
) -> list[Batch]:
    """Excerpts spread evenly over the songs and within them, always the same, in whole batches like those of
    training."""
    count = math.ceil(config.validation_excerpts / config.batch_size) * config.batch_size
    chosen = songs if len(songs) <= count else [songs[i * len(songs) // count] for i in range(count)]
    slots, each = Slots(chosen, config.excerpt_seconds), math.ceil(count / len(chosen))

    def excerpt(number: int) -> tuple[int, Slot]:
        turn, which = divmod(number, len(chosen))
        starts = slots.starts(which)
        return number, Slot(chosen[which], starts[[int((turn + 0.5) / each * len(starts))]], 0.0)

    here, processes = process
    rows = config.batch_size // processes
    reader = ReadExcerpt(config.excerpt_seconds, sample_rate, config.channels)
    read = _ReadRows(reader, (0,), here * rows, rows)
    return [
        read([excerpt(number) for number in range(first, first + config.batch_size)])
        for first in range(0, count, config.batch_size)
    ]


def _left_alone(_worker: int, _count: int) -> None:
    """Ctrl-C reaches the workers, too; they end when the stream is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _numbered(number: int, slot: Slot) -> tuple[int, Slot]:
    return number, slot


@dataclasses.dataclass(frozen=True)
class _ReadRows:
    """Numbered slots of a whole batch → `rows` of them from `first` on, read and stacked.

    The randomness of each follows from `seed` and its number, whoever reads it.
    """

    reader: ReadExcerpt
    seed: tuple[int, ...]
    first: int
    rows: int

    def __call__(self, batch: list[tuple[int, Slot]]) -> Batch:
        mine = batch[self.first : self.first + self.rows]
        items = [
            self.reader(slot, np.random.default_rng([*self.seed, number])) | {"number": np.int32(number % _NUMBERS)}
            for number, slot in mine
        ]
        return {key: np.stack([item[key] for item in items]) for key in items[0]}
