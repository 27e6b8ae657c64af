"""`nmjax infer` with one track: what the options do, what is printed and written, and what is rejected."""

import json
import re

import numpy as np
import pytest
import soundfile
from scipy.signal import sosfilt

from nmjax.cli.main import main
from nmjax.mastering.settings.exports import READERS
from tests.dsp.oracles import peaking_sos
from tests.mastering.test_master import lufs
from tests.models.helpers import peak_error_db
from tests.random_networks import load_settings_json, save_network
from tests.synthetic_audio import music, write_audio

PLAIN = ["--lufs", "none", "--true-peak", "none"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Runs of two phases and a track with few peaks."""
    root = tmp_path_factory.mktemp("command")
    for phase in ("1a", "1b"):
        save_network(phase, root / phase)
    write_audio(root / "track.wav", 0.3 * np.tanh(30.0 * music(3.2)), subtype="FLOAT")
    return root


def infer(workspace, out, *arguments, phase="1b", code=0):
    """Master the track as OUT; returns what was written."""
    ckpt = [] if phase is None else ["--ckpt", str(workspace / phase)]
    result = main(["infer", str(workspace / "track.wav"), *ckpt, "-o", str(out), *map(str, arguments)])
    assert result == code or (code is None and result in (0, 2))
    return out


def samples(path):
    return soundfile.read(str(path), always_2d=True)[0]


def test_prints_bands_compliance_and_files(workspace, tmp_path, capsys):
    out = infer(workspace, tmp_path / "m.wav")
    printed = capsys.readouterr().out
    for band in load_settings_json(tmp_path / "m.wav.json")["eq"]["bands"]:
        assert f"{band['gain_db']:+.2f} dB".replace("-", "−") in printed
    (line,) = re.findall(r"^streaming: PASS +−(\S+) LUFS +(\S+) dBTP .* 44100 Hz +0 clipped$", printed, re.MULTILINE)
    assert -float(line[0]) == pytest.approx(lufs(out), abs=0.06)
    assert re.search(rf"^Input: −{-lufs(workspace / 'track.wav'):.1f} LUFS", printed, re.MULTILINE)
    assert "EQ and residual (1b)" in printed and "phase" not in printed
    assert re.search(rf"^Master: +{re.escape(str(out))}$", printed, re.MULTILINE)
    assert re.search(rf"^Settings: +{re.escape(str(tmp_path / 'm.wav.json'))}$", printed, re.MULTILINE)


def test_json_prints_only_json_with_measurements_and_settings(workspace, tmp_path, capsys):
    out = infer(workspace, tmp_path / "m.wav", "--json", "--deliver", "cd", code=3)
    captured = capsys.readouterr()
    tree = json.loads(captured.out)
    assert captured.err == ""
    assert (tree["format"], tree["stop_reason"]) == ("nmjax infer 2", "")
    (track,) = tree["tracks"]
    assert (track["track"], track["status"], track["error"]) == (str(workspace / "track.wav"), "done", "")
    assert track["files"] == {"settings": str(tmp_path / "m.wav.json")}
    (delivery,) = track["deliveries"]
    assert (delivery["name"], delivery["file"], delivery["status"]) == ("cd", str(out), "fail")
    assert delivery["lufs"] == pytest.approx(lufs(out), abs=0.05)
    assert track["input"]["lufs"] == pytest.approx(lufs(workspace / "track.wav"), abs=0.05)
    assert any("6 dB of limiting" in note for note in track["notes"])
    settings = load_settings_json(tmp_path / "m.wav.json")
    assert track["settings"]["eq"] == settings["eq"] and len(settings["eq"]["bands"]) == 5
    assert track["settings"]["model"] == settings["model"]
    level_db = track["residual"]["level_db"]
    assert -80.0 < level_db < 20.0  # a random network
    assert track["residual"]["summary"].startswith(f"The residual adds {level_db:.1f} dB".replace("-", "−"))


def test_a_residual_that_is_left_out_has_no_level(workspace, tmp_path, capsys):
    infer(workspace, tmp_path / "m.wav", "--json", "--bypass", "residual")
    (track,) = json.loads(capsys.readouterr().out)["tracks"]
    assert track["residual"] is None


@pytest.mark.parametrize("more", [[], ["--quiet"], ["--json"]])
def test_a_delivery_out_of_spec_is_written_and_exits_with_3(workspace, tmp_path, more):
    out = infer(workspace, tmp_path / "m.wav", "--lufs", "-5", "--max-limiting", "1", *more, code=3)
    assert lufs(out) < -5.5


def test_quiet_prints_a_failed_delivery_and_integers_that_cut_off_are_named(workspace, tmp_path, capsys):
    loud = ["--lufs", "none", "--true-peak", "none", "--band", "2.gain_db=24"]
    infer(workspace, tmp_path / "a.wav", "--deliver", "cd", "--max-limiting", "0", "--quiet", code=3)
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("nmjax: cd: FAIL")
    infer(workspace, tmp_path / "b.wav", *loud, "--bits", "16")
    assert "samples of the master are at full scale" in capsys.readouterr().out


def test_quiet_prints_nothing(workspace, tmp_path, capsys):
    infer(workspace, tmp_path / "m.wav", "--quiet")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    infer(workspace, tmp_path / "m.wav", "--quiet", code=2)
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "--force" in captured.err
    assert "track-mastered" not in captured.err


def test_what_a_person_sets_is_marked(workspace, tmp_path, capsys):
    infer(workspace, tmp_path / "m.wav", *PLAIN, "--band", "2.gain_db=3", "--set", "compressor.ratio=2")
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("│") and "+3.00 dB" in line and "yes" in line for line in lines)
    assert sum("yes" in line for line in lines) == 1
    assert any("ratio 2 (set by hand), attack" in line for line in lines)


def test_a_lossy_master_is_named_unless_it_was_asked_for(workspace, tmp_path, capsys):
    soundfile.write(tmp_path / "a.mp3", soundfile.read(workspace / "track.wav")[0], 44_100)
    for more, is_named in ([], True), (["-o", tmp_path / "b.mp3"], False):
        assert main(["infer", str(tmp_path / "a.mp3"), "--ckpt", str(workspace / "1a"), *map(str, more)]) == 0
        assert ("The master is MP3, like the track." in capsys.readouterr().out) == is_named


def test_force_overwrites_and_nothing_else_does(workspace, tmp_path, capsys):
    (tmp_path / "m.wav.json").write_text("mine")
    infer(workspace, tmp_path / "m.wav", code=2)
    assert "'m.wav.json' exists" in capsys.readouterr().err.replace(f"{tmp_path}/", "")
    assert [p.name for p in tmp_path.iterdir()] == ["m.wav.json"]
    infer(workspace, tmp_path / "m.wav", "--force")
    assert load_settings_json(tmp_path / "m.wav.json")["track"] == "track.wav"


def test_several_deliveries_are_several_files(workspace, tmp_path, capsys):
    infer(workspace, tmp_path / "m.flac", "--deliver", "streaming,cd", "--bits", "24", code=3)
    printed = capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m-cd.flac", "m-streaming.flac", "m.flac.json"]
    assert lufs(tmp_path / "m-streaming.flac") == pytest.approx(-14.0, abs=0.1)
    assert soundfile.info(str(tmp_path / "m-cd.flac")).subtype == "PCM_24"
    assert re.search("^streaming: PASS", printed, re.MULTILINE)
    (result,) = re.findall(r"^cd: FAIL +−(\S+) LUFS .* below −9 LUFS\)$", printed, re.MULTILINE)
    assert lufs(tmp_path / "m-cd.flac") == pytest.approx(-float(result), abs=0.06)
    assert set(load_settings_json(tmp_path / "m.flac.json")["delivery"]) == {"streaming", "cd"}


def test_identical_deliveries_are_reported(workspace, tmp_path, capsys):
    infer(workspace, tmp_path / "m.wav", "--deliver", "cd,streaming,club", "--max-limiting", "0", code=3)
    np.testing.assert_array_equal(samples(tmp_path / "m-cd.wav"), samples(tmp_path / "m-club.wav"))
    printed = capsys.readouterr().out
    assert "The deliveries 'cd' and 'club' are identical: both stop at 0 dB of limiting, at −" in printed


def test_the_loudness_of_the_input_is_a_target(workspace, tmp_path, capsys):
    out = infer(workspace, tmp_path / "m.wav", "--lufs", "keep", "--eq-amount", "0.1", phase="1a")
    assert lufs(out) == pytest.approx(lufs(workspace / "track.wav"), abs=0.1)
    assert "The loudness of your mix is unchanged." in capsys.readouterr().out
    assert "unchanged" in load_settings_json(tmp_path / "m.wav.json")["delivery"]["keep"]["summary"]


def test_a_clean_master_says_what_more_loudness_would_take(workspace, tmp_path, capsys):
    infer(workspace, tmp_path / "m.wav", "--lufs", "clean", "--json")
    (track,) = json.loads(capsys.readouterr().out)["tracks"]
    assert any("any louder would take more than 2 dB of limiting." in sentence for sentence in track["summary"])
    assert track["deliveries"][0]["max_gain_reduction_db"] == pytest.approx(2.0, abs=0.01)


def test_masters_of_two_formats_do_not_collide(workspace, tmp_path):
    for name in ("o.opus", "o.mp3"):
        infer(workspace, tmp_path / name, "--quiet", phase="1a")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.mp3", "o.mp3.json", "o.opus", "o.opus.json"]


def test_another_loudness_and_ceiling_make_a_custom_delivery(workspace, tmp_path, capsys):
    out = infer(workspace, tmp_path / "m.wav", "--lufs", "-17.5", "--true-peak", "-3")
    printed = capsys.readouterr().out
    assert "Delivery 'custom': −17.5 LUFS, −3 dBTP; the preset 'streaming' is −14 LUFS, −1 dBTP." in printed
    assert "custom: PASS" in printed
    assert lufs(out) == pytest.approx(-17.5, abs=0.1)


def test_edited_settings_are_what_is_rendered(workspace, tmp_path):
    """Against SciPy's filters from the numbers that were typed in."""
    infer(workspace, tmp_path / "m.wav")
    tree = load_settings_json(tmp_path / "m.wav.json")
    tree["eq"]["bands"] = [{"freq_hz": 200, "gain_db": -4, "q": 0.8}, {"freq_hz": 3000.0, "gain_db": 3.5, "q": 2.0}]
    (tmp_path / "mine.json").write_text(json.dumps(tree))
    out = infer(workspace, tmp_path / "n.wav", "--settings", tmp_path / "mine.json", "--bypass", "residual", *PLAIN)
    expected = samples(workspace / "track.wav")
    for freq_hz, gain_db, q in ((200.0, -4.0, 0.8), (3000.0, 3.5, 2.0)):
        expected = sosfilt(peaking_sos(freq_hz, gain_db, q, 44_100)[None], expected, axis=0)
    assert peak_error_db(samples(out), expected) <= -110.0


def test_settings_without_their_network_report_the_omitted_residual(workspace, tmp_path, capsys):
    infer(workspace, tmp_path / "m.wav")
    for phase in (None, "1a"):
        capsys.readouterr()
        infer(workspace, tmp_path / "n.wav", "--settings", tmp_path / "m.wav.json", "--force", *PLAIN, phase=phase)
        printed = capsys.readouterr().out
        assert "residual is left out" in printed
        assert "settings of m.wav.json" in printed


def test_scaling_a_residual_that_settings_do_not_have_is_an_error(workspace, tmp_path, capsys):
    infer(workspace, tmp_path / "m.wav", phase="1a")
    for options in (["--residual-amount", "0.5"], ["--solo", "residual"]):
        options = ["--settings", tmp_path / "m.wav.json", *options]
        out = infer(workspace, tmp_path / "n.wav", *options, phase="1b", code=2)
        assert not out.exists()
        assert "has no effect: the settings are those of phase 1a, which has no residual." in capsys.readouterr().err


def test_a_processor_that_is_set_and_still_neutral_is_reported(workspace, tmp_path, capsys):
    infer(workspace, tmp_path / "m.wav", "--set", "compressor.attack_ms=5", phase="1a")
    remark = "--set compressor changes nothing: the compressor is neutral. Also set its ratio or makeup_db."
    assert remark in capsys.readouterr().out.replace("\n", " ")
    infer(workspace, tmp_path / "m.wav", "--set", "compressor.ratio=1", "--force", phase="1a")
    assert "changes nothing" not in capsys.readouterr().out


def test_a_track_without_a_loudness_prints_no_infinities(workspace, tmp_path, capsys):
    """Silence, whose settings are of no interest, and 20 samples."""
    write_audio(tmp_path / "silence.wav", np.zeros((22_050, 2)))
    write_audio(tmp_path / "short.wav", np.full((20, 2), 0.1))
    printed = {}
    for name in ("silence", "short"):
        assert main(["infer", str(tmp_path / f"{name}.wav"), "--ckpt", str(workspace / "1a")]) == 0
        printed[name] = capsys.readouterr().out.replace("\n", " ")
        assert "-inf" not in printed[name]
    assert "NOT MEASURED: the track is silent The track is silent, and so is the master." in printed["silence"]
    assert "Hz" not in printed["silence"]
    assert "Input: no loudness, −" in printed["short"]
    assert "never above −70 LUFS), so it is delivered without gain." in printed["short"]


@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_an_export_read_back_renders_the_same(workspace, tmp_path, suffix):
    export = tmp_path / f"eq{suffix}"
    first = infer(workspace, tmp_path / "m.wav", "--export", export, *PLAIN, phase="1a")
    bands = load_settings_json(tmp_path / "m.wav.json")["rendered_eq"]["bands"]
    result = READERS[suffix](export.read_text())
    np.testing.assert_allclose(np.asarray(result.gain_db)[0], [band["gain_db"] for band in bands], atol=1e-4)
    again = infer(workspace, tmp_path / "n.wav", "--settings", export, *PLAIN, phase=None)
    assert peak_error_db(samples(again), samples(first)) <= -70.0  # the digits of the text


def test_band_amounts_and_bypass(workspace, tmp_path):
    infer(workspace, tmp_path / "m.wav", phase="1a")
    before = load_settings_json(tmp_path / "m.wav.json")["eq"]["bands"]
    infer(workspace, tmp_path / "n.wav", "--band", "2.gain_db=-1.5", "--eq-amount", "0.5", phase="1a")
    after = load_settings_json(tmp_path / "n.wav.json")["eq"]["bands"]
    expected = [0.5 * (-1.5 if i == 1 else band["gain_db"]) for i, band in enumerate(before)]
    assert [band["gain_db"] for band in after] == pytest.approx(expected, abs=1e-5)
    out = infer(workspace, tmp_path / "o.wav", "--bypass", "eq", "--bypass", "residual", *PLAIN)
    np.testing.assert_array_equal(samples(out), samples(workspace / "track.wav"))
    half = infer(workspace, tmp_path / "p.wav", "--bypass", "eq", "--residual-amount", "0.5", *PLAIN)
    whole = infer(workspace, tmp_path / "q.wav", "--bypass", "eq", *PLAIN)
    track = samples(workspace / "track.wav")
    assert peak_error_db(2.0 * (samples(half) - track), samples(whole) - track) <= -90.0


def test_a_bypassed_eq_is_reported_instead_of_bands_of_0_db(workspace, tmp_path, capsys):
    infer(workspace, tmp_path / "m.wav", "--bypass", "eq")
    printed = capsys.readouterr().out
    assert "the EQ is bypassed" in printed
    assert "0.00 dB" not in printed


def test_further_files(workspace, tmp_path):
    names = {"plot": "p.png", "export": "e.rpl", "report": "r.html", "null-test": "n.wav"}
    paths = {name: tmp_path / file for name, file in names.items()}
    arguments = [argument for name, path in paths.items() for argument in (f"--{name}", path)]
    out = infer(workspace, tmp_path / "m.wav", "--deliver", "streaming,cd", *arguments, code=3)
    assert not out.exists()
    assert paths["plot"].read_bytes().startswith(b"\x89PNG")
    assert "track.wav" in paths["export"].read_text()
    page = paths["report"].read_text()
    assert re.search(r"<footer.*EQ and residual \(1b\), checkpoint [0-9a-f]+, step 7.*</footer>", page, re.DOTALL)
    for name in ("streaming", "cd"):
        assert re.search(rf"{name}: (PASS|FAIL)", page)
    assert page.count("<audio") >= 2
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    track, master, null = (
        samples(p) for p in (workspace / "track.wav", tmp_path / "m-streaming.wav", paths["null-test"])
    )
    gain = np.sum(track * master) / np.sum(master**2)
    assert peak_error_db(null, gain * master - track) <= -90.0


def test_names_with_markup_or_undecodable_bytes(workspace, tmp_path, capsys):
    track = tmp_path / "[red]a<b>&.wav"
    track.write_bytes((workspace / "track.wav").read_bytes())
    assert main(["infer", str(track), "--ckpt", str(workspace / "1a"), "--report", str(tmp_path / "r.html")]) == 0
    assert "[red]a<b>&-mastered.wav" in capsys.readouterr().out
    assert "a<b>" not in (tmp_path / "r.html").read_text()
    odd = tmp_path / b"a\xff.wav".decode(errors="surrogateescape")
    for arguments in (["-o", str(odd)], ["--report", str(odd.with_suffix(".html"))], ["--plot", str(odd) + ".png"]):
        infer(workspace, tmp_path / "m.wav", "--force", *arguments, code=None)
        captured = capsys.readouterr()
        (captured.out + captured.err).encode()  # what a terminal takes


INVALID_ARGUMENTS = [  # one for each source of errors; the others are in test_parser.py and mastering/test_request.py
    (["--eq-amount", "half"], ["--eq-amount", "'half'"]),
    (["--band", "9.gain_db=1"], ["no band 9", "the last one is 5"]),
    (["--band", "1.gain_db=99"], ["99", "24"]),
    (["--settings", "track.wav"], ["'track.wav'", "settings"]),
    (["--model", "1z"], ["--ckpt and --model"]),
    (["--workers", "2"], ["many tracks"]),
    (["--export", "eq.wav"], ["'eq.wav'", "--export", ".csv"]),
    (["--report", "r.pdf"], ["'r.pdf'", "--report", ".html"]),
    (["--report-seconds", "10"], ["--report-seconds has no effect without --report"]),
    (["--report", "r.html", "--report-seconds", "long"], ["--report-seconds", "number or whole"]),
    (["--null-test", "n.flac"], ["'n.flac'", "--null-test", ".wav"]),
    (["--null-test", "m.wav"], ["'m.wav'", "another file of this run"]),
    (["--export", "m.csv", "--settings", "m.csv"], ["'m.csv'"]),
    (["--bypass", "eq", "--eq-amount", "0.5"], ["--eq-amount", "no effect"]),
]


@pytest.mark.parametrize(("words", "said"), INVALID_ARGUMENTS, ids=[" ".join(words) for words, _ in INVALID_ARGUMENTS])
def test_invalid_arguments_are_reported_in_one_sentence(workspace, words, said, capsys, monkeypatch):
    monkeypatch.chdir(workspace)
    before = sorted(workspace.rglob("*"))
    infer(workspace, "m.wav", *words, code=2)
    captured = capsys.readouterr()
    assert captured.err.startswith("nmjax: ")
    assert captured.err.count("\n") == 1
    assert all(phrase in captured.err for phrase in said), captured.err
    assert captured.out == ""
    assert sorted(workspace.rglob("*")) == before


def test_missing_weights_name_the_option_to_use(workspace, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("nmjax.mastering.pretrained._WEIGHTS_FOLDER", tmp_path / "absent")
    infer(workspace, tmp_path / "m.wav", phase=None, code=2)
    assert "--ckpt" in capsys.readouterr().err
    monkeypatch.setattr("nmjax.mastering.pretrained._WEIGHTS_FOLDER", workspace)  # as if these came with it
    infer(workspace, tmp_path / "m.wav", phase=None)
    infer(workspace, tmp_path / "n.wav", "--model", "1b", phase=None)
    assert load_settings_json(tmp_path / "n.wav.json")["model"]["phase"] == "1b"
    infer(workspace, tmp_path / "o.wav", "--model", "9", phase=None, code=2)
    assert "there are: 1a, 1b" in capsys.readouterr().err
