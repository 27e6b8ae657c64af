"""Streams give the same signal as the whole at once, for any chunk sizes."""

import itertools
import threading
import time

import numpy as np
import pytest
import soxr

from nmjax.audio.streams import (
    BlockBuffer,
    StreamBranch,
    add_streams,
    prefetch,
    rechunk,
    resample_stream,
    watch_in_thread,
    windows,
)


def signal(frames, channels=2, seed=0):
    return np.random.default_rng(seed).standard_normal((frames, channels)).astype(np.float32)


def split_random_chunks(audio, seed):
    """Chunks of random sizes, some of one frame."""
    rng = np.random.default_rng(seed)
    start = 0
    while start < len(audio):
        size = int(rng.choice([1, 7, 100, 1000]))
        yield audio[start : start + size]
        start += size


@pytest.mark.parametrize("frames", [1, 63, 64, 65, 96, 97, 128, 500, 1000])
def test_windows_cover_every_frame_once_with_context(frames):
    audio, core, margin = signal(frames), 64, 32
    position = 0
    for window in windows(split_random_chunks(audio, frames), core, margin):
        assert window.audio.shape == (core + 2 * margin, 2)
        assert window.lead == (margin if position else 0)
        first = position - window.lead
        np.testing.assert_array_equal(window.audio[: window.valid], audio[first : first + window.valid])
        np.testing.assert_array_equal(window.audio[window.valid :], 0.0)
        after = window.valid - window.lead - window.core
        assert after == margin or first + window.valid == frames, "truncated before the end"
        position += window.core
    assert position == frames


@pytest.mark.parametrize("size", [1, 10, 333, 5000])
def test_rechunk_changes_only_the_chunk_sizes(size):
    audio = signal(1000)
    chunks = list(rechunk(split_random_chunks(audio, 1), size))
    assert all(len(p) == size for p in chunks[:-1])
    np.testing.assert_array_equal(np.concatenate(chunks), audio)


@pytest.mark.parametrize("lengths", [[0, 1, 3, 17, 4, 2], [27], [8, 8, 8, 3]])
def test_a_block_buffer_holds_every_frame_once_in_order(lengths):
    signal, buffer = np.arange(2.0 * 27, dtype=np.float32).reshape(27, 2), BlockBuffer(2, 8)
    chunks = np.split(signal, np.cumsum(lengths)[:-1])
    blocks = [block.copy() for chunk in chunks for block in buffer.push(chunk)]
    assert [block.shape for block in blocks] == [(2, 8)] * 3
    np.testing.assert_array_equal(np.concatenate([*blocks, buffer.take_rest()], axis=1), signal.T)
    assert buffer.take_rest().shape == (2, 0)


@pytest.mark.parametrize(("rate", "other"), [(48_000, 44_100), (44_100, 96_000), (8_000, 44_100)])
def test_resampling_in_chunks_equals_resampling_at_once(rate, other):
    audio = signal(9000)
    whole = soxr.resample(audio, rate, other, quality="VHQ")
    result = np.concatenate(list(resample_stream(split_random_chunks(audio, 2), rate, other)))
    assert abs(len(result) - len(whole)) <= 1
    count = min(len(result), len(whole))
    assert np.abs(result[:count] - whole[:count]).max() < 1e-5 * np.abs(whole).max()


def test_the_same_rate_passes_through():
    audio = signal(100)
    np.testing.assert_array_equal(
        np.concatenate(list(resample_stream(split_random_chunks(audio, 3), 48_000, 48_000))), audio
    )


@pytest.mark.parametrize("length", [0, 997, 1000, 1003])
def test_a_sum_has_the_chunks_and_the_length_of_the_first(length):
    first, second = signal(1000), signal(length, seed=1)
    chunks = list(add_streams(split_random_chunks(first, 4), split_random_chunks(second, 5)))
    assert [len(p) for p in chunks] == [len(p) for p in split_random_chunks(first, 4)]
    expected = first.copy()
    expected[: min(length, 1000)] += second[:1000]
    np.testing.assert_array_equal(np.concatenate(chunks), expected)


def test_prefetch_keeps_order_and_raises_errors_in_place():
    def broken():
        yield from range(5)
        raise OSError("disk")

    assert list(prefetch(iter(range(100)))) == list(range(100))
    assert list(prefetch([])) == []
    items = prefetch(broken())
    assert list(itertools.islice(items, 5)) == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="disk"):
        next(items)


def test_prefetch_runs_concurrently_and_is_bounded():
    made = []
    items = prefetch(made.append(i) or i for i in itertools.count())
    assert next(items) == 0
    deadline = time.monotonic() + 20.0
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    assert 3 <= len(made) <= 5  # a slow consumer does not let the memory grow
    items.close()


def test_closing_a_prefetch_ends_its_threads_and_source():
    before, ended = threading.active_count(), []

    def source():
        try:
            yield from itertools.count()
        finally:
            ended.append(True)

    items = prefetch(prefetch(source()))  # a thread that waits for another
    assert next(items) == 0
    items.close()
    assert threading.active_count() == before and ended == [True]


def test_watch_in_thread_sees_every_chunk_once_in_order():
    chunks, seen = list(split_random_chunks(signal(5000), 1)), []

    def watch(chunk):
        assert threading.current_thread() is not threading.main_thread()
        seen.append(chunk)

    passed = list(watch_in_thread(iter(chunks), watch))
    assert [id(x) for x in passed] == [id(x) for x in seen] == [id(x) for x in chunks]


def test_watch_in_thread_raises_what_the_watcher_raises():
    def watch(chunk):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(watch_in_thread([signal(10)] * 5, watch))
    with pytest.raises(KeyError):
        list(watch_in_thread(iter({}[0] for _ in range(1)), lambda _: None))


def test_a_branch_reads_the_same_chunks():
    audio = signal(5_000)
    with StreamBranch(lambda chunks: np.concatenate(list(chunks))) as branch:
        first = np.concatenate(list(branch.watch(split_random_chunks(audio, 1))))
        second = branch.result()
    np.testing.assert_array_equal(first, audio)
    np.testing.assert_array_equal(second, audio)


@pytest.mark.parametrize("reads", [0, 3])
def test_a_branch_that_fails_stops_nobody(reads):
    def read(chunks):
        for _ in range(reads):
            next(chunks)
        raise ValueError("reader")

    audio = signal(20_000)
    with StreamBranch(read) as branch:
        assert len(np.concatenate(list(branch.watch(split_random_chunks(audio, 2))))) == len(audio)
        with pytest.raises(ValueError, match="reader"):
            branch.result()


def test_a_branch_ends_where_the_first_reader_fails():
    ended = threading.Event()

    def read(chunks):
        list(chunks)
        ended.set()

    with pytest.raises(ValueError, match="first"), StreamBranch(read) as branch:
        next(branch.watch(iter([signal(10), signal(10)])))
        raise ValueError("first")
    assert ended.is_set()
