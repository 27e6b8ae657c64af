"""`infer.py` for one track: every option, what is printed and written, and what is refused."""

import json
import re

import numpy as np
import pytest
import soundfile
from scipy.signal import sosfilt

from nmjax.cli import main
from nmjax.inference.settings.exports import READERS
from tests.dsp.oracles import peaking_sos
from tests.inference.networks import saved, settings_of
from tests.inference.test_master import lufs
from tests.models.helpers import apart_db
from tests.music import music, write

PLAIN = ["--lufs", "none", "--true-peak", "none"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Runs of two phases and a track with few peaks."""
    root = tmp_path_factory.mktemp("command")
    for phase in ("1a", "1b"):
        saved(phase, root / phase)
    write(root / "track.wav", 0.3 * np.tanh(30.0 * music(3.2)), subtype="FLOAT")
    return root


def infer(place, out, *words, phase="1b", code=0):
    """Master the track as OUT; returns what was written."""
    ckpt = [] if phase is None else ["--ckpt", str(place / phase)]
    found = main(["infer", str(place / "track.wav"), *ckpt, "-o", str(out), *map(str, words)])
    assert found == code or (code is None and found in (0, 2))
    return out


def samples(path):
    return soundfile.read(str(path), always_2d=True)[0]


def test_it_prints_bands_verdict_and_files(place, tmp_path, capsys):
    out = infer(place, tmp_path / "m.wav")
    printed = capsys.readouterr().out
    for band in settings_of(tmp_path / "m.json")["eq"]["bands"]:
        assert f"{band['gain_db']:+.2f} dB" in printed
    (line,) = re.findall(r"^streaming: PASS +(\S+) LUFS +(\S+) dBTP .* 44100 Hz +0 clipped$", printed, re.MULTILINE)
    assert float(line[0]) == pytest.approx(lufs(out), abs=0.06)
    assert re.search(rf"^It was {lufs(place / 'track.wav'):.1f} LUFS", printed, re.MULTILINE)
    assert re.search(rf"^Master: +{re.escape(str(out))}$", printed, re.MULTILINE)
    assert re.search(rf"^Settings: +{re.escape(str(tmp_path / 'm.json'))}$", printed, re.MULTILINE)


def test_json_is_all_that_is_printed_and_says_what_was_measured(place, tmp_path, capsys):
    out = infer(place, tmp_path / "m.wav", "--json", "--deliver", "cd")
    captured = capsys.readouterr()
    tree = json.loads(captured.out)
    assert captured.err == ""
    assert tree["files"] == {"master": str(out), "settings": str(tmp_path / "m.json")}
    (made,) = tree["deliveries"]
    assert (made["name"], made["passed"]) == ("cd", False)  # more limiting than is allowed
    assert made["lufs"] == pytest.approx(lufs(out), abs=0.05)
    assert tree["before"]["lufs"] == pytest.approx(lufs(place / "track.wav"), abs=0.05)
    assert any("6 dB of limiting" in note for note in tree["notes"])


def test_quiet_says_nothing(place, tmp_path, capsys):
    infer(place, tmp_path / "m.wav", "--quiet")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    infer(place, tmp_path / "m.wav", "--quiet", code=2)
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "--force" in captured.err
    assert "track-mastered" not in captured.err


def test_force_overwrites_and_nothing_else_does(place, tmp_path, capsys):
    (tmp_path / "m.json").write_text("mine")
    infer(place, tmp_path / "m.wav", code=2)
    assert "'m.json' exists" in capsys.readouterr().err.replace(f"{tmp_path}/", "")
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]
    infer(place, tmp_path / "m.wav", "--force")
    assert settings_of(tmp_path / "m.json")["track"] == "track.wav"


def test_several_deliveries_are_several_files(place, tmp_path, capsys):
    infer(place, tmp_path / "m.flac", "--deliver", "streaming,cd", "--bits", "24")
    printed = capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m-cd.flac", "m-streaming.flac", "m.json"]
    assert lufs(tmp_path / "m-streaming.flac") == pytest.approx(-14.0, abs=0.1)
    assert soundfile.info(str(tmp_path / "m-cd.flac")).subtype == "PCM_24"
    assert re.search("^streaming: PASS", printed, re.MULTILINE)
    (found,) = re.findall(r"^cd: FAIL +(\S+) LUFS .* below -9 LUFS\)$", printed, re.MULTILINE)
    assert lufs(tmp_path / "m-cd.flac") == pytest.approx(float(found), abs=0.06)
    assert set(settings_of(tmp_path / "m.json")["delivery"]) == {"streaming", "cd"}


def test_another_loudness_and_ceiling_are_no_longer_the_standard(place, tmp_path, capsys):
    out = infer(place, tmp_path / "m.wav", "--lufs", "-17.5", "--true-peak", "-3")
    assert "custom: PASS" in capsys.readouterr().out
    assert lufs(out) == pytest.approx(-17.5, abs=0.1)


def test_edited_settings_are_what_is_rendered(place, tmp_path):
    """Against SciPy's filters from the numbers that were typed in."""
    infer(place, tmp_path / "m.wav")
    tree = settings_of(tmp_path / "m.json")
    tree["eq"]["bands"] = [{"freq_hz": 200, "gain_db": -4, "q": 0.8}, {"freq_hz": 3000.0, "gain_db": 3.5, "q": 2.0}]
    (tmp_path / "mine.json").write_text(json.dumps(tree))
    out = infer(place, tmp_path / "n.wav", "--settings", tmp_path / "mine.json", "--bypass", "residual", *PLAIN)
    wanted = samples(place / "track.wav")
    for freq_hz, gain_db, q in ((200.0, -4.0, 0.8), (3000.0, 3.5, 2.0)):
        wanted = sosfilt(peaking_sos(freq_hz, gain_db, q, 44_100)[None], wanted, axis=0)
    assert apart_db(samples(out), wanted) <= -110.0


def test_settings_without_a_network_or_with_another_say_that_the_residual_is_left_out(place, tmp_path, capsys):
    infer(place, tmp_path / "m.wav")
    for phase in (None, "1a"):
        capsys.readouterr()
        infer(place, tmp_path / "n.wav", "--settings", tmp_path / "m.json", "--force", *PLAIN, phase=phase)
        printed = capsys.readouterr().out
        assert "residual is left out" in printed
        assert "settings of m.json" in printed


@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_an_export_read_back_renders_the_same(place, tmp_path, suffix):
    export = tmp_path / f"eq{suffix}"
    first = infer(place, tmp_path / "m.wav", "--export", export, *PLAIN, phase="1a")
    bands = settings_of(tmp_path / "m.json")["eq_as_rendered"]["bands"]
    found = READERS[suffix](export.read_text())
    np.testing.assert_allclose(np.asarray(found.gain_db)[0], [band["gain_db"] for band in bands], atol=1e-4)
    again = infer(place, tmp_path / "n.wav", "--settings", export, *PLAIN, phase=None)
    assert apart_db(samples(again), samples(first)) <= -70.0  # the digits of the text


def test_band_amounts_and_bypass(place, tmp_path):
    infer(place, tmp_path / "m.wav", phase="1a")
    before = settings_of(tmp_path / "m.json")["eq"]["bands"]
    infer(place, tmp_path / "n.wav", "--band", "2.gain_db=-1.5", "--eq-amount", "0.5", phase="1a")
    after = settings_of(tmp_path / "n.json")["eq"]["bands"]
    wanted = [0.5 * (-1.5 if i == 1 else band["gain_db"]) for i, band in enumerate(before)]
    assert [band["gain_db"] for band in after] == pytest.approx(wanted, abs=1e-5)
    out = infer(place, tmp_path / "o.wav", "--bypass", "eq", "--bypass", "residual", *PLAIN)
    np.testing.assert_array_equal(samples(out), samples(place / "track.wav"))
    half = infer(place, tmp_path / "p.wav", "--bypass", "eq", "--residual-amount", "0.5", *PLAIN)
    whole = infer(place, tmp_path / "q.wav", "--bypass", "eq", *PLAIN)
    track = samples(place / "track.wav")
    assert apart_db(2.0 * (samples(half) - track), samples(whole) - track) <= -90.0


def test_further_files(place, tmp_path):
    paths = {name: tmp_path / file for name, file in
             {"plot": "p.png", "export": "e.rpl", "report": "r.html", "null-test": "n.wav"}.items()}  # fmt: skip
    words = [word for name, path in paths.items() for word in (f"--{name}", path)]
    out = infer(place, tmp_path / "m.wav", "--deliver", "streaming,cd", *words)
    assert not out.exists()
    assert paths["plot"].read_bytes().startswith(b"\x89PNG")
    assert "track.wav" in paths["export"].read_text()
    page = paths["report"].read_text()
    assert "phase 1b" in page
    for name in ("streaming", "cd"):
        assert re.search(rf"{name}: (PASS|FAIL)", page)
    assert page.count("<audio") >= 2
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    track, master, null = (samples(p) for p in (place / "track.wav", tmp_path / "m-streaming.wav", paths["null-test"]))
    gain = np.sum(track * master) / np.sum(master**2)
    assert apart_db(null, gain * master - track) <= -90.0


def test_a_name_that_is_markup_or_no_text(place, tmp_path, capsys):
    track = tmp_path / "[red]a<b>&.wav"
    track.write_bytes((place / "track.wav").read_bytes())
    assert main(["infer", str(track), "--ckpt", str(place / "1a"), "--report", str(tmp_path / "r.html")]) == 0
    assert "[red]a<b>&-mastered.wav" in capsys.readouterr().out
    assert "a<b>" not in (tmp_path / "r.html").read_text()
    odd = tmp_path / b"a\xff.wav".decode(errors="surrogateescape")
    for words in (["-o", str(odd)], ["--report", str(odd.with_suffix(".html"))], ["--plot", str(odd) + ".png"]):
        infer(place, tmp_path / "m.wav", "--force", *words, code=None)
        captured = capsys.readouterr()
        (captured.out + captured.err).encode()  # what a terminal takes


REFUSED = [
    (["--band", "3gain=1"], ["'3gain=1'", "3.gain_db=-1"]),
    (["--band", "9.gain_db=1"], ["no band 9", "there are 5"]),
    (["--band", "1.gain=1"], ["'gain'", "gain_db"]),
    (["--band", "1.gain_db=99"], ["99", "24"]),
    (["--band", "1.gain_db=1", "--band", "1.gain_db=2"], ["two values"]),
    (["--band", "1.freq_hz=nan"], ["Band 1", "freq_hz"]),
    (["--bypass", "eqq"], ["'eqq'", "eq"]),
    (["--eq-amount", "half"], ["--eq-amount", "'half'"]),
    (["--eq-amount", "2.1"], ["2.1"]),
    (["--residual-amount", "-1"], ["-1"]),
    (["--lufs", "loud"], ["--lufs", "'loud'", "'none'"]),
    (["--lufs", "3"], ["3 LUFS", "-60 to 0"]),
    (["--lufs", "nan"], ["nan", "-60 to 0"]),
    (["--true-peak", "1"], ["1 dBTP", "-30 to 0"]),
    (["--max-limiting", "-1"], ["-1 dB", "0 to 30"]),
    (["--max-limiting", "much"], ["--max-limiting", "--help"]),
    (["--deliver", "radio"], ["'radio'", "streaming, cd, club"]),
    (["--deliver", "cd,cd"], ["'cd' twice"]),
    (["--deliver", "cd,club", "--lufs", "-9"], ["one delivery"]),
    (["--bits", "20"], ["--bits", "'20'", "24"]),
    (["--analyse-seconds", "1"], ["--analyse-seconds", "3 or more"]),
    (["--settings", "absent.json"], ["'absent.json'", "missing"]),
    (["--settings", "track.wav"], ["'track.wav'", "settings"]),
    (["--settings", ""], ["--settings", "nothing behind it"]),
    (["--solo="], ["--solo", "nothing behind it"]),
    (["--model", ""], ["--model", "nothing behind it"]),
    (["--model", "1z"], ["--ckpt and --model"]),
    (["--workers", "2"], ["many tracks"]),
    (["--workers", "0"], ["many tracks"]),
    (["--export", "eq.wav"], ["'eq.wav'", "--export", ".csv"]),
    (["--report", "r.pdf"], ["'r.pdf'", "--report", ".html"]),
    (["--null-test", "n.flac"], ["'n.flac'", "--null-test", ".wav"]),
    (["--null-test", "m.wav"], ["'m.wav'", "another file of this run"]),
    (["--export", "m.csv", "--settings", "m.csv"], ["'m.csv'"]),
]


@pytest.mark.parametrize(("words", "said"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_wrong_words_are_one_sentence(place, words, said, capsys, monkeypatch):
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    infer(place, "m.wav", *words, code=2)
    captured = capsys.readouterr()
    assert captured.err.startswith("nmjax: ")
    assert captured.err.count("\n") == 1
    assert all(word in captured.err for word in said), captured.err
    assert captured.out == ""
    assert sorted(place.rglob("*")) == before


def test_without_weights_a_sentence_names_the_way(place, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("nmjax.inference.weights._FOLDER", tmp_path / "absent")
    infer(place, tmp_path / "m.wav", phase=None, code=2)
    assert "--ckpt" in capsys.readouterr().err
    monkeypatch.setattr("nmjax.inference.weights._FOLDER", place)  # as if these came with it
    infer(place, tmp_path / "m.wav", phase=None)
    infer(place, tmp_path / "n.wav", "--model", "1b", phase=None)
    assert settings_of(tmp_path / "n.json")["model"]["phase"] == "1b"
    infer(place, tmp_path / "o.wav", "--model", "9", phase=None, code=2)
    assert "there are: 1a, 1b" in capsys.readouterr().err
