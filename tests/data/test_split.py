"""Whole songs and whole albums are held out."""

from nmjax.data import DataSource, find_all_songs, find_songs, split_songs
from tests.synthetic_audio import music, write_audio, write_songs


def test_songs_are_split_whole_and_by_album(tmp_path):
    for album in "abcde":
        write_songs(tmp_path / album, 2, 0.2)
    result = find_songs(tmp_path)
    training, held_out = split_songs(result, 0.2, seed=1)
    assert len(held_out) == 2
    assert not {s.group for s in training} & {s.group for s in held_out}
    assert split_songs(result[::-1], 0.2, seed=1)[1] == held_out[::-1]
    assert len({split_songs(result, 0.2, seed)[1][0].group for seed in range(12)}) > 1


def test_two_files_of_one_name_are_one_song_and_one_song_trains_alone(tmp_path):
    for suffix in ("wav", "flac"):
        for name in ("one", "two"):
            write_audio(tmp_path / f"{name}.{suffix}", music(0.2))
    training, held_out = split_songs(find_songs(tmp_path), 0.1, seed=0)
    assert (len(training), len(held_out)) == (2, 2)
    assert {s.name for s in training} != {s.name for s in held_out}
    alone = [s for s in find_songs(tmp_path) if s.name == "one"]
    assert split_songs(alone, 0.5, seed=0) == (alone, [])


def test_every_source_keeps_training_songs_and_songs_outside_albums_are_units(tmp_path):
    for name in ("album", "flat", "more"):
        write_songs(tmp_path / name / ("only" if name == "album" else ""), 4, 0.2)
    result = find_all_songs([DataSource(tmp_path / name) for name in ("album", "flat", "more")])
    for seed in range(12):
        training, held_out = split_songs(result, 0.3, seed)
        assert {song.source_index for song in training} == {0, 1, 2}
        assert len(held_out) == 4
    assert {song.name for song in result} == {
        *(f"album/only/song_{i}" for i in range(4)),
        *(f"{name}/song_{i}" for name in ("flat", "more") for i in range(4)),
    }
