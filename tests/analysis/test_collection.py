"""The tracks of a collection and their groups."""

from __future__ import annotations

import pytest

from nmjax.analysis.collection import collect_tracks
from nmjax.runtime.errors import BadInputError
from tests.synthetic_audio import music, write_audio


@pytest.fixture(scope="module")
def music_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("collection")
    for name in ("jazz/a", "jazz/b", "jazz/c", "rock/d", "rock/e", "f"):
        write_audio(root / "songs" / f"{name}.wav", music(0.5, seed=ord(name[-1])))
    lines = [f"songs/{n}.wav,{g}" for n, g in (("jazz/a", "swing"), ("jazz/b", "bop"), ("rock/d", "swing"))]
    (root / "list.csv").write_text("target,genre\n" + "\n".join(lines) + "\n")
    return root


def ignore_report(_):
    pass


def groups_of(tracks):
    return {track.name: track.group for track in tracks}


def test_groups_come_from_folders_genres_or_the_groups_file(music_root, tmp_path):
    folders = groups_of(collect_tracks([music_root / "songs"], report=ignore_report))
    assert folders == {"f": "", **{f"jazz/{x}": "jazz" for x in "abc"}, **{f"rock/{x}": "rock" for x in "de"}}
    genres = groups_of(collect_tracks([music_root / "list.csv"], report=ignore_report))
    assert genres == {"songs/jazz/a": "swing", "songs/jazz/b": "bop", "songs/rock/d": "swing"}
    names = [*(f"jazz/{x}.wav" for x in "abc"), "rock/d", "rock/e", "f"]
    (tmp_path / "groups.csv").write_text("track,group,more\n" + "".join(f"{n},g{n[-1] == 'v'},\n" for n in names))
    assigned = groups_of(collect_tracks([music_root / "songs"], tmp_path / "groups.csv", report=ignore_report))
    assert set(assigned.values()) == {"gTrue", "gFalse"} or set(assigned.values()) == {"gFalse"}
    assert len(assigned) == 6


def test_a_track_in_no_group_is_named_with_the_line_that_is_missing(music_root, tmp_path):
    (tmp_path / "groups.csv").write_text("track,group\njazz/a,x\n")
    with pytest.raises(BadInputError, match=r"'f' is in no group of .*add a line 'f,GROUP'"):
        collect_tracks([music_root / "songs"], tmp_path / "groups.csv", report=ignore_report)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,group\na,b\n", "names the columns 'track' and 'group'"),
        ("", "names the columns"),
        ("track,group\na,b\na.wav,c\n", "puts 'a' into 'b' and 'c'"),
    ],
)
def test_an_invalid_groups_file_is_rejected(music_root, tmp_path, text, message):
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(BadInputError, match=message):
        collect_tracks([music_root / "songs"], tmp_path / "groups.csv", report=ignore_report)
    with pytest.raises(BadInputError, match="cannot be read"):
        collect_tracks([music_root / "songs"], tmp_path / "none.csv", report=ignore_report)


def test_only_some_groups_and_an_unknown_one(music_root):
    assert set(
        groups_of(collect_tracks([music_root / "songs"], only_groups=["rock"], report=ignore_report)).values()
    ) == {"rock"}
    with pytest.raises(BadInputError, match=r"no group 'rokc'; did you mean 'rock'\?"):
        collect_tracks([music_root / "songs"], only_groups=["rokc"], report=ignore_report)
    with pytest.raises(BadInputError, match="there are: jazz, rock"):
        collect_tracks([music_root / "songs"], only_groups=["zzz"], report=ignore_report)


def test_a_single_track_is_rejected(music_root):
    with pytest.raises(BadInputError, match="the only track, and an analysis compares tracks"):
        collect_tracks([music_root / "list.csv"], only_groups=["bop"], report=ignore_report)


def test_a_track_limit_is_spread_over_the_groups(music_root):
    four = groups_of(collect_tracks([music_root / "songs"], max_tracks=4, report=ignore_report))
    assert sorted(four.values()) == ["", "jazz", "jazz", "rock"]
    assert "jazz/a" in four
    assert "jazz/c" in four  # the ends of three, evenly
    assert len(collect_tracks([music_root / "songs"], max_tracks=99, report=ignore_report)) == 6
