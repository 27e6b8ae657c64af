"""Styles, references and target files: matched as the command line does it, played, stored, removed, undone."""

import json

import numpy as np
import pytest
import soundfile

from nmjax.cli.main import main
from nmjax.reference.styles import STYLE_NAMES, style_file
from nmjax.studio import work
from tests.studio.helpers import audio, running_studio, wait_for
from tests.synthetic_audio import music, write_audio

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bright(tmp_path_factory):
    """Five seconds of noise that rises, at another rate and in mono."""
    noise = np.diff(music(5.0, 48_000, 1, seed=5), axis=0, prepend=0.0)
    return write_audio(tmp_path_factory.mktemp("reference") / "bright.flac", 0.2 * noise / np.abs(noise).max(), 48_000)


@pytest.fixture(scope="module")
def dark(tmp_path_factory):
    """Seven seconds of noise that falls, in stereo."""
    noise = np.cumsum(music(7.0, 44_100, 2, seed=6), axis=0)
    noise -= np.linspace(noise[0], noise[-1], len(noise))
    return write_audio(tmp_path_factory.mktemp("reference") / "dark.wav", 0.2 * noise / np.abs(noise).max())


def add_reference(client, path, name="bright.flac"):
    """The job that read a reference, after which the track is matched to it."""
    job = client.json("POST", f"{client.url}/references?name={name}", path.read_bytes(), 202)
    finished = client.finished_job(job["id"])
    wait_for(lambda: track_of(client)["status"] == "ready")
    return finished


def track_of(client):
    return client.json("GET", client.url)


def patch(client, status=200, **changes):
    """The track after a change and what it asks for."""
    reply = client.json("PATCH", f"{client.url}/state", changes, status)
    wait_for(lambda: track_of(client)["status"] == "ready")
    return track_of(client) if status == 200 else reply


def tilt_db(client):
    curves = client.json("GET", f"{client.url}/curves")
    total, freq_hz = np.array(curves["total"]), np.array(curves["freq_hz"])
    return total[freq_hz > 4_000].mean() - total[freq_hz < 300].mean()


def settings_of(client):
    return json.loads(client.request("GET", f"{client.url}/settings.json")[2])


def command_line_settings(song, folder, *options):
    """The settings that `nmjax infer` writes beside a master with these options."""
    out = folder / "master.wav"
    assert main(["infer", str(song), "-o", str(out), "--quiet", "--force", *options]) == 0
    return json.loads((folder / "master.wav.json").read_text())


def test_a_reference_moves_the_tone_and_can_be_played(tmp_path, song, bright):
    with running_studio(tmp_path) as client:
        client.url = f"/api/tracks/{client.ready_track(song, song.name)}"
        before, state = tilt_db(client), track_of(client)["state"]
        job = add_reference(client, bright)
        assert job["state"] == "done", job
        track = track_of(client)
        (reference,) = track["references"]
        assert (reference["name"], reference["is_music"]) == ("bright.flac", True)
        assert track["state"]["references"] == [{"id": reference["id"], "weight": 1.0, "section": None}]
        assert track["status"] == "ready" and track["state"]["model"] == "2"
        after = tilt_db(client)
        assert after > before + 3.0
        assert "bright.flac" in settings_of(client)["reference"]

        piece, headers = audio(client, client.url, "reference", 0, 100_000, loudness="delivered")
        assert piece.shape == (100_000, 2) and headers["x-sample-rate"] == "44100"
        again, _ = audio(client, client.url, "reference", round(5.0 * 44_100), 1_000, loudness="delivered")
        assert np.abs(again - piece[:1_000]).max() < 0.05 * np.abs(piece).max()

        expected = patch(client, reference_strength=0.3)["state"]
        assert before < tilt_db(client) < after - 1.0

    with running_studio(tmp_path) as client:  # after a restart
        client.url = f"/api/tracks/{client.json('GET', '/api/session')['tracks'][0]['id']}"
        wait_for(lambda: track_of(client)["status"] == "ready")
        assert track_of(client)["state"] == expected
        piece, _ = audio(client, client.url, "reference", 0, 1_000)
        assert np.abs(piece).max() > 0.0
        removed = patch(client, references=[])
        assert (removed["state"]["model"], removed["state"]["bands"]) == (state["model"], state["bands"])
        assert client.request("GET", f"{client.url}/audio?side=reference")[0] == 409
        client.json("POST", f"{client.url}/undo")
        wait_for(lambda: track_of(client)["status"] == "ready")
        assert track_of(client)["state"] == expected


def test_several_references_have_weights(tmp_path, song, bright, dark):
    """Two references give the settings that the command line gives, and each can be played."""
    with running_studio(tmp_path / "studio") as client:
        client.url = f"/api/tracks/{client.ready_track(song, song.name)}"
        assert add_reference(client, bright)["state"] == "done"
        bright_tilt = tilt_db(client)
        assert add_reference(client, dark, "dark.wav")["state"] == "done"
        track = track_of(client)
        first, second = (chosen["id"] for chosen in track["state"]["references"])
        assert [file["name"] for file in sorted(track["references"], key=lambda x: x["id"] != first)] == [
            "bright.flac",
            "dark.wav",
        ]
        both_tilt = tilt_db(client)
        assert both_tilt < bright_tilt - 1.0
        pieces = [audio(client, client.url, "reference", 0, 4_000, reference=x)[0] for x in (first, second)]
        assert np.abs(pieces[0] - pieces[1]).max() > 0.01

        references = [{"id": first, "weight": 1.0}, {"id": second, "weight": 0.25}]
        patch(client, references=references, reference_weights={"width": 0.5}, reference_strength=0.8)
        assert tilt_db(client) > both_tilt + 0.5
        expected = command_line_settings(
            song, tmp_path, "--reference", str(bright), "--reference", f"{dark}=0.25",
            "--reference-strength", "0.8", "--reference-weights", "width=0.5",
        )  # fmt: skip
        actual = settings_of(client)
        for name in ("eq", "eq_side", "compressor", "width", "reference", "residual_amount"):
            assert actual.get(name) == expected.get(name), name


def test_a_section_and_the_largest_boost_are_those_of_the_command_line(tmp_path, song, dark):
    with running_studio(tmp_path / "studio") as client:
        client.url = f"/api/tracks/{client.ready_track(song, song.name)}"
        assert add_reference(client, dark, "dark.wav")["state"] == "done"
        (chosen,) = track_of(client)["state"]["references"]
        whole_tilt = tilt_db(client)
        section = {"start": 1.0, "end": 5.0}
        patch(client, references=[{**chosen, "section": section}], max_boost=2.5)
        expected = command_line_settings(song, tmp_path, "--reference", f"{dark}@1-5", "--max-boost", "2.5")
        actual = settings_of(client)
        for name in ("eq", "eq_side", "compressor", "width", "reference"):
            assert actual.get(name) == expected.get(name), name
        assert tilt_db(client) != pytest.approx(whole_tilt, abs=0.05)
        piece, _ = audio(client, client.url, "reference", 0, 10_000, loudness="delivered")
        music_of_file, _ = soundfile.read(str(dark), start=44_100, frames=10_000)
        assert np.abs(piece - music_of_file).max() < 1e-4

        before = track_of(client)["state"]
        for bad, word in (
            ({"start": 1.0, "end": 3.0}, "at least 3 s"),
            ({"start": 4.0, "end": 99.0}, "must end by then"),
        ):
            reply = patch(client, 400, references=[{**chosen, "section": bad}])
            assert word in reply["error"] and "dark.wav" in reply["error"]
        assert track_of(client)["state"] == before


def test_references_that_come_together_are_matched_once(tmp_path, song, bright, dark, monkeypatch):
    matched = []
    match = work.match_reference
    monkeypatch.setattr(work, "match_reference", lambda *values: matched.append(values[2].name) or match(*values))
    with running_studio(tmp_path / "studio") as client:
        client.url = f"/api/tracks/{client.ready_track(song, song.name)}"
        paths = ((bright, "one.flac"), (dark, "two.wav"), (bright, "three.flac"))
        jobs = [client.json("POST", f"{client.url}/references?name={n}", p.read_bytes(), 202) for p, n in paths]
        assert [client.finished_job(job["id"])["state"] for job in jobs] == ["done"] * 3
        wait_for(lambda: track_of(client)["status"] == "ready")
        assert len(track_of(client)["state"]["references"]) == 3
        assert len(matched) <= 2 and matched[-1].count(",") == 2, matched  # a slow machine may begin one in between


def test_a_match_that_is_canceled_brings_the_settings_back(tmp_path, song, monkeypatch):
    with running_studio(tmp_path / "studio") as client:
        client.url = f"/api/tracks/{client.ready_track(song, song.name)}"
        before = track_of(client)["state"]
        client.json("PATCH", f"{client.url}/state", {"style": "warm"})
        job = next(x for x in client.json("GET", "/api/jobs") if x["state"] in ("queued", "running"))
        client.json("DELETE", f"/api/jobs/{job['id']}")
        wait_for(lambda: track_of(client)["status"] == "ready")
        assert track_of(client)["state"] == before
        client.json("POST", f"{client.url}/redo")
        wait_for(lambda: track_of(client)["status"] == "ready")
        assert track_of(client)["state"]["style"] == "warm"


def test_a_style_is_that_of_the_command_line_and_can_be_undone(tmp_path, song):
    with running_studio(tmp_path / "studio") as client:
        assert client.json("GET", "/api/session")["styles"] == list(STYLE_NAMES)
        client.url = f"/api/tracks/{client.ready_track(song, song.name)}"
        before = track_of(client)["state"]
        warm = patch(client, style="warm", same_song=True)["state"]
        assert warm["model"] == "2" and warm["bands"] != before["bands"]
        settings, expected = settings_of(client), command_line_settings(song, tmp_path, "--style", "warm")
        for name in ("eq", "eq_side", "compressor", "width", "reference"):
            assert settings.get(name) == expected.get(name), name
        bright_style = patch(client, style="bright")["state"]
        assert bright_style["bands"] != warm["bands"]
        client.json("POST", f"{client.url}/undo")
        assert track_of(client)["state"] == warm
        patch(client, style=None, same_song=False)
        assert track_of(client)["state"] == before


def test_a_target_file_is_a_reference_without_sound(tmp_path, song):
    with running_studio(tmp_path / "studio") as client:
        client.url = f"/api/tracks/{client.ready_track(song, song.name)}"
        assert add_reference(client, style_file("bright"), "mine.json")["state"] == "done"
        (reference,) = track_of(client)["references"]
        assert (reference["name"], reference["is_music"]) == ("mine.json", False)
        assert client.request("GET", f"{client.url}/audio?side=reference")[0] == 409
        target = tmp_path / "mine.json"
        target.write_bytes(style_file("bright").read_bytes())
        expected = command_line_settings(song, tmp_path, "--target", str(target))
        assert settings_of(client)["eq"] == expected["eq"]


def test_a_reference_that_cannot_be_used_changes_nothing(client, tmp_path):
    before = track_of(client)["state"]
    short = write_audio(tmp_path / "short.wav", music(1.0))
    silent = write_audio(tmp_path / "silent.wav", np.zeros((200_000, 2)))
    for path, word in ((short, "at least 3 s"), (silent, "silent")):
        job = add_reference(client, path, path.name)
        assert job["state"] == "failed" and word in job["message"]
    (tmp_path / "bad.wav").write_bytes(b"no audio" * 99)
    (tmp_path / "settings.json").write_text('{"format": "nmjax settings 1"}')
    for name in ("bad.wav", "settings.json"):
        job = add_reference(client, tmp_path / name, name)
        assert job["state"] == "failed" and name in job["message"] and str(tmp_path.root) not in job["message"]
    track = track_of(client)
    assert track["state"] == before and track["references"] == [] and track["status"] == "ready"
    assert list((client.studio.track(client.track).folder / "references").iterdir()) == []


def test_another_network_and_its_residual(client, song):
    """The bands of another network come as soon as it has analyzed the track; its residual can be bypassed."""
    for model in ("1c", "2-master"):
        patch(client, model=model)
        settings = settings_of(client)
        assert settings["model"]["phase"] == model.partition("-")[0]
        assert (track_of(client)["state"]["processors"]["width"] is not None) == (model == "2-master")
    frames = soundfile.info(str(song)).frames
    pieces = {}
    for bypass in ([], ["residual"]):
        reply = client.json("PATCH", f"{client.url}/state", {"bypass": bypass, "transient": True})
        pieces[bool(bypass)] = audio(client, client.url, "master", frames // 2, 9_000, revision=reply["revision"])[0]
    assert np.abs(pieces[True] - pieces[False]).max() > 1e-6
    client.json("PATCH", f"{client.url}/state", {"bypass": []})


def test_a_repair_is_switched_off_and_on(tmp_path):
    """A track with an offset is repaired by itself; without the repair the offset is back."""
    audio_data = music(20.0) + 0.05
    track = write_audio(tmp_path / "offset.wav", audio_data, subtype="FLOAT")
    with running_studio(tmp_path / "sessions") as client:
        client.url = f"/api/tracks/{client.ready_track(track, 'offset.wav')}"
        offsets = {}
        for repair in ("auto", "none", ["dc"]):
            patch(client, repair=repair, deliver={"lufs": "none"}, bypass=["eq"])
            piece, _ = audio(client, client.url, "master", 0, 20 * 44_100, loudness="delivered")
            offsets[str(repair)] = piece.mean()
        assert abs(offsets["auto"]) < 0.005 < 0.04 < abs(offsets["none"])
        assert abs(offsets["['dc']"]) < 0.005
        finding = next(x for x in track_of(client)["findings"] if x["name"] == "dc_offset")
        assert finding["repaired"] and finding["title"] == "DC offset"
