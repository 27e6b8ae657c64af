"""`nmjax infer` with many tracks: finished tracks are skipped, failures stop nothing, albums, several processes."""

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

ROOT = Path(__file__).parents[2]
PLAIN = ["--lufs", "none", "--true-peak", "none"]


@pytest.fixture(scope="module")
def checkpoint_root(tmp_path_factory):
    """Runs of phases 1a and 1b."""
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
    names = [f"{stem}-mastered.{end}" for stem in ("a", "b", "deep/a") for end in ("wav", "wav.json")]
    before = file_times(out)
    assert set(before) == {*names, MANIFEST_NAME}
    for stem in ("a", "b", "deep/a"):
        assert lufs(out / f"{stem}-mastered.wav") == pytest.approx(-14.0, abs=0.1)

    infer(checkpoint_root, song_folder, "-o", out, "--json")
    tracks = json.loads(capsys.readouterr().out)["tracks"]
    assert [track["status"] for track in tracks] == ["skipped"] * 3
    assert all(len(track["settings"]["eq"]["bands"]) == 5 for track in tracks)
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
    assert "fewer than 2 samples" in printed
    names = {f"{stem}-mastered.{end}" for stem in "ab" for end in ("wav", "wav.json")}
    assert {p.name for p in out.iterdir()} == {MANIFEST_NAME, *names}


def test_json_has_the_layout_of_a_single_track(checkpoint_root, song_folder, tmp_path, capsys):
    (song_folder / "c.wav").write_text("no sound")
    infer(checkpoint_root, song_folder, "-o", tmp_path / "out", "--json", code=1)
    many = json.loads(capsys.readouterr().out)
    infer(checkpoint_root, song_folder / "a.wav", "-o", tmp_path / "alone.wav", "--json")
    alone = json.loads(capsys.readouterr().out)
    assert set(many) == set(alone)
    statuses = {track["track"]: track["status"] for track in many["tracks"]}
    assert statuses.pop(str(song_folder / "c.wav")) == "failed"
    assert set(statuses.values()) == {"done"}
    (in_batch,) = (track for track in many["tracks"] if track["track"] == str(song_folder / "a.wav"))
    assert all(set(track) == set(alone["tracks"][0]) for track in many["tracks"])
    expected = alone["tracks"][0] | {"files": {"settings": str(tmp_path / "out" / "a-mastered.wav.json")}}
    expected["deliveries"] = [expected["deliveries"][0] | {"file": str(tmp_path / "out" / "a-mastered.wav")}]
    assert in_batch == expected


def test_a_batch_out_of_spec_exits_with_3_also_when_it_is_done(checkpoint_root, song_folder, tmp_path):
    arguments = [song_folder / "a.wav", song_folder / "b.wav", "-o", tmp_path / "out", "--quiet"]
    for _ in range(2):
        infer(checkpoint_root, *arguments, "--lufs", "-5", "--max-limiting", "1", code=3)


def test_edited_settings_for_all_and_changed_ones_again(checkpoint_root, song_folder, tmp_path, capsys):
    settings = tmp_path / "mine.json"
    arguments = [song_folder, "-o", tmp_path / "out", "--settings", settings, "--quiet"]
    for gain_db in (2.0, -2.0):
        bands = [{"freq_hz": 300.0, "gain_db": gain_db, "q": 1.0}]
        settings.write_text(json.dumps({"format": "nmjax settings 2", "eq": {"bands": bands}}))
        infer(checkpoint_root, *arguments)
        (band,) = load_settings_json(tmp_path / "out" / "b-mastered.wav.json")["eq"]["bands"]
        assert band["gain_db"] == gain_db
    assert capsys.readouterr().out == ""


def test_several_deliveries_of_many(checkpoint_root, song_folder, tmp_path):
    out = tmp_path / "out"
    infer(checkpoint_root, song_folder, "-o", out, "--deliver", "streaming,cd", "--quiet")
    audio_names = {f"{stem}-mastered-{name}.wav" for stem in ("a", "b", "deep/a") for name in ("streaming", "cd")}
    assert set(file_times(out)) == {
        *audio_names,
        *(f"{stem}-mastered.wav.json" for stem in ("a", "b", "deep/a")),
        MANIFEST_NAME,
    }


def test_an_album_shares_settings_and_keeps_relative_loudness(checkpoint_root, song_folder, tmp_path, capsys):
    out, phase = tmp_path / "out", "1b"
    arguments = [song_folder, "-o", out, "--album", "--lufs", "-8", "--max-limiting", "12"]
    infer(checkpoint_root, *arguments, phase=phase, code=3)  # the album is at −14 LUFS
    stems = ("a", "b", "deep/a")
    eqs = [load_settings_json(out / f"{stem}-mastered.wav.json")["eq"] for stem in stems]
    assert eqs[0] == eqs[1] == eqs[2]
    assert max(abs(band["gain_db"]) for band in eqs[0]["bands"]) > 1.0
    plain = tmp_path / "plain"  # the same settings, alone
    infer(checkpoint_root, song_folder, "-o", plain, "--album", *PLAIN, "--bits", "float", phase=phase)
    levels, alone = ([lufs(output_dir / f"{stem}-mastered.wav") for stem in stems] for output_dir in (out, plain))
    np.testing.assert_allclose(np.diff(levels), np.diff(alone), atol=0.1)
    limiting = load_settings_json(out / "a-mastered.wav.json")["delivery"]["custom"]["max_gain_reduction_db"]
    assert limiting > 0.5  # relative loudness holds though one song is limited and another is not
    capsys.readouterr()
    infer(checkpoint_root, *arguments, phase=phase, code=3)
    printed = capsys.readouterr().out
    assert "3 done before" in printed
    infer(checkpoint_root, *arguments, "--json", phase=phase, code=3)
    tracks = json.loads(capsys.readouterr().out)["tracks"]
    assert [track["status"] for track in tracks] == 3 * ["skipped"]
    assert all(-80.0 < track["residual"]["level_db"] < 20.0 for track in tracks)


def test_an_album_without_headroom_is_quieter_and_reports_why(checkpoint_root, song_folder, tmp_path, capsys):
    audio = 0.01 * music(3.2)
    audio[::9000] = 0.9
    write_audio(song_folder / "b.wav", audio)
    for i, name in enumerate(("a.wav", "deep/a.wav")):
        write_audio(song_folder / name, 0.02 * np.tanh(20.0 * music(3.2, seed=i)))
    infer(checkpoint_root, song_folder, "-o", tmp_path / "out", "--album", "--json", code=3)
    tracks = json.loads(capsys.readouterr().out)["tracks"]
    assert len(tracks) == 3
    for track in tracks:
        assert "more would take over 6 dB of limiting in 'b.wav'" in track["notes"][0]
        assert track["deliveries"][0]["true_peak_db"] <= -1.0
    manifest = (tmp_path / "out" / MANIFEST_NAME).read_text()
    assert manifest.count('"compliance": "FAIL"') == 3


def test_an_album_is_made_of_all_its_songs_or_not_at_all(checkpoint_root, song_folder, tmp_path, capsys):
    (song_folder / "c.wav").write_text("no sound")
    infer(checkpoint_root, song_folder, "-o", tmp_path / "out", "--album", code=2)
    assert "'c.wav' cannot be used for the album" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_two_processes_master_all_and_print_no_connection_messages(checkpoint_root, song_folder, tmp_path, monkeypatch):
    """As a user starts it: in another process, where other libraries have set up logging."""
    monkeypatch.chdir(tmp_path)
    os.symlink(checkpoint_root / "1a", "run")  # a relative path, which a worker elsewhere would not find
    command = [sys.executable, str(ROOT / "infer.py"), "in", "--ckpt", "run", "-o", "out", "--workers", "2"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (process.returncode, process.stderr) == (0, "")
    assert "3 mastered." in process.stdout
    assert sum(name.endswith(".wav") for name in file_times(tmp_path / "out")) == 3
    assert soundfile.info("out/b-mastered.wav").frames == soundfile.info("in/b.wav").frames
    before = file_times(tmp_path / "out")
    assert main(["infer", "in", "--ckpt", "run", "-o", "out", "--quiet"]) == 0
    assert {name: before[name] for name in before if name.endswith(".wav")} == {
        name: time for name, time in file_times(tmp_path / "out").items() if name.endswith(".wav")
    }


INVALID_ARGUMENTS = [
    (["in", "--report", "r.html"], ["--report", "single track"]),
    (["in", "-o", "all.wav"], ["'all.wav'", "folder"]),
    (["in", "-o", "in/a.wav"], ["'in/a.wav'", "folder"]),
    (["in", "--album", "--workers", "2"], ["--album", "one machine"]),
    (["in", "--album", "--deliver", "cd,club"], ["--album", "one delivery"]),
    (["in/*.mp3"], ["'in/*.mp3'", "missing"]),
    (["in/a.wav", "absent.wav"], ["'absent.wav'", "missing"]),
    (["in", "--same-song"], ["--same-song", "no effect"]),
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
