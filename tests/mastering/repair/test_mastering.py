"""Repairs in the whole path: files, settings that repeat them, Python, folders, albums, and what is refused."""

import json

import numpy as np
import pytest
import soundfile

import nmjax
from nmjax.cli.main import main
from nmjax.dsp.declip import declip_chunks
from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.mastering.repair import clip
from nmjax.mastering.repair.clip import ClipRepair
from nmjax.mastering.repair.plan import NO_REPAIRS, RepairPlan, mark_findings, unneeded_repair_notes
from nmjax.mastering.request import MasteringRequest
from nmjax.mastering.resolve import resolve_options
from nmjax.mastering.settings.file import settings_from_json
from nmjax.runtime.errors import BadInputError
from tests.mastering.diagnosis.songs import RATE, song
from tests.synthetic_audio import write_audio

FLAT = {"format": "nmjax settings 2", "eq": {"bands": []}}
PLAIN = ["--lufs", "none", "--true-peak", "none"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A song with an offset and inverted polarity, without a repair in its flat settings."""
    root = tmp_path_factory.mktemp("repair")
    clean = np.ascontiguousarray(song(16.0), np.float32)
    write_audio(root / "clean.wav", clean, subtype="FLOAT")
    write_audio(root / "track.wav", (clean + np.float32(0.03)) * np.float32([1.0, -1.0]), subtype="FLOAT")
    (root / "flat.json").write_text(json.dumps(FLAT))
    return root


def infer(workspace, track, out, *arguments, code=0):
    """The samples of a master without gain and limiter."""
    assert main(["infer", str(workspace / track), "-o", str(out), *PLAIN, *map(str, arguments)]) == code
    return soundfile.read(str(out), dtype="float32", always_2d=True)[0] if code == 0 else None


def test_a_master_is_repaired_and_its_settings_repeat_it(workspace, tmp_path, capsys):
    out = tmp_path / "a.wav"
    repaired = infer(workspace, "track.wav", out, "--eq-amount", 0, "--report", tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text().count(
        "The polarity of the right channel was inverted."
    ) == 2  # and no loss in mono
    printed = capsys.readouterr().out
    assert "Repaired: The polarity of the right channel was inverted." in printed
    assert "Repaired: The constant offset was subtracted (+3.00, -3.00 % of full scale)." in printed
    clean, _ = soundfile.read(str(workspace / "clean.wav"), dtype="float32")
    np.testing.assert_allclose(repaired, clean, atol=2e-4)
    settings = json.loads((tmp_path / "a.wav.json").read_text())
    assert settings["repair"]["polarity"] == {"invert": "right"}
    again = infer(workspace, "track.wav", tmp_path / "b.wav", "--settings", tmp_path / "a.wav.json")
    np.testing.assert_array_equal(again, repaired)
    part = infer(workspace, "track.wav", tmp_path / "c.wav", "--settings", tmp_path / "a.wav.json", "--repair", "dc")
    np.testing.assert_array_equal(part * np.float32([1.0, -1.0]), repaired)
    settings["repair"]["dc"]["offset"] = [0.0, 0.0]
    (tmp_path / "edited.json").write_text(json.dumps(settings))
    edited = infer(workspace, "track.wav", tmp_path / "d.wav", "--settings", tmp_path / "edited.json")
    np.testing.assert_allclose(edited - repaired, 0.03, atol=1e-4)


def test_clipped_peaks_are_restored_once_and_again_from_the_settings(workspace, tmp_path, capsys, monkeypatch):
    clean, _ = soundfile.read(str(workspace / "clean.wav"), dtype="float32")
    ceiling = np.quantile(np.abs(clean), 0.995)
    write_audio(workspace / "clipped.wav", np.clip(clean, -ceiling, ceiling), subtype="PCM_24")
    calls = []
    monkeypatch.setattr(clip, "declip_chunks", lambda *args: calls.append(args) or declip_chunks(*args))
    arguments = ("clipped.wav", tmp_path / "a.wav", "--bits", "float", "--model", "2")
    repaired = infer(workspace, *arguments, "--reference", workspace / "clean.wav", "--report", tmp_path / "a.html")
    assert "Repaired: Peaks cut off at " in capsys.readouterr().out
    assert len(calls) == 1
    settings = ("--settings", tmp_path / "a.wav.json", "--model", "2")
    again = infer(workspace, "clipped.wav", tmp_path / "b.wav", "--bits", "float", *settings)
    np.testing.assert_array_equal(again, repaired)


def test_nothing_is_repaired_without_a_defect_or_with_none(workspace, tmp_path, capsys):
    clean = infer(workspace, "clean.wav", tmp_path / "a.wav", "--eq-amount", 0, "--json")
    (track,) = json.loads(capsys.readouterr().out)["tracks"]
    assert all(finding["repaired"] == "" for finding in track["findings"])
    np.testing.assert_array_equal(clean, soundfile.read(str(workspace / "clean.wav"), dtype="float32")[0])
    assert "repair" not in json.loads((tmp_path / "a.wav.json").read_text())
    unrepaired = infer(workspace, "track.wav", tmp_path / "b.wav", "--eq-amount", 0, "--repair", "none", "--json")
    (track,) = json.loads(capsys.readouterr().out)["tracks"]
    assert {"polarity", "dc_offset"} <= {finding["name"] for finding in track["findings"]}
    np.testing.assert_array_equal(unrepaired, soundfile.read(str(workspace / "track.wav"), dtype="float32")[0])
    flat = infer(workspace, "track.wav", tmp_path / "c.wav", "--settings", workspace / "flat.json")
    np.testing.assert_array_equal(flat, unrepaired)


def test_the_levels_and_findings_of_the_input_are_those_before_the_repair(workspace, tmp_path, capsys):
    audio, _ = soundfile.read(str(workspace / "track.wav"), dtype="float32")
    infer(workspace, "track.wav", tmp_path / "a.wav", "--eq-amount", 0, "--json")
    (planned,) = json.loads(capsys.readouterr().out)["tracks"]
    infer(workspace, "track.wav", tmp_path / "b.wav", "--settings", tmp_path / "a.wav.json", "--json")
    (repeated,) = json.loads(capsys.readouterr().out)["tracks"]
    (inspected,) = (finding.to_dict() for finding in nmjax.inspect(audio, RATE) if finding.name == "dc_offset")
    for track in (planned, repeated):
        assert track["input"]["true_peak_db"] == pytest.approx(20.0 * np.log10(np.abs(audio).max()), abs=0.1)
        (delivery,) = track["deliveries"]
        assert delivery["true_peak_db"] < track["input"]["true_peak_db"] - 0.2  # the offset is gone
        finding = next(x for x in track["findings"] if x["name"] == "dc_offset")
        assert finding["value"] == inspected["value"] and finding["repaired"]
    infer(workspace, "track.wav", tmp_path / "c.wav", "--eq-amount", 0)
    assert "After repair: " in capsys.readouterr().out


def test_a_named_repair_that_is_not_needed_says_so(workspace, tmp_path, capsys):
    clean = infer(workspace, "clean.wav", tmp_path / "a.wav", "--eq-amount", 0, "--repair", "clip")
    message = "--repair clip changed nothing: the track has no defect that it repairs."
    assert capsys.readouterr().out.count(message) == 1
    np.testing.assert_array_equal(clean, soundfile.read(str(workspace / "clean.wav"), dtype="float32")[0])
    infer(workspace, "clean.wav", tmp_path / "b.wav", "--eq-amount", 0)
    assert "changed nothing" not in capsys.readouterr().out


def test_a_named_repair_that_cannot_undo_its_finding_says_so():
    clipping = Finding(
        name="clipping", value=5.0, unit="samples", severity=Severity.WARNING, sentence="", remedy="Turn it down."
    )
    (note,) = unneeded_repair_notes(["saturation"], RepairPlan(), [clipping])
    assert note == "--repair saturation changed nothing: it cannot undo the clipping of this track."
    plan = RepairPlan(clip=ClipRepair(positive=[0.5], negative=[None]))
    (marked,) = mark_findings([clipping], plan, ["auto"])
    (note,) = unneeded_repair_notes(["saturation"], plan, [marked])
    assert note == "--repair saturation changed nothing: another repair did its work."
    assert mark_findings([clipping], RepairPlan(), ["auto"])[0].remedy.endswith("Or add --repair auto,clip,saturation.")
    assert mark_findings([clipping], RepairPlan(), ["clip", "saturation"])[0].remedy == "Turn it down."


def test_python_gives_the_same_samples(workspace, tmp_path):
    audio, _ = soundfile.read(str(workspace / "track.wav"), dtype="float32")
    expected = infer(workspace, "track.wav", tmp_path / "a.wav", "--eq-amount", 0, "--repair", "polarity")
    result = nmjax.master(audio, RATE, eq_amount=0.0, lufs="none", true_peak="none", repair="polarity")
    np.testing.assert_array_equal(result.audio, expected)
    assert result.settings["repair"] == {"polarity": {"invert": "right"}}
    repaired = {finding.name: finding.repaired for finding in result.findings}
    assert repaired["polarity"]
    assert not repaired["dc_offset"]


@pytest.mark.parametrize("album", [False, True])
def test_many_tracks(workspace, tmp_path, capsys, album):
    tracks = [str(workspace / name) for name in ("clean.wav", "track.wav")]
    arguments = ["--lufs", "-20", "--album"] if album else PLAIN
    assert main(["infer", *tracks, "-o", str(tmp_path), "--eq-amount", "0", "--json", *arguments]) == 0
    clean, track = json.loads(capsys.readouterr().out)["tracks"]
    assert not any("Repaired" in note for note in clean["notes"])
    assert "Repaired: The polarity of the right channel was inverted." in track["notes"]
    assert set(track["settings"]["repair"]) == {"dc", "polarity"}
    masters = [soundfile.read(str(tmp_path / f"{x}-mastered.wav"))[0] for x in ("clean", "track")]
    np.testing.assert_allclose(masters[1], masters[0], atol=2e-3)


@pytest.mark.parametrize(
    ("repair", "message"),
    [
        ({"hum": {}}, "repair.hum has no 'frequency_hz'; add it."),
        ({"hmu": {}}, 'repair has an unknown key "hmu"; choose one of'),
        ({"hum": {"frequency_hz": 5, "harmonics": [1]}}, "repair.hum.frequency_hz is 5 Hz; choose 20 to 1000 Hz."),
        ({"hum": {"frequency_hz": 50, "harmonics": []}}, "repair.hum.harmonics is empty; give at least one number."),
        ({"hum": {"frequency_hz": 50, "harmonics": [1, 2.5]}}, "number 2 of repair.hum.harmonics is 2.5; give a whole"),
        ({"hum": {"frequency_hz": 50, "harmonics": 3}}, "repair.hum.harmonics is 3; give a list in brackets."),
        ({"delay": {"late": "center", "delay_ms": 1}}, "repair.delay.late is \"center\"; choose 'left' or 'right'."),
        ({"delay": {"late": "left", "delay_ms": 1, "ms": 2}}, 'repair.delay has an unknown key "ms"'),
        ({"polarity": True}, "repair.polarity is true; give keys in braces: invert."),
        ([], "repair is []; give keys in braces: clip, saturation, dc"),
    ],
)
def test_bad_values_in_a_file_are_refused(repair, message):
    with pytest.raises(BadInputError) as error:
        settings_from_json(json.dumps({**FLAT, "repair": repair}), "a.json")
    assert message in str(error.value)


def test_a_file_without_repairs_reads():
    assert settings_from_json(json.dumps(FLAT), "a.json").repairs == NO_REPAIRS
    text = json.dumps({**FLAT, "repair": {"hum": {"frequency_hz": 50, "harmonics": [1]}, "dc": None}})
    assert settings_from_json(text, "a.json").repairs.hum.bandwidth_hz == 0.5


@pytest.mark.parametrize(
    ("repair", "message"),
    [
        (("hmu",), "repair cannot be 'hmu'; choose one of: auto, none, clip, saturation, dc"),
        (("polarty",), "repair cannot be 'polarty'; did you mean 'polarity'?"),
        (("none", "hum"), "--repair takes auto, or none, or names of repairs; give 'none' alone."),
        ((), "--repair takes auto, or none, or names of repairs; give 'none' alone."),
        (("hum",), "--repair hum has no effect: the settings have no hum repair; leave it out."),
    ],
)
def test_bad_options_are_refused(repair, message):
    with pytest.raises(BadInputError) as error:
        resolve_options(MasteringRequest(repair=repair), settings=settings_from_json(json.dumps(FLAT), "a.json"))
    assert message in str(error.value)


def test_a_repair_that_is_stored_needs_no_folder_before_the_master(workspace, tmp_path):
    clean, _ = soundfile.read(str(workspace / "clean.wav"), dtype="float32")
    ceiling = np.quantile(np.abs(clean), 0.995)
    write_audio(tmp_path / "clipped.wav", np.clip(clean, -ceiling, ceiling), subtype="PCM_24")
    out = tmp_path / "new" / "deep" / "a.wav"
    infer(tmp_path, "clipped.wav", out)
    assert "clip" in json.loads((out.parent / "a.wav.json").read_text())["repair"]
