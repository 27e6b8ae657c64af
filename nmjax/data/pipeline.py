"""Batches: an endless, shuffled, resumable stream for training, a fixed list for validation."""

from __future__ import annotations

import dataclasses
import math
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import grain
import numpy as np

from nmjax.config import DataConfig
from nmjax.data.catalog import Song
from nmjax.data.segment_reader import SegmentReader
from nmjax.data.segments import Segment, SegmentDataset
from nmjax.runtime.errors import BadInputError

Batch = dict[str, np.ndarray]
_INDEX_MODULUS = 2**31  # example indices are int32


class BatchStream:
    """An endless iterator of batches. Its state is the number of batches taken, so a stream resumes exactly with any
    number of workers, threads and processes."""

    def __init__(self, dataset: grain.MapDataset[Batch], config: DataConfig):
        self._dataset, self._config = dataset, config
        self._batches_taken, self._batches = 0, None

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._batches is None:
            self._batches = self._start_reading()
        batch = next(self._batches)
        self._batches_taken += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        """The state, for JSON."""
        return {"batches": self._batches_taken}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue after the batch that was the last one when `get_state` returned `state`."""
        self.close()
        self._batches_taken = state["batches"]

    def close(self) -> None:
        """End the worker processes; the next batch starts them again."""
        if self._batches is not None:
            self._batches.close()
        self._batches = None

    def _start_reading(self) -> grain.DatasetIterator[Batch]:
        threads, workers = self._config.read_threads, self._config.num_workers
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
        dataset = self._dataset[self._batches_taken :].to_iter_dataset(options)
        if workers:
            from absl import flags

            flags.FLAGS.mark_as_parsed()  # grain passes absl's flags to its workers; nmjax parses none
            options = grain.MultiprocessingOptions(workers, per_worker_buffer_size=2)
            dataset = dataset.mp_prefetch(options, worker_init_fn=_ignore_sigint)
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
) -> BatchStream:
    """An endless stream of batches `{"target": [rows, time, channel], "length": [rows], "number": [rows]}`, with
    `"input"` like the target for pairs.

    Every segment comes once an epoch; order and offsets follow from `seed` and `order` alone. `number` counts the
    examples from 0 on (int32, modulo 2³¹): batch k holds examples k · batch_size to (k + 1) · batch_size − 1.

    Args:
        songs: at least one.
        config: `excerpt_seconds`, `batch_size`, `channels`, `read_threads` and `num_workers` are used.
        sample_rate: Hz of the excerpts.
        seed: of the order, the offsets and the speeds.
        weights: share of each source among the excerpts; None: by the amount of its music.
        speed_semitones: largest change of speed in either direction.
        process: index of this process and number of processes; each gets its own rows of every batch.
        order: counts reshuffles of the same music, as after a step back to an older checkpoint.

    Raises:
        BadInputError: the batch size is no multiple of the number of processes.
    """
    process_index, process_count = process
    if config.batch_size % process_count:
        raise BadInputError(
            f"data.batch_size ({config.batch_size}) must be a multiple of the {process_count} processes."
        )
    groups = [songs] if weights is None else [[s for s in songs if s.source_index == i] for i in range(len(weights))]
    seeds = np.random.SeedSequence([seed, order]).generate_state(len(groups))
    shuffled = [
        grain.MapDataset.source(SegmentDataset(group, config.excerpt_seconds)).shuffle(int(source_seed)).repeat()
        for group, source_seed in zip(groups, seeds, strict=True)
    ]
    interleaved = shuffled[0] if weights is None else grain.MapDataset.mix(shuffled, weights)
    batched = interleaved.map_with_index(_with_index).batch(config.batch_size, batch_fn=list)
    rows_per_process = config.batch_size // process_count
    reader = SegmentReader(config.excerpt_seconds, sample_rate, config.channels, speed_semitones)
    return BatchStream(
        batched.map(_RowReader(reader, (seed, order), process_index * rows_per_process, rows_per_process)), config
    )


def validation_batches(
    songs: list[Song], config: DataConfig, sample_rate: int, process: tuple[int, int] = (0, 1)
) -> list[Batch]:
    """Batches like those of training, of excerpts spread evenly over the songs and within each song; always the same.

    Args:
        songs, config, sample_rate, process: see `training_batches`; `config.validation_excerpts` is rounded up to whole
            batches.
    """
    excerpt_count = math.ceil(config.validation_excerpts / config.batch_size) * config.batch_size
    validation_songs = (
        songs if len(songs) <= excerpt_count else [songs[i * len(songs) // excerpt_count] for i in range(excerpt_count)]
    )
    segments = SegmentDataset(validation_songs, config.excerpt_seconds)
    excerpts_per_song = math.ceil(excerpt_count / len(validation_songs))

    def segment_at(index: int) -> tuple[int, Segment]:
        pass_index, song_index = divmod(index, len(validation_songs))
        start_times = segments.start_times(song_index)
        start = int((pass_index + 0.5) / excerpts_per_song * len(start_times))
        return index, Segment(validation_songs[song_index], start_times[[start]], jitter_seconds=0.0)

    process_index, process_count = process
    rows_per_process = config.batch_size // process_count
    reader = SegmentReader(config.excerpt_seconds, sample_rate, config.channels)
    read_rows = _RowReader(reader, (0,), process_index * rows_per_process, rows_per_process)
    return [
        read_rows([segment_at(index) for index in range(first_index, first_index + config.batch_size)])
        for first_index in range(0, excerpt_count, config.batch_size)
    ]


def _ignore_sigint(_worker: int, _count: int) -> None:
    """Ctrl-C reaches the workers too; they end when the stream is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _with_index(index: int, segment: Segment) -> tuple[int, Segment]:  # grain pickles it: no lambda
    return index, segment


@dataclasses.dataclass(frozen=True)
class _RowReader:
    """Reads and stacks `row_count` numbered segments of a batch from `first_row` on.

    The random draws of an example follow from `seed` and its number, whichever process reads it.
    """

    reader: SegmentReader
    seed: tuple[int, ...]
    first_row: int
    row_count: int

    def __call__(self, batch: list[tuple[int, Segment]]) -> Batch:
        own_rows = batch[self.first_row : self.first_row + self.row_count]
        examples = [
            self.reader(segment, np.random.default_rng([*self.seed, index]))
            | {"number": np.int32(index % _INDEX_MODULUS)}
            for index, segment in own_rows
        ]
        return {key: np.stack([example[key] for example in examples]) for key in examples[0]}
