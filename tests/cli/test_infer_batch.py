"""`infer.py` for many tracks: skipped when done, those that fail stop nothing, an album, several processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nmjax.batch.manifest import MANIFEST_NAME
from nmjax.cli.main import main
from tests.mastering.test_master import lufs
from tests.random_networks import load_settings_json, save_network
from tests.synthetic_audio import music, write_audio

PLAIN = ["--lufs", "none", "--true-peak", "none"]


@pytest.fixture(scope="module")
def checkpoint_root(tmp_path_factory):
    """Runs of phases 1A and 1B."""
    root = tmp_path_factory.mktemp("runs")
    for phase in ("1a", "1b"):
        save_network(phase, root / phase)
    return root


@pytest.fixture
def song_folder(tmp_path):
    """Three songs, 3 dB apart, of few peaks; in one of two folders a song of the same name."""
    for i, name in enumerate(["a.wav", "b.wav", "deep/a.wav"]):
        write_audio(tmp_path / "in" / name, 10.0 ** (-3 * i / 20) * 0.3 * np.tanh(20.0 * music(3.2, seed=i)))
    return tmp_path / "in"


def infer(checkpoint_root, *arguments, phase="1a", code=0):
    assert main(["infer", "--ckpt", str(checkpoint_root / phase), *map(str, arguments)]) == code


def file_times(song_folder):
    return {p.relative_to(song_folder).as_posix(): p.stat().st_mtime_ns for p in song_folder.rglob("*") if p.is_file()}


def test_a_folder_is_mastered_once(checkpoint_root, song_folder, tmp_path, capsys):
    out = tmp_path / "out"
    infer(checkpoint_root, song_folder, "-o", out)
    assert "3 mastered." in capsys.readouterr().out
    names = [f"{stem}-mastered.{end}" for stem in ("a", "b", "deep/a") for end in ("wav", "json")]
    before = file_times(out)
    assert set(before) == {*names, MANIFEST_NAME}
    for stem in ("a", "b", "deep/a"):
        assert lufs(out / f"{stem}-mastered.wav") == pytest.approx(-14.0, abs=0.1)

    infer(checkpoint_root, song_folder, "-o", out, "--json")
    tree = json.loads(capsys.readouterr().out)
    assert (len(tree["skipped"]), tree["done"], tree["failed"]) == (3, [], [])
    assert {name: time for name, time in file_times(out).items() if name != MANIFEST_NAME} == {
        n: before[n] for n in names
    }

    os.rename(checkpoint_root / "1a", checkpoint_root / "moved")  # the same network from elsewhere
    try:
        infer(checkpoint_root, song_folder, "-o", out, phase="moved")
        assert "3 done before" in capsys.readouterr().out
    finally:
        os.rename(checkpoint_root / "moved", checkpoint_root / "1a")

    infer(checkpoint_root, song_folder, "-o", out, "--lufs", "-16")
    assert "3 mastered." in capsys.readouterr().out
    assert lufs(out / "b-mastered.wav") == pytest.approx(-16.0, abs=0.1)


def test_a_damaged_file_does_not_stop_the_batch(checkpoint_root, song_folder, tmp_path, capsys):
    (song_folder / "aa.wav").write_text("no sound")
    write_audio(song_folder / "one.wav", np.zeros((1, 2)))
    out = tmp_path / "out"
    infer(checkpoint_root, song_folder / "*.wav", "-o", out, code=1)
    printed = capsys.readouterr().out
    assert "2 mastered, 2 failed." in printed
    assert "cannot be read as audio" in printed
    assert "single sample" in printed
    assert {p.name for p in out.iterdir()} == {
        MANIFEST_NAME, *(f"{stem}-mastered.{end}" for stem in "ab" for end in ("wav", "json"))
    }  # fmt: skip


def test_edited_settings_for_all_and_changed_ones_again(checkpoint_root, song_folder, tmp_path, capsys):
    settings = tmp_path / "mine.json"
    arguments = [song_folder, "-o", tmp_path / "out", "--settings", settings, "--quiet"]
    for gain_db in (2.0, -2.0):
        bands = [{"freq_hz": 300.0, "gain_db": gain_db, "q": 1.0}]
        settings.write_text(json.dumps({"format": "nmjax settings 1", "eq": {"bands": bands}}))
        infer(checkpoint_root, *arguments)
        (band,) = load_settings_json(tmp_path / "out" / "b-mastered.json")["eq"]["bands"]
        assert band["gain_db"] == gain_db
    assert capsys.readouterr().out == ""


def test_several_deliveries_of_many(checkpoint_root, song_folder, tmp_path):
    out = tmp_path / "out"
    infer(checkpoint_root, song_folder, "-o", out, "--deliver", "streaming,cd", "--quiet")
    audio_names = {f"{stem}-mastered-{name}.wav" for stem in ("a", "b", "deep/a") for name in ("streaming", "cd")}
    assert set(file_times(out)) == {
        *audio_names,
        *(f"{stem}-mastered.json" for stem in ("a", "b", "deep/a")),
        MANIFEST_NAME,
    }


def test_an_album_shares_settings_and_keeps_relative_loudness(checkpoint_root, song_folder, tmp_path, capsys):
    out, phase = tmp_path / "out", "1b"
    infer(checkpoint_root, song_folder, "-o", out, "--album", "--lufs", "-8", "--max-limiting", "12", phase=phase)
    stems = ("a", "b", "deep/a")
    eqs = [load_settings_json(out / f"{stem}-mastered.json")["eq"] for stem in stems]
    assert eqs[0] == eqs[1] == eqs[2]
    assert max(abs(band["gain_db"]) for band in eqs[0]["bands"]) > 1.0
    plain = tmp_path / "plain"  # the same settings, alone
    infer(checkpoint_root, song_folder, "-o", plain, "--album", *PLAIN, "--bits", "float", phase=phase)
    levels, alone = ([lufs(output_dir / f"{stem}-mastered.wav") for stem in stems] for output_dir in (out, plain))
    np.testing.assert_allclose(np.diff(levels), np.diff(alone), atol=0.1)
    limiting = load_settings_json(out / "a-mastered.json")["delivery"]["custom"]["limiting_db"]
    assert limiting > 0.5  # it is kept though one song is limited and another is not
    capsys.readouterr()
    infer(checkpoint_root, song_folder, "-o", out, "--album", "--lufs", "-8", "--max-limiting", "12", phase=phase)
    printed = capsys.readouterr().out
    assert "3 done before" in printed


def test_an_album_without_headroom_is_quieter_and_reports_why(checkpoint_root, song_folder, tmp_path, capsys):
    audio = 0.01 * music(3.2)
    audio[::9000] = 0.9
    write_audio(song_folder / "b.wav", audio)
    for i, name in enumerate(("a.wav", "deep/a.wav")):
        write_audio(song_folder / name, 0.02 * np.tanh(20.0 * music(3.2, seed=i)))
    infer(checkpoint_root, song_folder, "-o", tmp_path / "out", "--album", "--json")
    tree = json.loads(capsys.readouterr().out)
    assert len(tree["done"]) == 3
    for record in tree["done"]:
        assert record["verdict"] == "FAIL"
        assert "more would take in 'b.wav' more than 6 dB of limiting" in record["notes"][0]
    assert max(record["true_peak_db"] for record in tree["done"]) <= -1.0


def test_an_album_is_made_of_all_its_songs_or_not_at_all(checkpoint_root, song_folder, tmp_path, capsys):
    (song_folder / "c.wav").write_text("no sound")
    infer(checkpoint_root, song_folder, "-o", tmp_path / "out", "--album", code=2)
    assert "lacks 'c.wav'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_two_processes_master_all(checkpoint_root, song_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink(checkpoint_root / "1a", "run")  # a relative path, which a worker elsewhere would not find
    assert main(["infer", "in", "--ckpt", "run", "-o", "out", "--workers", "2", "--quiet"]) == 0
    assert sum(name.endswith(".wav") for name in file_times(tmp_path / "out")) == 3
    assert soundfile.info("out/b-mastered.wav").frames == soundfile.info("in/b.wav").frames
    assert main(["infer", "in", "--ckpt", "run", "-o", "out", "--quiet"]) == 0


INVALID_ARGUMENTS = [
    (["in", "--report", "r.html"], ["--report", "single track"]),
    (["in", "-o", "all.wav"], ["'all.wav'", "folder"]),
    (["in", "-o", "in/a.wav"], ["'in/a.wav'", "folder"]),
    (["in", "--workers", "0"], ["--workers", "0"]),
    (["in", "--workers", "-3"], ["--workers", "-3"]),
    (["in", "--album", "--workers", "2"], ["--album", "one machine"]),
    (["in", "--album", "--deliver", "cd,club"], ["--album", "one delivery"]),
    (["in/*.mp3"], ["'in/*.mp3'", "missing"]),
    (["in/a.wav", "absent.wav"], ["'absent.wav'", "missing"]),
    (["in", "--deliver", "radio"], ["'radio'"]),
    (["in", "--band", "x"], ["'x'"]),
]


@pytest.mark.parametrize(("words", "said"), INVALID_ARGUMENTS, ids=[" ".join(words) for words, _ in INVALID_ARGUMENTS])
def test_invalid_arguments_are_reported_before_any_work(
    checkpoint_root, song_folder, tmp_path, words, said, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = file_times(tmp_path)
    infer(checkpoint_root, *words, code=2)
    sentence = capsys.readouterr().err
    assert all(phrase in sentence for phrase in said), sentence
    assert sentence.count("\n") == 1
    assert file_times(tmp_path) == before


def test_a_folder_with_a_point_in_its_name(checkpoint_root, song_folder, tmp_path):
    infer(checkpoint_root, song_folder / "b.wav", song_folder / "a.wav", "-o", tmp_path / "v1.2", "--quiet")
    assert (tmp_path / "v1.2" / "a-mastered.wav").is_file()


def test_workers_print_no_connection_messages(song_folder, tmp_path):
    """As a person starts it: other libraries have set up logging, which Dask's lines would go to."""
    root = Path(__file__).parents[3]
    arguments = [str(root / "infer.py"), str(song_folder), "-o", str(tmp_path / "out"), "--workers", "1"]
    process = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300)
    assert (process.returncode, process.stderr) == (0, "")
    assert "3 mastered." in process.stdout
