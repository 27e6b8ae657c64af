"""Folders and CSV files become songs, each file looked at once; what cannot be used is named."""

import os

import numpy as np
import pytest
import soundfile

from nmjax.data import cache, find_songs
from nmjax.data.index import index_path, load
from nmjax.errors import BadInputError
from tests.music import music, songs, write


def refusal(call, *arguments, **named):
    with pytest.raises(BadInputError) as caught:
        call(*arguments, **named)
    return str(caught.value)


def test_a_folder_gives_its_songs_by_name_and_album(tmp_path):
    write(tmp_path / "a/one.wav", music(1.0, 48_000, 1), 48_000)
    write(tmp_path / "b/two.flac", music(2.0))
    found = find_songs(tmp_path, cache_dir=tmp_path / "cache")
    assert [(s.name, s.group) for s in found] == [("a/one", "a"), ("b/two", "b")]
    assert [s.seconds for s in found] == [1.0, 2.0]
    assert (found[0].target.info.sample_rate, found[0].target.info.channels) == (48_000, 1)


def test_a_lossy_file_is_decoded_once_and_excerpts_come_from_there(tmp_path):
    path = write(tmp_path / "music/song.ogg", music(3.0))
    sound = find_songs(tmp_path / "music", cache_dir=tmp_path / "cache")[0].target
    assert sound.info.path.parent == tmp_path / "cache"
    expected, _ = soundfile.read(str(path), dtype="float64")
    decoded, _ = soundfile.read(str(sound.info.path), dtype="float64")
    assert len(decoded) == len(expected)
    assert np.abs(decoded / sound.scale - expected).max() < 2.0**-21
    stamp = sound.info.path.stat().st_mtime_ns
    assert find_songs(tmp_path / "music", cache_dir=tmp_path / "cache")[0].target.info.path.stat().st_mtime_ns == stamp


def test_unreadable_files_of_a_folder_are_reported_and_left_out(tmp_path):
    songs(tmp_path, 1, 0.5)
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "nothing.flac").write_bytes(b"")
    bad = music(0.5)
    bad[100] = np.nan
    write(tmp_path / "nan.wav", bad, subtype="FLOAT")
    write(tmp_path / "short.wav", music(0.5)[:1])
    whole = write(tmp_path / "cut.flac", music(3.0)).read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "hole.flac").write_bytes(whole[:90_000] + bytes(500) + whole[90_500:])
    said = []
    assert [s.name for s in find_songs(tmp_path, cache_dir=tmp_path / "cache", report=said.append)] == ["song_0"]
    for name in ("text.wav", "nothing.flac", "nan.wav", "short.wav", "cut.flac", "hole.flac"):
        assert sum(name in sentence for sentence in said) == 1

    said.clear()
    write(tmp_path / "again.wav", music(0.5)[:1])
    assert [s.name for s in find_songs(tmp_path, cache_dir=tmp_path / "cache", report=said.append)] == ["song_0"]
    assert len(said) == 2
    assert "again.wav" in said[0]
    assert "6 more as before" in said[1]
    assert str(index_path(tmp_path, tmp_path / "cache")) in said[1]


@pytest.fixture
def heard(monkeypatch):
    """The names of the files that were looked at since it was last cleared."""
    names, look = [], cache.heard

    def noted(file, cache_dir):
        names.append(os.path.basename(file.path))
        return look(file, cache_dir)

    monkeypatch.setattr(cache, "heard", noted)
    return names


def test_a_file_is_looked_at_once_and_again_when_it_changed(tmp_path, heard):
    folder, kept = songs(tmp_path / "music", 3, 0.6), tmp_path / "cache"
    write(folder / "lossy.ogg", music(0.6))
    first = find_songs(folder, cache_dir=kept)
    assert sorted(heard) == ["lossy.ogg", "song_0.wav", "song_1.wav", "song_2.wav"]
    heard.clear()
    second = find_songs(folder, cache_dir=kept)
    assert (heard, second) == ([], first)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.target.levels, b.target.levels)
        np.testing.assert_array_equal(a.target.spectrum, b.target.spectrum)
    write(folder / "song_1.wav", music(0.6, seed=9))
    os.utime(folder / "song_1.wav", ns=(1, 1))
    (folder / "song_0.wav").unlink()
    write(folder / "song_3.wav", music(0.6))
    assert [s.name for s in find_songs(folder, cache_dir=kept)] == ["lossy", "song_1", "song_2", "song_3"]
    assert sorted(heard) == ["song_1.wav", "song_3.wav"]
    assert set(load(index_path(folder, kept))) == {"lossy.ogg", "song_1.wav", "song_2.wav", "song_3.wav"}
    heard.clear()
    next(kept.glob("*.flac")).unlink()
    assert len(find_songs(folder, cache_dir=kept)) == 4
    assert heard == ["lossy.ogg"]


@pytest.mark.parametrize("place", [0.0, 0.2, 0.5, 0.8, 0.99, "cut", "other"])
def test_a_damaged_index_is_made_anew(tmp_path, heard, place):
    folder, kept = songs(tmp_path / "music", 3, 0.6), tmp_path / "cache"
    first, index = find_songs(folder, cache_dir=kept), index_path(folder, tmp_path / "cache")
    heard.clear()
    data = bytearray(index.read_bytes())
    if place == "other":
        data = data.replace(b"\x05nmjax", b"\x05xnmja")  # what another version would write
    elif place == "cut":
        data = data[: len(data) // 2]
    else:
        data[int(place * len(data))] ^= 0xFF
    assert data != index.read_bytes()
    index.write_bytes(data)
    second = find_songs(folder, cache_dir=kept)
    assert second == first
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.target.levels, b.target.levels)
    heard.clear()
    assert find_songs(folder, cache_dir=kept) == first
    assert heard == []


def test_an_index_keeps_what_it_has_when_a_start_is_stopped(tmp_path, monkeypatch):
    folder, kept, look = songs(tmp_path / "music", 4, 0.6), tmp_path / "cache", cache.heard

    def stopped(file, cache_dir):
        if file.key == "song_3.wav":
            raise KeyboardInterrupt
        return look(file, cache_dir)

    monkeypatch.setattr(cache, "heard", stopped)
    with pytest.raises(KeyboardInterrupt):
        find_songs(folder, cache_dir=kept)
    assert set(load(index_path(folder, kept))) == {"song_0.wav", "song_1.wav", "song_2.wav"}


def test_names_that_are_no_text_and_links(tmp_path):
    folder = songs(tmp_path / "music", 1, 0.6)
    (folder / "song_0.wav").rename(folder / os.fsdecode(b"s\xf6ng.wav"))
    (folder / "link.wav").symlink_to(write(tmp_path / "elsewhere/there.wav", music(0.6)))
    (folder / "lost.wav").symlink_to(tmp_path / "nowhere.wav")
    (folder / "more").symlink_to(folder, target_is_directory=True)
    for _ in range(2):
        said = []
        found = find_songs(folder, cache_dir=tmp_path / "cache", report=said.append)
        assert [s.name for s in found] == ["link"]
        assert found[0].target.original == str(tmp_path / "elsewhere/there.wav")
        assert len(said) == 1


def test_what_is_missing_or_empty_is_said(tmp_path):
    assert "missing" in refusal(find_songs, tmp_path / "nowhere")
    assert "no audio files" in refusal(find_songs, tmp_path)
    (tmp_path / "text.wav").write_text("no audio")
    assert "text.wav" in refusal(find_songs, tmp_path, report=lambda _: None)


def pair(tmp_path, a, b, rates=(44_100, 44_100)):
    write(tmp_path / "raw/x.wav", a, rates[0])
    write(tmp_path / "done/x.wav", b, rates[1])
    return tmp_path / "raw", tmp_path / "done"


def test_pairs_of_folders(tmp_path):
    audio = music(1.0)
    found = find_songs(*pair(tmp_path, audio, 0.5 * audio))
    assert found[0].input.info.path == tmp_path / "raw/x.wav"
    assert found[0].target.info.path == tmp_path / "done/x.wav"
    write(tmp_path / "raw/alone.wav", audio)
    assert "alone.wav" in refusal(find_songs, tmp_path / "raw", tmp_path / "done")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda a: a[:, :1], "channels"),
        (lambda a: a[:-10], "length"),
        (lambda a: np.roll(a, 300, axis=0), "shifted against each other by 300 samples"),
        (lambda a: np.roll(a, -40, axis=0), "shifted against each other by -40 samples"),
    ],
)
def test_pairs_that_are_none(tmp_path, change, word):
    audio = music(1.0)
    assert word in refusal(find_songs, *pair(tmp_path, audio, change(audio)))


def test_a_pair_at_two_rates(tmp_path):
    assert "sample rate" in refusal(find_songs, *pair(tmp_path, music(1.0), music(1.0), (44_100, 48_000)))


def test_an_equalised_and_inverted_master_is_no_shift(tmp_path):
    audio = music(1.0)
    filtered = np.stack([np.convolve(x, [-1.0, 0.7, -0.3])[: len(x)] for x in audio.T], axis=1)
    assert len(find_songs(*pair(tmp_path, audio, filtered))) == 1


def test_csv(tmp_path):
    songs(tmp_path, 2, 0.5)
    (tmp_path / "list.csv").write_text("target,input,genre\nsong_0.wav,song_0.wav,folk\n")
    found = find_songs(tmp_path / "list.csv")
    assert (found[0].name, found[0].genre, found[0].input.info.path.name) == ("song_0", "folk", "song_0.wav")
    for text, word in (
        ("file\nsong_0.wav\n", "'target'"),
        ("target\ngone.wav\n", "gone.wav"),
        ("target\n", "'target'"),
        ("target,input\nsong_0.wav,song_1.wav\nsong_1.wav,\n", "some lines only"),
        ("target,genre\n,folk\n", "Line 2"),
    ):
        (tmp_path / "list.csv").write_text(text)
        assert word in refusal(find_songs, tmp_path / "list.csv")


def test_a_csv_names_every_song_once_and_has_some(tmp_path):
    songs(tmp_path, 1, 0.5)
    (tmp_path / "twice.csv").write_text("target\nsong_0.wav\n./song_0.wav\n")
    assert "more than once" in refusal(find_songs, tmp_path / "twice.csv")
    (tmp_path / "none.csv").write_text("target,genre\n")
    assert "lists no music" in refusal(find_songs, tmp_path / "none.csv")


def test_two_endings_of_one_name_are_no_pair(tmp_path):
    for name in ("in/a.wav", "in/a.flac", "out/a.wav"):
        write(tmp_path / name, music(0.5))
    assert "same name" in refusal(find_songs, tmp_path / "in", tmp_path / "out")


def test_a_cache_that_cannot_be_written_is_no_fault_of_the_music(tmp_path):
    songs(tmp_path / "music", 1, 0.5)
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refusal(find_songs, tmp_path / "music", cache_dir=tmp_path / "file" / "cache")
