"""Audio files: what is read is what is there, what is written is whole or not there."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from nmjax import io
from nmjax.errors import BadInputError
from tests.music import music, write


def test_probe_says_what_is_wrong(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "none.wav").write_bytes(b"")
    write(tmp_path / "empty.wav", np.zeros((0, 2)))
    write(tmp_path / "slow.wav", np.zeros((10, 1)), 4000)
    write(tmp_path / "wide.wav", np.zeros((10, 9)))
    cases = {"gone.wav": "missing", ".": "folder", "text.wav": "as audio", "none.wav": "as audio"}
    cases |= {"empty.wav": "0 samples", "slow.wav": "4000 Hz", "wide.wav": "9 channels"}
    for name, word in cases.items():
        with pytest.raises(BadInputError, match=word):
            io.probe(tmp_path / name)


def test_pieces_and_seeking_give_the_files_samples(tmp_path):
    audio = music(0.5).astype(np.float32)
    for suffix in ("wav", "flac", "aiff"):
        path = write(tmp_path / f"x.{suffix}", audio, subtype="PCM_24")
        whole = soundfile.read(str(path), dtype="float32")[0]
        np.testing.assert_array_equal(np.concatenate(list(io.pieces(path, 1000))), whole)
        np.testing.assert_array_equal(io.read(path, 5000, 300), whole[5000:5300])
        assert len(io.read(path, len(whole) - 10, 300)) == 10


def test_samples_that_are_no_numbers_are_refused(tmp_path):
    audio = music(0.2)
    audio[5000, 1] = np.inf
    path = write(tmp_path / "x.wav", audio, subtype="FLOAT")
    with pytest.raises(BadInputError, match="NaN or infinite"):
        list(io.pieces(path))


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24), ("PCM_32", 32)])
def test_integers_are_rounded_to_the_nearest_step_and_held_at_full_scale(tmp_path, subtype, bits):
    full = 2.0 ** (bits - 1)
    wanted = np.array([[0.0], [0.6 / full], [-0.6 / full], [1.4 / full], [2.0], [-2.0], [0.3]])
    io.encode(tmp_path / "x.wav", [wanted[:4], wanted[4:]], 44_100, 1, "WAV", subtype)
    found = soundfile.read(str(tmp_path / "x.wav"), dtype="int32")[0] / 2 ** (32 - bits)
    np.testing.assert_array_equal(found[:6], [0, 1, -1, 1, full - 1, -full])
    assert found[6] == np.rint(0.3 * full)


def test_floats_are_written_as_they_are(tmp_path):
    audio = (3.0 * music(0.1)).astype(np.float32)
    io.encode(tmp_path / "x.wav", [audio], 48_000, 2, "WAV", "FLOAT")
    np.testing.assert_array_equal(soundfile.read(str(tmp_path / "x.wav"), dtype="float32")[0], audio)


def test_a_format_that_cannot_hold_the_signal_is_a_sentence(tmp_path):
    with pytest.raises(BadInputError, match="FLAC FLOAT"):
        io.encode(tmp_path / "x.flac", [np.zeros((10, 2))], 44_100, 2, "FLAC", "FLOAT")


def test_nothing_half_written_stays(tmp_path):
    (tmp_path / "x.txt").write_text("old")

    class Cut(Exception):
        pass

    with pytest.raises(Cut), io.temporary_beside(tmp_path / "x.txt") as temporary:
        temporary.write_text("half")
        raise Cut
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]
    assert (tmp_path / "x.txt").read_text() == "old"
    io.write_text(tmp_path / "x.txt", "new")
    assert (tmp_path / "x.txt").read_text() == "new"
    with pytest.raises(BadInputError, match="cannot be written"):
        io.write_text(tmp_path / "x.txt" / "y.txt", "below a file")


def test_another_rate_keeps_the_tone():
    time = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 1000 * time)[:, None].astype(np.float32)
    found = io.resampled(tone, 48_000, 44_100)[1000:-1000, 0]
    expected = np.sin(2 * np.pi * 1000 * np.arange(44_100) / 44_100)[1000:-1000]
    assert np.abs(found - expected).max() < 1e-5
    assert io.resampled(tone, 44_100, 44_100) is tone


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(tmp_path):
    path = tmp_path / f"{'long name ' * 6}.wav"
    with io.temporary_beside(path) as temporary:
        left = temporary.name
    others = [
        ".hidden.wav",
        f"{left}.bak",
        left.replace(".wav", ".json"),
        left[1:],
        ".long name-12345678.wav",
        path.name,
    ]
    for name in (left, *others):
        (tmp_path / name).touch()
    io.remove_leftovers([path, tmp_path / "no folder" / "a.wav"])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(others)


def test_text_is_utf_8_whatever_the_locale_says(tmp_path):
    code = "import sys; from pathlib import Path; from nmjax import io; io.write_text(Path(sys.argv[1]), chr(8211))"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, tmp_path / "t.txt"], check=True, env=os.environ | plain)
    assert (tmp_path / "t.txt").read_bytes() == "–".encode()
