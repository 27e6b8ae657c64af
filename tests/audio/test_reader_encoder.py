"""Audio files: what is read is what is there, what is written is whole or not there."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from nmjax.audio import reader, writer
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError
from tests.synthetic_audio import music, write_audio


def test_probe_reports_invalid_files(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "none.wav").write_bytes(b"")
    write_audio(tmp_path / "empty.wav", np.zeros((0, 2)))
    write_audio(tmp_path / "slow.wav", np.zeros((10, 1)), 4000)
    write_audio(tmp_path / "wide.wav", np.zeros((10, 9)))
    cases = {"gone.wav": "missing", ".": "folder", "text.wav": "as audio", "none.wav": "as audio"}
    cases |= {"empty.wav": "0 samples", "slow.wav": "4000 Hz", "wide.wav": "9 channels"}
    for name, word in cases.items():
        with pytest.raises(BadInputError, match=word):
            reader.probe(tmp_path / name)


def test_pieces_and_seeking_give_the_files_samples(tmp_path):
    audio = music(0.5).astype(np.float32)
    for suffix in ("wav", "flac", "aiff"):
        path = write_audio(tmp_path / f"x.{suffix}", audio, subtype="PCM_24")
        whole = soundfile.read(str(path), dtype="float32")[0]
        np.testing.assert_array_equal(np.concatenate(list(reader.read_chunks(path, 1000))), whole)
        np.testing.assert_array_equal(reader.read_frames(path, 5000, 300), whole[5000:5300])
        assert len(reader.read_frames(path, len(whole) - 10, 300)) == 10


def test_samples_that_are_no_numbers_are_refused(tmp_path):
    audio = music(0.2)
    audio[5000, 1] = np.inf
    path = write_audio(tmp_path / "x.wav", audio, subtype="FLOAT")
    with pytest.raises(BadInputError, match="NaN or infinite"):
        list(reader.read_chunks(path))


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24), ("PCM_32", 32)])
def test_integers_are_rounded_to_nearest_and_clipped_at_full_scale(tmp_path, subtype, bits):
    full = 2.0 ** (bits - 1)
    expected = np.array([[0.0], [0.6 / full], [-0.6 / full], [1.4 / full], [2.0], [-2.0], [0.3]])
    writer.encode_audio(tmp_path / "x.wav", [expected[:4], expected[4:]], 44_100, 1, "WAV", subtype)
    result = soundfile.read(str(tmp_path / "x.wav"), dtype="int32")[0] / 2 ** (32 - bits)
    np.testing.assert_array_equal(result[:6], [0, 1, -1, 1, full - 1, -full])
    assert result[6] == np.rint(0.3 * full)


def test_floats_are_written_as_they_are(tmp_path):
    audio = (3.0 * music(0.1)).astype(np.float32)
    writer.encode_audio(tmp_path / "x.wav", [audio], 48_000, 2, "WAV", "FLOAT")
    np.testing.assert_array_equal(soundfile.read(str(tmp_path / "x.wav"), dtype="float32")[0], audio)


def test_a_format_that_cannot_hold_the_signal_is_a_sentence(tmp_path):
    with pytest.raises(BadInputError, match="FLAC FLOAT"):
        writer.encode_audio(tmp_path / "x.flac", [np.zeros((10, 2))], 44_100, 2, "FLAC", "FLOAT")


def test_no_partial_file_remains(tmp_path):
    (tmp_path / "x.txt").write_text("old")

    class Cut(Exception):
        pass

    with pytest.raises(Cut), atomic_files.temporary_sibling(tmp_path / "x.txt") as temporary:
        temporary.write_text("half")
        raise Cut
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]
    assert (tmp_path / "x.txt").read_text() == "old"
    atomic_files.write_text(tmp_path / "x.txt", "new")
    assert (tmp_path / "x.txt").read_text() == "new"
    with pytest.raises(BadInputError, match="cannot be written"):
        atomic_files.write_text(tmp_path / "x.txt" / "y.txt", "below a file")


def test_another_rate_keeps_the_tone():
    time = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 1000 * time)[:, None].astype(np.float32)
    result = reader.resample(tone, 48_000, 44_100)[1000:-1000, 0]
    expected = np.sin(2 * np.pi * 1000 * np.arange(44_100) / 44_100)[1000:-1000]
    assert np.abs(result - expected).max() < 1e-5
    assert reader.resample(tone, 44_100, 44_100) is tone


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(tmp_path):
    path = tmp_path / f"{'long name ' * 6}.wav"
    with atomic_files.temporary_sibling(path) as temporary:
        leftover = temporary.name
    others = [
        ".hidden.wav",
        f"{leftover}.bak",
        leftover.replace(".wav", ".json"),
        leftover[1:],
        ".long name-12345678.wav",
        path.name,
    ]
    for name in (leftover, *others):
        (tmp_path / name).touch()
    atomic_files.remove_stale_temporaries([path, tmp_path / "no folder" / "a.wav"])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(others)


def test_text_is_utf_8_whatever_the_locale_says(tmp_path):
    code = (
        "import sys; from pathlib import Path; from nmjax.runtime.atomic_files import write_text; "
        "write_text(Path(sys.argv[1]), chr(8211))"
    )
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, tmp_path / "t.txt"], check=True, env=os.environ | plain)
    assert (tmp_path / "t.txt").read_bytes() == "–".encode()
