"""A reference as a third side: matched, played, stored and removed."""

import json

import numpy as np
import pytest
import soundfile

from tests.studio.helpers import audio, running_studio, wait_for
from tests.synthetic_audio import music, write_audio

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bright(tmp_path_factory):
    """Five seconds of noise that rises, at another rate and in mono."""
    noise = np.diff(music(5.0, 48_000, 1, seed=5), axis=0, prepend=0.0)
    return write_audio(tmp_path_factory.mktemp("reference") / "bright.flac", 0.2 * noise / np.abs(noise).max(), 48_000)


def add_reference(client, path, name="bright.flac"):
    job = client.json("POST", f"{client.url}/reference?name={name}", path.read_bytes(), 202)
    return client.finished_job(job["id"])


def tilt_db(client):
    curves = client.json("GET", f"{client.url}/curves")
    total, freq_hz = np.array(curves["total"]), np.array(curves["freq_hz"])
    return total[freq_hz > 4_000].mean() - total[freq_hz < 300].mean()


def test_a_reference_moves_the_tone_and_can_be_played(tmp_path, song, bright):
    with running_studio(tmp_path) as client:
        client.url = f"/api/tracks/{client.ready_track(song, song.name)}"
        before, state = tilt_db(client), client.json("GET", client.url)["state"]
        job = add_reference(client, bright)
        assert job["state"] == "done", job
        track = client.json("GET", client.url)
        assert track["reference"] == {"name": "bright.flac", "duration_s": pytest.approx(5.0, abs=0.01)}
        assert track["status"] == "ready" and track["state"]["model"] == "2"
        after = tilt_db(client)
        assert after > before + 3.0
        assert "bright.flac" in client.request("GET", f"{client.url}/settings.json")[2].decode()

        piece, headers = audio(client, client.url, "reference", 0, 100_000, loudness="delivered")
        assert piece.shape == (100_000, 2) and headers["x-sample-rate"] == "44100"
        again, _ = audio(client, client.url, "reference", round(5.0 * 44_100), 1_000, loudness="delivered")
        assert np.abs(again - piece[:1_000]).max() < 0.05 * np.abs(piece).max()

        client.json("PATCH", f"{client.url}/state", {"reference_strength": 0.3})
        wait_for(lambda: client.json("GET", client.url)["status"] == "ready")
        assert before < tilt_db(client) < after - 1.0
        expected = client.json("GET", client.url)["state"]

    with running_studio(tmp_path) as client:
        client.url = f"/api/tracks/{client.json('GET', '/api/session')['tracks'][0]['id']}"
        wait_for(lambda: client.json("GET", client.url)["status"] == "ready")
        track = client.json("GET", client.url)
        assert track["state"] == expected and track["reference"]["name"] == "bright.flac"
        assert client.request("DELETE", f"{client.url}/reference")[0] == 204
        wait_for(lambda: client.json("GET", client.url)["status"] == "ready")
        client.json("PATCH", f"{client.url}/state", {"model": state["model"]})
        wait_for(lambda: client.json("GET", client.url)["status"] == "ready")
        assert client.json("GET", client.url)["state"]["bands"] == state["bands"]
        assert client.request("GET", f"{client.url}/audio?side=reference")[0] == 400


def test_a_reference_that_cannot_be_used_changes_nothing(client, tmp_path):
    before = client.json("GET", client.url)["state"]
    short = write_audio(tmp_path / "short.wav", music(1.0))
    silent = write_audio(tmp_path / "silent.wav", np.zeros((200_000, 2)))
    for path, word in ((short, "at least 3 s"), (silent, "silent")):
        job = add_reference(client, path, path.name)
        assert job["state"] == "failed" and word in job["message"]
    (tmp_path / "bad.wav").write_bytes(b"no audio" * 99)
    assert add_reference(client, tmp_path / "bad.wav", "bad.wav")["state"] == "failed"
    track = client.json("GET", client.url)
    assert track["state"] == before and track["reference"] is None and track["status"] == "ready"


def test_another_network_and_its_residual(client, song):
    """The bands of another network come as soon as it has analyzed the track; its residual can be bypassed."""
    for model in ("2", "1b"):
        client.json("PATCH", f"{client.url}/state", {"model": model})
        wait_for(lambda: client.json("GET", client.url)["status"] == "ready")
        settings = json.loads(client.request("GET", f"{client.url}/settings.json")[2])
        assert settings["model"]["phase"] == model
        assert (client.json("GET", client.url)["state"]["processors"]["width"] is not None) == (model == "2")
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
            client.json(
                "PATCH", f"{client.url}/state", {"repair": repair, "deliver": {"lufs": "none"}, "bypass": ["eq"]}
            )
            wait_for(lambda: client.json("GET", client.url)["status"] == "ready")
            piece, _ = audio(client, client.url, "master", 0, 20 * 44_100, loudness="delivered")
            offsets[str(repair)] = piece.mean()
        assert abs(offsets["auto"]) < 0.005 < 0.04 < abs(offsets["none"])
        assert abs(offsets["['dc']"]) < 0.005
        finding = next(x for x in client.json("GET", client.url)["findings"] if x["name"] == "dc_offset")
        assert finding["repaired"] and finding["title"] == "DC offset"
