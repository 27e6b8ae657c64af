"""`nmjax inspect`, `nmjax.inspect`, and the same findings at the head of `nmjax infer`."""

import json
import re

import numpy as np
import pytest
import soundfile

import nmjax
from nmjax.cli.main import main
from nmjax.runtime.errors import BadInputError
from tests.mastering.diagnosis.songs import RATE, song
from tests.random_networks import save_network
from tests.synthetic_audio import write_audio


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    """A clean track and one with an offset and an inverted channel."""
    root = tmp_path_factory.mktemp("inspect")
    audio = song(16.0)
    write_audio(root / "clean.wav", audio, subtype="PCM_24")
    write_audio(root / "bad.wav", audio * [1.0, -1.0] + 0.03, subtype="PCM_24")
    save_network("1a", root / "run")
    return root


def test_text_for_each_track(tracks, capsys):
    assert main(["inspect", str(tracks / "clean.wav"), str(tracks / "bad.wav")]) == 0
    clean, bad = capsys.readouterr().out.split(str(tracks / "bad.wav"))
    assert "No defects were found." in clean
    assert re.search(
        r"\nLoudness range [\d.]+ LU; peaks [\d.]+ dB above the loudness; tone beside the median song: bass", clean
    )
    assert "problem: The channels are out of phase" in bad
    assert "Invert the polarity of one channel, or reduce the stereo widener." in bad
    assert "3.0 % of full scale" in bad


def test_json_is_what_python_returns(tracks, capsys):
    assert main(["inspect", str(tracks / "bad.wav"), "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert tree["format"] == "nmjax inspect 2"
    (track,) = tree["tracks"]
    assert track["track"] == str(tracks / "bad.wav")
    assert track["findings"] == [finding.to_dict() for finding in nmjax.inspect(tracks / "bad.wav")]
    assert {"polarity", "dc_offset"} <= {finding["name"] for finding in track["findings"]}


def test_audio_in_memory(tracks):
    audio = np.round((song(8.0) * [1.0, -1.0] + 0.03) * 2**23) / 2**23
    from_memory, from_file = nmjax.inspect(audio, RATE), nmjax.inspect(tracks / "bad.wav")
    assert [finding.name for finding in from_memory] == [finding.name for finding in from_file]
    with pytest.raises(BadInputError, match="needs its sample rate"):
        nmjax.inspect(audio)
    with pytest.raises(BadInputError, match="has its own sample rate"):
        nmjax.inspect(tracks / "bad.wav", RATE)


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_bad_input_is_reported_before_any_work(tracks, capsys, more):
    (tracks / "text.wav").write_text("no audio")
    for name in ("text.wav", "missing.wav"):
        assert main(["inspect", str(tracks / "clean.wav"), str(tracks / name), *more]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert name in captured.err
    assert main(["inspect"]) == 2


def test_folders_and_tracks_that_turn_out_to_be_damaged(tracks, tmp_path, capsys):
    folder = tmp_path / "mixes"
    folder.mkdir()
    audio = song(4.0)
    write_audio(folder / "a.wav", audio, subtype="FLOAT")
    write_audio(folder / "c.wav", audio, subtype="FLOAT")
    audio[50_000] = np.nan
    soundfile.write(folder / "b.wav", audio, RATE, subtype="FLOAT")
    assert main(["inspect", str(folder), "--json"]) == 2
    captured = capsys.readouterr()
    assert [track["track"] for track in json.loads(captured.out)["tracks"]] == [
        str(folder / x) for x in ("a.wav", "c.wav")
    ]
    assert captured.err.count("b.wav") == 1


def test_what_infer_repairs_is_named(tracks, capsys):
    assert main(["inspect", str(tracks / "bad.wav")]) == 0
    assert "nmjax infer repairs an offset, the polarity of a channel." in capsys.readouterr().out


def test_infer_reports_the_same_findings(tracks, tmp_path, capsys):
    command = ["infer", str(tracks / "bad.wav"), "--ckpt", str(tracks / "run"), "--max-limiting", "20"]
    command += ["--repair", "none"]
    expected = nmjax.inspect(tracks / "bad.wav")
    assert main([*command, "-o", str(tmp_path / "a.wav"), "--json"]) in (0, 3)
    (track,) = json.loads(capsys.readouterr().out)["tracks"]
    assert track["findings"] == [finding.to_dict() for finding in expected]
    assert main([*command, "-o", str(tmp_path / "b.wav")]) in (0, 3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("problem: ")
