"""What the page plays: the delivered file, at equal loudness, as the command line makes it of the settings."""

import io
import json
from urllib.parse import quote

import numpy as np
import pyloudnorm
import pytest
import soundfile

from nmjax.cli.main import main
from tests.studio.helpers import audio, wait_for_master, whole_side


def error_db(actual, expected):
    return 20.0 * np.log10(np.abs(actual - expected).max() / np.abs(expected).max() + 1e-30)


def lufs(samples, rate=44_100):
    return pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(samples.astype(np.float64))


def frames_of(song):
    return soundfile.info(str(song)).frames


def run_command_line(client, song, folder, *options):
    """The samples that the command line makes of the saved settings."""
    settings = folder / "settings.json"
    settings.write_bytes(client.request("GET", f"{client.url}/settings.json")[2])
    out = folder / "out.wav"
    assert main(["infer", str(song), "--settings", str(settings), "-o", str(out), "--quiet", "--force", *options]) == 0
    return soundfile.read(str(out), always_2d=True)[0], out


CHANGE = {
    "bands": {"1": {"gain_db": 4.0, "freq_hz": 300.0}, "3": {"gain_db": -5.0}},
    "amounts": {"eq": 1.2},
    "processors": {
        "compressor": {"threshold_db": -30.0, "ratio": 3.0, "makeup_db": 3.0},
        "saturator": {"mix": 0.3},
        "width": {"high": 1.3},
    },
}


CHANGES = [pytest.param({}, id="suggestion"), pytest.param(CHANGE, id="all stages", marks=pytest.mark.slow)]


def test_the_original_is_the_file(client, song):
    expected = soundfile.read(str(song), always_2d=True, dtype="float32")[0]
    np.testing.assert_array_equal(whole_side(client, client.url, "original", frames_of(song)), expected)


@pytest.mark.parametrize("delivery", ["streaming", "cd"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_is_played_is_what_the_command_line_writes(fresh, song, tmp_path, change, delivery):
    fresh.json("PATCH", f"{fresh.url}/state", {**change, "deliver": {"name": delivery}})
    wait_for_master(fresh, fresh.url)
    played = whole_side(fresh, fresh.url, "master", frames_of(song), loudness="delivered")
    written, _ = run_command_line(fresh, song, tmp_path, "--deliver", delivery, "--bits", "float")
    assert error_db(played, written) <= -100.0
    original = soundfile.read(str(song), always_2d=True)[0]
    assert error_db(original, written) > -20.0


@pytest.mark.slow
def test_pieces_before_the_pass_has_ended(fresh, song, tmp_path):
    """Rendered live, with an estimated gain: the same sound but for that gain and the limiter's start."""
    reply = fresh.json("PATCH", f"{fresh.url}/state", {**CHANGE, "transient": True})  # no pass while a control moves
    start, frames = 120_000, 44_100
    live, headers = audio(fresh, fresh.url, "master", start, frames, revision=reply["revision"])
    assert headers["x-exact"] == "0"
    fresh.json("PATCH", f"{fresh.url}/state", CHANGE)
    wait_for_master(fresh, fresh.url)
    exact, headers = audio(fresh, fresh.url, "master", start, frames)
    assert headers["x-exact"] == "1"
    scale = float(np.sum(live * exact) / np.sum(live * live))
    assert abs(20.0 * np.log10(scale)) < 1.0
    assert error_db(scale * live, exact) < -30.0


@pytest.mark.parametrize("change", CHANGES)
def test_equal_loudness(fresh, song, change):
    if change:
        fresh.json("PATCH", f"{fresh.url}/state", change)
    wait_for_master(fresh, fresh.url)
    frames = frames_of(song)
    original = whole_side(fresh, fresh.url, "original", frames)
    master = whole_side(fresh, fresh.url, "master", frames)
    assert lufs(master) == pytest.approx(lufs(original), abs=0.1)
    delivered = whole_side(fresh, fresh.url, "master", frames, loudness="delivered")
    assert abs(lufs(delivered) - lufs(original)) > 3.0
    _, headers = audio(fresh, fresh.url, "master", 0, 1000)
    gain = np.float32(10.0 ** (float(headers["x-gain-db"]) / 20.0))
    assert error_db(master, delivered * gain) < -90.0


@pytest.mark.slow
def test_the_null_signal_is_what_changes(fresh, song):
    fresh.json("PATCH", f"{fresh.url}/state", CHANGE)
    wait_for_master(fresh, fresh.url)
    pieces = {side: audio(fresh, fresh.url, side, 50_000, 20_000)[0] for side in ("original", "master", "null")}
    np.testing.assert_allclose(pieces["null"], pieces["master"] - pieces["original"], atol=1e-7)
    assert np.abs(pieces["null"]).max() > 0.01


def test_nothing_is_left_where_everything_is_bypassed(fresh, song):
    change = {
        "bypass": ["eq", "compressor", "saturator", "width", "residual"],
        "deliver": {"lufs": "none", "true_peak": "none"},
    }
    fresh.json("PATCH", f"{fresh.url}/state", change)
    wait_for_master(fresh, fresh.url)
    assert np.abs(audio(fresh, fresh.url, "null", 50_000, 20_000)[0]).max() < 1e-7


@pytest.mark.slow
def test_a_delivery_is_the_file_of_the_command_line(fresh, song, tmp_path):
    fresh.json("PATCH", f"{fresh.url}/state", CHANGE)
    order = {"tracks": [fresh.track], "deliver": ["cd"], "format": "wav", "bits": "24", "report": True}
    job = fresh.finished_job(fresh.json("POST", "/api/deliveries", order, 202)["id"])
    assert job["state"] == "done", job
    (delivered,) = job["result"]["tracks"]
    (master,), settings, report = delivered["masters"], delivered["settings"], delivered["report"]
    assert master["passed"] and master["compliance"].startswith("PASS") and "LUFS" in master["compliance"]
    status, headers, data = fresh.request("GET", master["url"])
    assert status == 200 and len(data) == master["bytes"]
    assert (
        headers["content-disposition"].startswith("attachment")
        and quote("a song-mastered.wav") in headers["content-disposition"]
    )
    _, out = run_command_line(fresh, song, tmp_path, "--deliver", "cd", "--bits", "24")
    assert data == out.read_bytes()
    status, headers, page = fresh.request("GET", report["url"])
    assert status == 200 and b"<html" in page
    assert (
        "sandbox" in headers["content-security-policy"] and "default-src 'none'" in headers["content-security-policy"]
    )
    assert json.loads(fresh.request("GET", settings["url"])[2])["format"] == "nmjax settings 2"


def test_several_deliveries_at_once(fresh):
    order = {"tracks": [fresh.track], "deliver": ["streaming", "club"], "format": "flac"}
    job = fresh.finished_job(fresh.json("POST", "/api/deliveries", order, 202)["id"])
    (delivered,) = job["result"]["tracks"]
    assert [x["name"] for x in delivered["masters"]] == ["a song-mastered-streaming.flac", "a song-mastered-club.flac"]
    assert delivered["settings"]["name"] == "a song-mastered.flac.json" and delivered["report"] is None
    assert all("LUFS" in x["compliance"] for x in delivered["masters"])


def test_a_solo_is_played_but_not_delivered(fresh):
    """Delivered and saved settings have all stages that are on."""
    whole = fresh.json("GET", f"{fresh.url}/settings.json")
    fresh.json("PATCH", f"{fresh.url}/state", {"solo": "compressor"})
    assert fresh.json("GET", f"{fresh.url}/settings.json") == whole
    track = fresh.json("GET", fresh.url)
    assert track["state"]["solo"] == "compressor" and "No EQ" not in track["summary"][0]
    wait_for_master(fresh, fresh.url)
    played = audio(fresh, fresh.url, "master", 50_000, 20_000)[0]
    job = fresh.finished_job(
        fresh.json("POST", "/api/deliveries", {"tracks": [fresh.track], "bits": "float"}, 202)["id"]
    )
    url = job["result"]["tracks"][0]["masters"][0]["url"]
    delivered = soundfile.read(io.BytesIO(fresh.request("GET", url)[2]))[0][50_000:70_000]
    error = played - delivered * np.sqrt(np.mean(played**2) / np.mean(delivered**2))
    assert np.sqrt(np.mean(error**2)) > 0.01 * np.sqrt(np.mean(played**2))  # the EQ is missing in what is played
