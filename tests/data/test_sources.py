"""Several sources: how they are written, and what they must not have in common."""

from pathlib import Path

import pytest

from nmjax.data import Source, find_all, parse_sources
from nmjax.errors import BadInputError
from tests.music import music, songs, write


def test_a_source_is_a_path_or_a_path_with_a_weight(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a=2").mkdir()
    assert parse_sources(["music"]) == (Source(Path("music")),)
    assert parse_sources(["a=2"]) == (Source(Path("a=2")),)
    assert parse_sources(["a=2=3", "b=0.5"]) == (Source(Path("a=2"), 3.0), Source(Path("b"), 0.5))


@pytest.mark.parametrize("text", ["a=x", "a=0", "a=-1", "a=nan", "a=inf", "=2", "a="])
def test_a_weight_is_a_number_above_zero(text):
    with pytest.raises(BadInputError, match="no weight; write PATH"):
        parse_sources([text])


def test_all_sources_have_weights_or_none():
    with pytest.raises(BadInputError, match="--data b has no weight"):
        parse_sources(["a=2", "b"])


def test_several_sources_have_their_names_before_the_songs(tmp_path):
    songs(tmp_path / "a/music", 1, 0.5)
    songs(tmp_path / "b/music", 1, 0.5)
    songs(tmp_path / "c/folk/album", 1, 0.5)
    (tmp_path / "list.csv").write_text("target\nd/x.wav\n")
    write(tmp_path / "d/x.wav", music(0.5))
    places = [tmp_path / "a/music", tmp_path / "b/music", tmp_path / "c/folk", tmp_path / "list.csv"]
    found = find_all([Source(place) for place in places])
    assert [(s.name, s.group, s.source) for s in found] == [
        (f"{tmp_path}/a/music/song_0", "", 0),
        (f"{tmp_path}/b/music/song_0", "", 1),
        ("folk/album/song_0", "folk/album", 2),
        ("list.csv/d/x", "list.csv/d", 3),
    ]
    assert find_all([Source(places[2])])[0].name == "album/song_0"


def test_a_file_in_two_sources_is_refused(tmp_path):
    songs(tmp_path / "a", 2, 0.5)
    (tmp_path / "list.csv").write_text("target\na/song_1.wav\n")
    with pytest.raises(BadInputError, match=r"song_1\.wav' is in --data .*a and in --data .*list\.csv; take"):
        find_all([Source(tmp_path / "a"), Source(tmp_path / "list.csv")])


def test_pairs_and_mastered_music_alone_do_not_mix(tmp_path):
    for name in ("a", "b", "c"):
        songs(tmp_path / name, 1, 0.5)
    (tmp_path / "pairs.csv").write_text("target,input\nb/song_0.wav,c/song_0.wav\n")
    sources = [Source(tmp_path / "a"), Source(tmp_path / "pairs.csv")]
    with pytest.raises(BadInputError, match=r"pairs\.csv has an unmastered side and --data .*a has none"):
        find_all(sources)
    with pytest.raises(BadInputError, match="--target goes with one --data"):
        find_all([Source(tmp_path / "a"), Source(tmp_path / "b")], tmp_path / "c")
