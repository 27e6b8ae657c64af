"""Folders and CSV files become songs, each file is scanned once, unusable files are reported."""

import os
import shutil

import numpy as np
import pytest
import soundfile

from nmjax.data import decoded_cache, find_songs
from nmjax.data.index import index_path, load_index
from nmjax.runtime.errors import BadInputError
from tests.synthetic_audio import music, write_audio, write_songs


def error_message(function, *arguments, **named):
    with pytest.raises(BadInputError) as caught:
        function(*arguments, **named)
    return str(caught.value)


def test_a_folder_gives_its_songs_by_name_and_album(tmp_path):
    write_audio(tmp_path / "a/one.wav", music(1.0, 48_000, 1), 48_000)
    write_audio(tmp_path / "b/two.flac", music(2.0))
    result = find_songs(tmp_path, cache_dir=tmp_path / "cache")
    assert [(s.name, s.group) for s in result] == [("a/one", "a"), ("b/two", "b")]
    assert [s.seconds for s in result] == [1.0, 2.0]
    assert (result[0].target.info.sample_rate, result[0].target.info.channels) == (48_000, 1)


def test_a_lossy_file_is_decoded_once_and_excerpts_come_from_there(tmp_path):
    path = write_audio(tmp_path / "music/song.ogg", music(3.0))
    sound = find_songs(tmp_path / "music", cache_dir=tmp_path / "cache")[0].target
    assert sound.info.path.parent == tmp_path / "cache"
    expected, _ = soundfile.read(str(path), dtype="float64")
    decoded, _ = soundfile.read(str(sound.info.path), dtype="float64")
    assert len(decoded) == len(expected)
    assert np.abs(decoded / sound.scale - expected).max() < 2.0**-21
    stamp = sound.info.path.stat().st_mtime_ns
    assert find_songs(tmp_path / "music", cache_dir=tmp_path / "cache")[0].target.info.path.stat().st_mtime_ns == stamp


def test_unreadable_files_of_a_folder_are_reported_and_left_out(tmp_path):
    write_songs(tmp_path, 1, 0.5)
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "nothing.flac").write_bytes(b"")
    bad = music(0.5)
    bad[100] = np.nan
    write_audio(tmp_path / "nan.wav", bad, subtype="FLOAT")
    write_audio(tmp_path / "short.wav", music(0.5)[:1])
    whole = write_audio(tmp_path / "cut.flac", music(3.0)).read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "hole.flac").write_bytes(whole[:90_000] + bytes(500) + whole[90_500:])
    messages = []
    assert [s.name for s in find_songs(tmp_path, cache_dir=tmp_path / "cache", report=messages.append)] == ["song_0"]
    for name in ("text.wav", "nothing.flac", "nan.wav", "short.wav", "cut.flac", "hole.flac"):
        assert sum(name in sentence for sentence in messages) == 1

    messages.clear()
    write_audio(tmp_path / "again.wav", music(0.5)[:1])
    assert [s.name for s in find_songs(tmp_path, cache_dir=tmp_path / "cache", report=messages.append)] == ["song_0"]
    assert len(messages) == 2
    assert "again.wav" in messages[0]
    assert "6 more files as before" in messages[1]
    assert str(index_path(tmp_path, tmp_path / "cache")) in messages[1]


@pytest.fixture
def scanned_names(monkeypatch):
    """The names of the files that were scanned since the list was last cleared."""
    names, original_scan = [], decoded_cache.scan_file

    def noting_scan(file, cache_dir):
        names.append(os.path.basename(file.path))
        return original_scan(file, cache_dir)

    monkeypatch.setattr(decoded_cache, "scan_file", noting_scan)
    return names


def test_a_file_is_scanned_once_and_again_after_a_change(tmp_path, scanned_names):
    folder, cache_dir = write_songs(tmp_path / "music", 3, 0.6), tmp_path / "cache"
    write_audio(folder / "lossy.ogg", music(0.6))
    first = find_songs(folder, cache_dir=cache_dir)
    assert sorted(scanned_names) == ["lossy.ogg", "song_0.wav", "song_1.wav", "song_2.wav"]
    scanned_names.clear()
    second = find_songs(folder, cache_dir=cache_dir)
    assert (scanned_names, second) == ([], first)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.target.levels_lufs, b.target.levels_lufs)
        np.testing.assert_array_equal(a.target.spectrum_db, b.target.spectrum_db)
    write_audio(folder / "song_1.wav", music(0.6, seed=9))
    os.utime(folder / "song_1.wav", ns=(1, 1))
    (folder / "song_0.wav").unlink()
    write_audio(folder / "song_3.wav", music(0.6))
    assert [s.name for s in find_songs(folder, cache_dir=cache_dir)] == ["lossy", "song_1", "song_2", "song_3"]
    assert sorted(scanned_names) == ["song_1.wav", "song_3.wav"]
    assert set(load_index(index_path(folder, cache_dir))) == {"lossy.ogg", "song_1.wav", "song_2.wav", "song_3.wav"}
    scanned_names.clear()
    next(cache_dir.glob("*.flac")).unlink()
    assert len(find_songs(folder, cache_dir=cache_dir)) == 4
    assert scanned_names == ["lossy.ogg"]


def test_both_sides_of_a_csv_of_pairs_are_scanned_once(tmp_path, scanned_names):
    write_pair(tmp_path, music(1.0), 0.5 * music(1.0))
    (tmp_path / "pairs.csv").write_text("input,target\nraw/x.wav,done/x.wav\n")
    first = find_songs(tmp_path / "pairs.csv", cache_dir=tmp_path / "cache")
    assert scanned_names == ["x.wav", "x.wav"]
    scanned_names.clear()
    assert find_songs(tmp_path / "pairs.csv", cache_dir=tmp_path / "cache") == first
    assert scanned_names == []
    assert set(load_index(index_path(tmp_path / "pairs.csv", tmp_path / "cache"))) == {"raw/x.wav", "done/x.wav"}


@pytest.fixture(scope="module")
def indexed_music(tmp_path_factory):
    """A folder of three songs with its index."""
    folder = tmp_path_factory.mktemp("indexed")
    return folder, find_songs(write_songs(folder / "music", 3, 0.6), cache_dir=folder / "cache")


@pytest.mark.parametrize("damage", [0.0, 0.2, 0.5, 0.8, 0.99, "truncated", "another version"])
def test_a_damaged_index_is_rebuilt(indexed_music, tmp_path, scanned_names, damage):
    (folder, first), cache_dir = indexed_music, tmp_path / "cache"
    music_folder = folder / "music"
    shutil.copytree(folder / "cache", cache_dir)
    index = index_path(music_folder, cache_dir)
    data = bytearray(index.read_bytes())
    if damage == "another version":
        data = data.replace(b"\x05nmjax", b"\x05xnmja")
    elif damage == "truncated":
        data = data[: len(data) // 2]
    else:
        data[int(damage * len(data))] ^= 0xFF
    assert data != index.read_bytes()
    index.write_bytes(data)
    second = find_songs(music_folder, cache_dir=cache_dir)
    assert second == first
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.target.levels_lufs, b.target.levels_lufs)
    scanned_names.clear()
    assert find_songs(music_folder, cache_dir=cache_dir) == first
    assert scanned_names == []


def test_an_interrupted_scan_keeps_its_finished_rows(tmp_path, monkeypatch):
    folder, cache_folder = write_songs(tmp_path / "music", 4, 0.6), tmp_path / "cache"
    original_scan = decoded_cache.scan_file

    def stopped(file, cache_dir):
        if file.key == "song_3.wav":
            raise KeyboardInterrupt
        return original_scan(file, cache_dir)

    monkeypatch.setattr(decoded_cache, "scan_file", stopped)
    with pytest.raises(KeyboardInterrupt):
        find_songs(folder, cache_dir=cache_folder)
    assert set(load_index(index_path(folder, cache_folder))) == {"song_0.wav", "song_1.wav", "song_2.wav"}


def test_undecodable_names_and_links(tmp_path):
    folder = write_songs(tmp_path / "music", 1, 0.6)
    (folder / "song_0.wav").rename(folder / os.fsdecode(b"s\xf6ng.wav"))
    (folder / "link.wav").symlink_to(write_audio(tmp_path / "elsewhere/there.wav", music(0.6)))
    (folder / "lost.wav").symlink_to(tmp_path / "nowhere.wav")
    (folder / "more").symlink_to(folder, target_is_directory=True)
    for _ in range(2):
        messages = []
        result = find_songs(folder, cache_dir=tmp_path / "cache", report=messages.append)
        assert [s.name for s in result] == ["link"]
        assert result[0].target.original_path == str(tmp_path / "elsewhere/there.wav")
        assert len(messages) == 1


def test_missing_and_empty_folders_are_reported(tmp_path):
    assert "missing" in error_message(find_songs, tmp_path / "nowhere")
    assert "no audio files" in error_message(find_songs, tmp_path)
    (tmp_path / "text.wav").write_text("no audio")
    assert "text.wav" in error_message(find_songs, tmp_path, report=lambda _: None)


def write_pair(tmp_path, a, b, rates=(44_100, 44_100)):
    write_audio(tmp_path / "raw/x.wav", a, rates[0])
    write_audio(tmp_path / "done/x.wav", b, rates[1])
    return tmp_path / "raw", tmp_path / "done"


def test_pairs_of_folders(tmp_path):
    audio = music(1.0)
    result = find_songs(*write_pair(tmp_path, audio, 0.5 * audio))
    assert result[0].input.info.path == tmp_path / "raw/x.wav"
    assert result[0].target.info.path == tmp_path / "done/x.wav"
    write_audio(tmp_path / "raw/alone.wav", audio)
    assert "alone.wav" in error_message(find_songs, tmp_path / "raw", tmp_path / "done")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda a: a[:, :1], "channels"),
        (lambda a: a[:-23_000], "length"),
        (lambda a: music(1.0, seed=7), "different music"),
    ],
)
def test_mismatched_pairs_are_rejected(tmp_path, change, word):
    audio = music(1.0)
    assert word in error_message(find_songs, *write_pair(tmp_path, audio, change(audio)))


def test_a_pair_at_two_rates(tmp_path):
    assert "sample rate" in error_message(find_songs, *write_pair(tmp_path, music(1.0), music(1.0), (44_100, 48_000)))


def test_csv(tmp_path):
    write_songs(tmp_path, 2, 0.5)
    (tmp_path / "list.csv").write_text("target,input,genre\nsong_0.wav,song_0.wav,folk\n")
    result = find_songs(tmp_path / "list.csv")
    assert (result[0].name, result[0].genre, result[0].input.info.path.name) == ("song_0", "folk", "song_0.wav")
    for text, word in (
        ("file\nsong_0.wav\n", "'target'"),
        ("target\ngone.wav\n", "gone.wav"),
        ("target\n", "'target'"),
        ("target,input\nsong_0.wav,song_1.wav\nsong_1.wav,\n", "some lines only"),
        ("target,genre\n,folk\n", "Line 2"),
    ):
        (tmp_path / "list.csv").write_text(text)
        assert word in error_message(find_songs, tmp_path / "list.csv")


def test_a_csv_names_every_song_once_and_has_some(tmp_path):
    write_songs(tmp_path, 1, 0.5)
    (tmp_path / "twice.csv").write_text("target\nsong_0.wav\n./song_0.wav\n")
    assert "more than once" in error_message(find_songs, tmp_path / "twice.csv")
    (tmp_path / "none.csv").write_text("target,genre\n")
    assert "lists no music" in error_message(find_songs, tmp_path / "none.csv")


def test_ambiguous_extensions_are_rejected_as_a_pair(tmp_path):
    for name in ("in/a.wav", "in/a.flac", "out/a.wav"):
        write_audio(tmp_path / name, music(0.5))
    assert "same name" in error_message(find_songs, tmp_path / "in", tmp_path / "out")


def test_an_unwritable_cache_is_reported_as_such(tmp_path):
    write_songs(tmp_path / "music", 1, 0.5)
    (tmp_path / "file").write_text("")
    assert "cannot be written" in error_message(find_songs, tmp_path / "music", cache_dir=tmp_path / "file" / "cache")
