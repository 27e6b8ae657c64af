"""Several sources: how they are written, and what they must not have in common."""

from pathlib import Path

import pytest

from nmjax.data import DataSource, find_all_songs, parse_sources
from nmjax.runtime.errors import BadInputError
from tests.synthetic_audio import music, write_audio, write_songs


def test_a_source_is_a_path_or_a_path_with_a_weight(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a=2").mkdir()
    assert parse_sources(["music"]) == (DataSource(Path("music")),)
    assert parse_sources(["a=2"]) == (DataSource(Path("a=2")),)
    assert parse_sources(["a=2=3", "b=0.5"]) == (DataSource(Path("a=2"), 3.0), DataSource(Path("b"), 0.5))


@pytest.mark.parametrize("text", ["a=x", "a=0", "a=-1", "a=nan", "a=inf", "=2", "a="])
def test_a_weight_is_a_number_above_zero(text):
    with pytest.raises(BadInputError, match="no weight; write PATH"):
        parse_sources([text])


def test_all_sources_have_weights_or_none():
    with pytest.raises(BadInputError, match="--data b has no weight"):
        parse_sources(["a=2", "b"])


def test_song_names_are_prefixed_by_their_source(tmp_path):
    write_songs(tmp_path / "a/music", 1, 0.5)
    write_songs(tmp_path / "b/music", 1, 0.5)
    write_songs(tmp_path / "c/folk/album", 1, 0.5)
    (tmp_path / "list.csv").write_text("target\nd/x.wav\n")
    write_audio(tmp_path / "d/x.wav", music(0.5))
    paths = [tmp_path / "a/music", tmp_path / "b/music", tmp_path / "c/folk", tmp_path / "list.csv"]
    result = find_all_songs([DataSource(path) for path in paths])
    assert [(s.name, s.group, s.source_index) for s in result] == [
        (f"{tmp_path}/a/music/song_0", "", 0),
        (f"{tmp_path}/b/music/song_0", "", 1),
        ("folk/album/song_0", "folk/album", 2),
        ("list.csv/d/x", "list.csv/d", 3),
    ]
    assert find_all_songs([DataSource(paths[2])])[0].name == "album/song_0"


def test_a_file_in_two_sources_is_refused(tmp_path):
    write_songs(tmp_path / "a", 2, 0.5)
    (tmp_path / "list.csv").write_text("target\na/song_1.wav\n")
    with pytest.raises(BadInputError, match=r"song_1\.wav' is in --data .*a and in --data .*list\.csv\. Remove it"):
        find_all_songs([DataSource(tmp_path / "a"), DataSource(tmp_path / "list.csv")])


def test_pairs_and_mastered_music_alone_do_not_mix(tmp_path):
    for name in ("a", "b", "c"):
        write_songs(tmp_path / name, 1, 0.5)
    (tmp_path / "pairs.csv").write_text("target,input\nb/song_0.wav,c/song_0.wav\n")
    sources = [DataSource(tmp_path / "a"), DataSource(tmp_path / "pairs.csv")]
    with pytest.raises(BadInputError, match=r"pairs\.csv has an unmastered side and --data .*a has none"):
        find_all_songs(sources)
    with pytest.raises(BadInputError, match="--target goes with one --data"):
        find_all_songs([DataSource(tmp_path / "a"), DataSource(tmp_path / "b")], tmp_path / "c")
