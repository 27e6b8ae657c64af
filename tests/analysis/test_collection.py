"""Which tracks are analysed, and in which groups."""

from __future__ import annotations

import pytest

from nmjax.analysis.collection import collected
from nmjax.errors import BadInputError
from tests.music import music, write


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("collection")
    for name in ("jazz/a", "jazz/b", "jazz/c", "rock/d", "rock/e", "f"):
        write(root / "songs" / f"{name}.wav", music(0.5, seed=ord(name[-1])))
    lines = [f"songs/{n}.wav,{g}" for n, g in (("jazz/a", "swing"), ("jazz/b", "bop"), ("rock/d", "swing"))]
    (root / "list.csv").write_text("target,genre\n" + "\n".join(lines) + "\n")
    return root


def silent(_):
    pass


def groups_of(tracks):
    return {track.name: track.group for track in tracks}


def test_a_group_is_the_folder_or_the_genre_or_what_the_file_says(place, tmp_path):
    folders = groups_of(collected([place / "songs"], report=silent))
    assert folders == {"f": "", **{f"jazz/{x}": "jazz" for x in "abc"}, **{f"rock/{x}": "rock" for x in "de"}}
    genres = groups_of(collected([place / "list.csv"], report=silent))
    assert genres == {"songs/jazz/a": "swing", "songs/jazz/b": "bop", "songs/rock/d": "swing"}
    names = [*(f"jazz/{x}.wav" for x in "abc"), "rock/d", "rock/e", "f"]
    (tmp_path / "groups.csv").write_text("track,group,more\n" + "".join(f"{n},g{n[-1] == 'v'},\n" for n in names))
    said = groups_of(collected([place / "songs"], tmp_path / "groups.csv", report=silent))
    assert set(said.values()) == {"gTrue", "gFalse"} or set(said.values()) == {"gFalse"}
    assert len(said) == 6


def test_a_track_in_no_group_is_named_with_the_line_that_is_missing(place, tmp_path):
    (tmp_path / "groups.csv").write_text("track,group\njazz/a,x\n")
    with pytest.raises(BadInputError, match=r"'f' is in no group of .*add a line 'f,GROUP'"):
        collected([place / "songs"], tmp_path / "groups.csv", report=silent)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,group\na,b\n", "names the columns 'track' and 'group'"),
        ("", "names the columns"),
        ("track,group\na,b\na.wav,c\n", "puts 'a' into 'b' and 'c'"),
    ],
)
def test_a_file_of_groups_that_is_none(place, tmp_path, text, said):
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(BadInputError, match=said):
        collected([place / "songs"], tmp_path / "groups.csv", report=silent)
    with pytest.raises(BadInputError, match="cannot be read"):
        collected([place / "songs"], tmp_path / "none.csv", report=silent)


def test_only_some_groups_and_an_unknown_one(place):
    assert set(groups_of(collected([place / "songs"], only=["rock"], report=silent)).values()) == {"rock"}
    with pytest.raises(BadInputError, match=r"no group 'rokc'; did you mean 'rock'\?"):
        collected([place / "songs"], only=["rokc"], report=silent)
    with pytest.raises(BadInputError, match="there are: jazz, rock"):
        collected([place / "songs"], only=["zzz"], report=silent)


def test_one_track_alone(place):
    with pytest.raises(BadInputError, match="the only track, and an analysis compares tracks"):
        collected([place / "list.csv"], only=["bop"], report=silent)


def test_a_count_is_spread_over_the_groups(place):
    four = groups_of(collected([place / "songs"], count=4, report=silent))
    assert sorted(four.values()) == ["", "jazz", "jazz", "rock"]
    assert "jazz/a" in four
    assert "jazz/c" in four  # the ends of three, evenly
    assert len(collected([place / "songs"], count=99, report=silent)) == 6
