"""Which places are judged: seeded by the song alone, apart from their references, and where there is sound."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from nmjax.data import find_songs
from nmjax.evaluation.items import Place, made_items, read, read_item
from nmjax.evaluation.metrics import lufs
from tests.music import music, write


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    root = tmp_path_factory.mktemp("items")
    for group in ("a", "b"):
        for i in range(2):
            write(root / group / f"{i}.wav", music(31.0, seed=ord(group) + i))
    write(root / "b" / "short.wav", music(8.0))
    quiet = music(40.0, seed=9)
    quiet[: 22 * 44_100] *= 1e-5
    write(root / "b" / "quiet.wav", quiet)
    write(root / "b" / "faster.wav", music(20.0, 48_000, channels=1), 48_000)
    return find_songs(root, cache_dir=tmp_path_factory.mktemp("cache"))


def test_places_lie_in_their_songs_and_references_apart(found):
    made = list(made_items(found, 10.0, 2, 0))
    assert len(made) == 2 * 6
    assert not any("short" in name for name, *_ in made)
    for _, item, same, other in made:
        assert 0.0 <= item.start <= item.song.seconds - item.seconds + 1e-6
        assert same.song is item.song
        assert abs(same.start - item.start) >= item.seconds - 1e-6
        assert other.song.group != item.song.group
    starts = {name: item.start for name, item, _, _ in made}
    assert len({starts["a/0 #0"], starts["a/0 #1"], starts["a/1 #0"]}) > 1


def test_a_song_is_judged_at_the_same_place_whatever_else_there_is(found):
    every = {name: item.start for name, item, _, _ in made_items(found, 10.0, 1, 5)}
    some = {name: item.start for name, item, _, _ in made_items(found[1:3], 10.0, 1, 5)}
    assert some.items() <= every.items()
    assert every != {name: item.start for name, item, _, _ in made_items(found, 10.0, 1, 6)}


def test_silence_is_passed_over(found):
    quiet = [s for s in found if s.name == "b/quiet"]
    for seed in range(8):
        for _, item, _, _ in made_items(quiet, 8.0, 1, seed):
            assert item.start >= 20.0


def test_source_and_target_are_of_one_loudness_rate_and_length(found):
    song = [s for s in found if s.name in ("b/faster", "a/0")]
    for name, item, same, other in made_items(song, 9.0, 1, 0):
        read_back = read_item(name, "mix", item, same, other, 0)
        assert read_back.source.shape == read_back.target.shape
        assert len(read_back.target) == pytest.approx(9.0 * 44_100, abs=2)
        levels = [lufs(x, 44_100) for x in (read_back.source, read_back.target)]
        assert levels[0] == pytest.approx(levels[1], abs=1e-6)
        again = read_item(name, "mix", item, same, other, 0)
        assert np.array_equal(again.source, read_back.source)
        assert not np.array_equal(read_item(name, "tone", item, same, other, 0).source, read_back.source)
        assert read_back.same.shape == read(same).shape


def test_whole_songs_have_no_reference_of_their_own(found):
    made = list(made_items(found, None, 3, 0))
    assert len(made) == 7
    assert all(item.seconds == item.song.seconds and same is None for _, item, same, _ in made)


def test_a_lossy_song_is_read_at_its_own_level(tmp_path):
    track = write(tmp_path / "a.ogg", 0.3 * music(12.0), 44_100, "VORBIS")
    (song,) = find_songs(tmp_path, cache_dir=tmp_path / "cache")
    decoded, _ = soundfile.read(str(track), always_2d=True)
    np.testing.assert_allclose(read(Place(song, 2.0, 5.0)), decoded[2 * 44_100 : 7 * 44_100], atol=1e-5)
