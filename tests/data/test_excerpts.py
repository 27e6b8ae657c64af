"""Excerpts are the right stretch of the right song; batches follow from the seed and go on where they stopped."""

import numpy as np
import pytest

from nmjax.config import load_config
from nmjax.data import find_songs, split_songs, training_batches, validation_batches
from nmjax.data.excerpts import ReadExcerpt, Slot, Slots
from tests.music import music, songs, write


class Fixed(np.random.Generator):
    """A generator that always draws the same share."""

    def __init__(self, share):
        super().__init__(np.random.PCG64(0))
        self.share = share

    def random(self):
        return self.share


def small(**changes):
    config = load_config("1a", ["smoke"], ["data.excerpt_seconds=0.25", "data.batch_size=2"])
    return config.data.model_copy(update=changes)


def test_an_excerpt_is_the_files_own_samples(tmp_path):
    audio = music(2.0)
    write(tmp_path / "x.wav", audio, subtype="FLOAT")
    song = find_songs(tmp_path)[0]
    item = ReadExcerpt(0.5, 44_100, 2)(Slot(song, 0.5, 1.0), Fixed(0.25))
    start = round(0.75 * 44_100)
    np.testing.assert_array_equal(item["target"], audio[start : start + 22_050].astype(np.float32))
    mono = ReadExcerpt(0.5, 44_100, 1)(Slot(song, 0.5, 1.0), Fixed(0.25))
    np.testing.assert_allclose(mono["target"][:, 0], item["target"].mean(axis=1), atol=1e-7)


def test_an_excerpt_at_another_rate_lies_at_the_same_time(tmp_path):
    time = np.arange(2 * 48_000) / 48_000
    write(tmp_path / "x.wav", 0.5 * np.sin(2 * np.pi * 997.0 * time)[:, None], 48_000, "FLOAT")
    item = ReadExcerpt(0.5, 44_100, 1)(Slot(find_songs(tmp_path)[0], 0.7, 0.0), Fixed(0.0))
    expected = 0.5 * np.sin(2 * np.pi * 997.0 * (0.7 + np.arange(22_050) / 44_100))
    assert np.abs(item["target"][:, 0] - expected).max() < 1e-5


def test_silence_is_tried_again_and_short_songs_are_padded(tmp_path):
    audio = music(4.0)
    audio[: 2 * 44_100] = 0.0
    write(tmp_path / "x.wav", audio)
    item = ReadExcerpt(0.5, 44_100, 2)(Slot(find_songs(tmp_path)[0], 0.0, 0.5), np.random.default_rng(0))
    assert np.abs(item["target"]).max() > 0.01
    write(tmp_path / "x.wav", music(0.2))
    item = ReadExcerpt(0.5, 44_100, 2)(Slot(find_songs(tmp_path)[0], 0.0, 0.5), Fixed(0.9))
    assert item["target"].shape == (22_050, 2)
    assert item["length"] == 8_820
    assert np.all(item["target"][8_820:] == 0.0)
    assert np.abs(item["target"][:8_820]).max() > 0.01


def test_a_pair_that_is_silent_everywhere_stays_aligned(tmp_path):
    ticks = np.zeros((88_200, 1))
    ticks[::1000, 0] = 1e-3 * np.arange(1, 90)  # too quiet on average to count as sound, and no two alike
    write(tmp_path / "raw/x.wav", ticks, subtype="FLOAT")
    write(tmp_path / "done/x.wav", ticks * 0.1, subtype="FLOAT")
    song = find_songs(tmp_path / "raw", tmp_path / "done")[0]
    item = ReadExcerpt(0.25, 44_100, 1)(Slot(song, 0.0, 0.25), np.random.default_rng(0))
    assert np.abs(item["target"]).max() > 0.0
    np.testing.assert_allclose(item["target"], 0.1 * item["input"], atol=1e-7)


def test_slots_cover_every_song_by_its_length(tmp_path):
    write(tmp_path / "a.wav", music(1.0))
    write(tmp_path / "b.wav", music(2.6))
    slots = Slots(find_songs(tmp_path), 0.5)
    assert [(slots[i].song.name, slots[i].start) for i in range(len(slots))] == [
        *[("a", 0.0), ("a", 0.5)],
        *[("b", 0.5 * i) for i in range(5)],
    ]


@pytest.mark.parametrize("threads", [0, 2])
def test_batches_follow_from_the_seed_and_go_on_where_they_stopped(tmp_path, threads):
    found = find_songs(songs(tmp_path, 3, 1.0))
    config = small(read_threads=threads)
    first = training_batches(found, config, 44_100, seed=3)
    for _ in range(3):
        next(first)
    state, wanted = first.get_state(), [next(first)["target"] for _ in range(9)]  # beyond the first epoch
    second = training_batches(found, config, 44_100, seed=3)
    second.set_state(state)
    for batch in wanted:
        np.testing.assert_array_equal(next(second)["target"], batch)
    other = next(training_batches(found, config, 44_100, seed=4))["target"]
    assert not np.array_equal(other, next(training_batches(found, config, 44_100, seed=3))["target"])


def test_pairs_stay_aligned(tmp_path):
    audio = music(2.0)
    write(tmp_path / "raw/x.wav", audio, subtype="FLOAT")
    write(tmp_path / "done/x.wav", -0.5 * audio, subtype="FLOAT")
    found = find_songs(tmp_path / "raw", tmp_path / "done")
    batch = next(training_batches(found, small(), 44_100, seed=0))
    np.testing.assert_allclose(batch["target"], -0.5 * batch["input"], atol=1e-7)


def test_validation_is_the_same_every_time_in_whole_batches(tmp_path):
    found = find_songs(songs(tmp_path, 3, 1.0))
    config = small(validation_excerpts=5)
    once, again = (validation_batches(found, config, 44_100) for _ in range(2))
    assert [len(b["target"]) for b in once] == [2, 2, 2]
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a["target"], b["target"])


def test_songs_are_split_whole_and_by_album(tmp_path):
    for album in "abcde":
        songs(tmp_path / album, 2, 0.2)
    found = find_songs(tmp_path)
    training, held_out = split_songs(found, 0.2, seed=1)
    assert len(held_out) == 2
    assert not {s.group for s in training} & {s.group for s in held_out}
    assert split_songs(found[::-1], 0.2, seed=1)[1] == held_out[::-1]
    assert len({split_songs(found, 0.2, seed)[1][0].group for seed in range(12)}) > 1


def test_two_files_of_one_name_are_one_song_and_one_song_trains_alone(tmp_path):
    for suffix in ("wav", "flac"):
        for name in ("one", "two"):
            write(tmp_path / f"{name}.{suffix}", music(0.2))
    training, held_out = split_songs(find_songs(tmp_path), 0.1, seed=0)
    assert (len(training), len(held_out)) == (2, 2)
    assert {s.name for s in training} != {s.name for s in held_out}
    alone = [s for s in find_songs(tmp_path) if s.name == "one"]
    assert split_songs(alone, 0.5, seed=0) == (alone, [])
