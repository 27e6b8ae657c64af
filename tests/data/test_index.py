"""Folders and CSV files become songs; what cannot be used is named."""

import numpy as np
import pytest
import soundfile

from nmjax.data import find_songs
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
