"""Batches depend on the seed and their number alone: not on threads, workers, processes, or where a run stopped."""

import json

import numpy as np
import pytest

from nmjax.config import load_config
from nmjax.data import DataSource, find_all_songs, find_songs, training_batches, validation_batches
from nmjax.runtime.errors import BadInputError
from tests.synthetic_audio import music, write_audio, write_songs

RATE = 44_100


def small_config(**changes):
    config = load_config("1a", ["smoke"], ["data.excerpt_seconds=0.25", "data.batch_size=4", "data.read_threads=0"])
    return config.data.model_copy(update=changes)


def take(stream, count):
    result = [next(stream) for _ in range(count)]
    stream.close()
    return result


def assert_same(some, others):
    for a, b in zip(some, others, strict=True):
        assert set(a) == set(b)
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return find_songs(write_songs(tmp_path_factory.mktemp("music"), 3, 1.5, channels=1))


def test_examples_are_numbered_in_order_and_an_epoch_holds_every_segment_once(catalog):
    batches = take(training_batches(catalog, small_config(excerpt_seconds=0.5, batch_size=3), RATE, 3), 6)
    np.testing.assert_array_equal(np.concatenate([b["number"] for b in batches]), np.arange(18, dtype=np.int32))
    starts = {song.name: [] for song in catalog}
    for excerpt in np.concatenate([b["target"][:, :, 0] for b in batches])[:9]:
        for song in catalog:
            audio = music(1.5, channels=1, seed=int(song.name[-1]))[:, 0]
            error = np.abs(np.lib.stride_tricks.sliding_window_view(audio, 8) - excerpt[:8]).max(axis=1)
            if error.min() < 1e-4:
                starts[song.name].append(np.argmin(error) / RATE)
    for first, second, third in map(sorted, starts.values()):
        assert 0.0 <= first <= 0.5 <= second <= 1.0 == third


def test_another_seed_or_order_is_another_stream(catalog):
    streams = [
        take(training_batches(catalog, small_config(), RATE, s, order=o), 2)
        for s, o in ((3, 0), (3, 0), (4, 0), (3, 1))
    ]
    assert_same(streams[0], streams[1])
    for other in streams[2:]:
        assert not np.array_equal(other[0]["target"], streams[0][0]["target"])
        np.testing.assert_array_equal(other[0]["number"], streams[0][0]["number"])


@pytest.mark.parametrize("threads", [0, 2])
def test_the_stream_resumes_with_any_number_of_threads(catalog, threads):
    whole = take(training_batches(catalog, small_config(), RATE, 3), 9)  # beyond the first epoch
    first = training_batches(catalog, small_config(read_threads=threads), RATE, 3)
    assert_same([next(first) for _ in range(3)], whole[:3])
    state = json.loads(json.dumps(first.get_state()))
    assert_same(take(first, 2), whole[3:5])
    second = training_batches(catalog, small_config(read_threads=2 - threads), RATE, 3)
    next(second)
    second.set_state(state)
    assert_same(take(second, 6), whole[3:])


def test_worker_processes_give_the_same_batches_and_resume(catalog):
    whole = take(training_batches(catalog, small_config(), RATE, 3, speed_semitones=1.0), 7)
    one = training_batches(catalog, small_config(num_workers=1), RATE, 3, speed_semitones=1.0)
    assert_same(take(one, 3), whole[:3])
    two = training_batches(catalog, small_config(num_workers=2), RATE, 3, speed_semitones=1.0)
    two.set_state(one.get_state())
    assert_same(take(two, 4), whole[3:])


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_each_batch_by_rows(catalog, count):
    for whole, parts in (
        (
            take(training_batches(catalog, small_config(), RATE, 3), 3),
            [take(training_batches(catalog, small_config(), RATE, 3, process=(p, count)), 3) for p in range(count)],
        ),
        (
            validation_batches(catalog, small_config(), RATE),
            [validation_batches(catalog, small_config(), RATE, (p, count)) for p in range(count)],
        ),
    ):
        for batch, *rows in zip(whole, *parts, strict=True):
            for key in batch:
                np.testing.assert_array_equal(np.concatenate([r[key] for r in rows]), batch[key])


def test_a_batch_that_cannot_be_shared_is_refused(catalog):
    with pytest.raises(BadInputError, match="multiple of the 3 processes"):
        training_batches(catalog, small_config(), RATE, 3, process=(0, 3))


def test_given_weights_are_shares_of_the_excerpts(tmp_path):
    write_audio(tmp_path / "long/a.wav", np.full((8 * RATE, 1), 0.25) * np.sign(music(8.0, channels=1)))
    write_audio(tmp_path / "short/a.wav", np.full((RATE, 1), 0.5) * np.sign(music(1.0, channels=1)))
    result = find_all_songs([DataSource(tmp_path / "long"), DataSource(tmp_path / "short")])

    def share(weights):
        batches = take(training_batches(result, small_config(), RATE, 0, weights), 45)
        return np.mean([np.abs(b["target"]).max(axis=(1, 2)) > 0.4 for b in batches])

    assert share([1.0, 2.0]) == pytest.approx(2 / 3, abs=0.01)
    assert share([9.0, 1.0]) == pytest.approx(0.1, abs=0.01)
    assert share(None) == pytest.approx(1 / 9, abs=0.02)


def test_pairs_stay_aligned_at_any_speed_and_polarity_is_corrected(tmp_path):
    audio = music(2.0)
    write_audio(tmp_path / "raw/x.wav", audio, subtype="FLOAT")
    write_audio(tmp_path / "done/x.wav", -0.5 * audio, subtype="FLOAT")
    result = find_songs(tmp_path / "raw", tmp_path / "done")
    for semitones in (0.0, 2.0):
        batch = next(training_batches(result, small_config(), RATE, 0, speed_semitones=semitones))
        np.testing.assert_allclose(batch["target"], 0.5 * batch["input"], atol=1e-6)


def test_validation_is_the_same_every_time_in_whole_batches(catalog):
    config = small_config(validation_excerpts=5)
    once, again = (validation_batches(catalog, config, RATE) for _ in range(2))
    assert [len(b["target"]) for b in once] == [4, 4]
    assert_same(once, again)
    np.testing.assert_array_equal(np.concatenate([b["number"] for b in once]), np.arange(8))


def test_validation_excerpts_come_from_many_songs_and_are_not_silent(tmp_path):
    for i in range(12):
        audio = music(3.0, channels=1, seed=i)
        audio[: 2 * RATE] = 0.0
        write_audio(tmp_path / f"{i:02d}.wav", audio)
    batch = validation_batches(find_songs(tmp_path), small_config(validation_excerpts=4), RATE)[0]
    assert np.sqrt(np.mean(batch["target"] ** 2, axis=(1, 2))).min() > 0.02
    expected = [music(3.0, channels=1, seed=i)[2 * RATE :, 0] for i in (0, 3, 6, 9)]
    for excerpt, audio in zip(batch["target"][:, :, 0], expected, strict=True):
        result = np.abs(np.lib.stride_tricks.sliding_window_view(audio, 8) - excerpt[:8]).max(axis=1)
        assert result.min() < 1e-4
