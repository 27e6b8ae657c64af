"""The requests of the page: settings with undo, snapshots and files, and what is drawn."""

import itertools
import json

import numpy as np
import pytest
import soundfile

from nmjax.mastering.pretrained import model_names
from tests.dsp.oracles import peaking_sos
from tests.studio.helpers import running_studio, wait_for, wait_for_master
from tests.synthetic_audio import write_audio


def state(client):
    return client.json("GET", client.url)["state"]


def patch(client, status=200, **changes):
    return client.json("PATCH", f"{client.url}/state", changes, status)


def test_the_session_tells_what_can_be_chosen(client):
    session = client.json("GET", "/api/session")
    assert [network["name"] for network in session["networks"]] == model_names()
    assert all(network["label"] and network["description"] for network in session["networks"])
    assert {preset["name"]: preset["lufs"] for preset in session["presets"]} == {"streaming": -14, "cd": -9, "club": -7}
    ratio = next(x for x in session["processors"][0]["settings"] if x["name"] == "ratio")
    assert ratio["low"] < ratio["neutral"] < ratio["high"] and ratio["step"] > 0
    assert session["tracks"][0]["name"] == "a song.wav"
    assert session["upload_limit_bytes"] == 2_000_000_000
    assert session["formats"] == ["wav", "aiff", "flac", "ogg", "opus", "mp3"]


def test_a_track_has_findings_levels_and_a_suggestion(client, song):
    track = client.json("GET", client.url)
    info = soundfile.info(str(song))
    assert (track["frames"], track["sample_rate"], track["channels"]) == (info.frames, 44_100, 2)
    assert track["status"] == "ready" and track["summary"]
    assert all(finding["title"] and finding["sentence"] for finding in track["findings"])
    assert track["suggestion"]["bands"] and not track["can_undo"] and track["references"] == []


def test_a_change_gives_a_higher_revision_and_can_be_undone(fresh):
    before = state(fresh)
    first = patch(fresh, bands={"2": {"gain_db": -3.5}})
    second = patch(fresh, bands={"2": {"q": 2.0}}, intensity=0.5)
    assert second["revision"] > first["revision"]
    assert second["state"]["bands"][2]["gain_db"] == -3.5 and second["state"]["bands"][2]["q"] == 2.0
    assert second["state"]["bands"][0]["gain_db"] == pytest.approx(0.5 * before["bands"][0]["gain_db"], abs=1e-6)
    undone = fresh.json("POST", f"{fresh.url}/undo")
    assert undone["state"] == first["state"] and undone["can_redo"] and undone["revision"] > second["revision"]
    assert fresh.json("POST", f"{fresh.url}/undo")["state"] == before
    fresh.json("POST", f"{fresh.url}/redo")
    assert fresh.json("POST", f"{fresh.url}/redo")["state"] == second["state"]
    assert not patch(fresh, intensity=1.0)["can_redo"]


def test_the_summary_claims_no_change_of_a_person(fresh):
    before = fresh.json("GET", fresh.url)["summary"][0]
    patch(fresh, bands={"0": {"gain_db": 3.0}})
    after = fresh.json("GET", fresh.url)["summary"][0]
    assert "network" in before or "similar music" in before
    assert "network" not in after and "similar music" not in after and "+" in after


def test_the_summary_of_silence_says_so(tmp_path):
    with running_studio(tmp_path / "sessions") as studio:
        track = studio.ready_track(write_audio(tmp_path / "silence.wav", np.zeros((44_100, 2))))
        (sentence,) = studio.json("GET", f"/api/tracks/{track}")["summary"]
    assert "silent" in sentence


def test_a_drag_is_one_step(fresh):
    before = state(fresh)
    for gain_db in (-1.0, -2.0, -3.0):
        patch(fresh, bands={"0": {"gain_db": gain_db}}, transient=True)
    reply = patch(fresh, bands={"0": {"gain_db": -4.0}})
    assert reply["state"]["bands"][0]["gain_db"] == -4.0
    assert fresh.json("POST", f"{fresh.url}/undo")["state"] == before


def test_reset_is_the_suggestion_and_can_be_undone(fresh):
    changed = patch(fresh, bypass=["eq"], amounts={"eq": 0.3}, processors={"width": {"high": 1.5}})["state"]
    track = fresh.json("GET", fresh.url)
    assert fresh.json("POST", f"{fresh.url}/reset")["state"] == track["suggestion"]
    assert fresh.json("POST", f"{fresh.url}/undo")["state"] == changed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"intensity": 2.1}, "choose 0 to 2"),
        ({"intensity": "loud"}, "number"),
        ({"intensity": True}, "number"),
        ({"bands": {"99": {"gain_db": 1}}}, "There is no band"),
        ({"bands": {"-1": {"gain_db": 1}}}, "There is no band"),
        ({"bands": {"0": {"gain_db": 99}}}, "choose -24 to 24 dB"),
        ({"bands": {"0": {"gain": 1}}}, "gain_db"),
        ({"bands": [1]}, "braces"),
        ({"processors": {"compressor": {"ratio": 1000}}}, "choose 0.5 to 100"),
        ({"processors": {"reverb": {}}}, "no processor"),
        ({"amounts": {"eq": 3}}, "choose 0 to 2"),
        ({"bypass": ["eqq"]}, "eqq"),
        ({"deliver": {"name": "vinyl"}}, "vinyl"),
        ({"deliver": {"lufs": "clean", "true_peak": "none"}}, "ceiling"),
        ({"model": "9"}, "no network"),
        ({"same_song": 1}, "same_song"),
        ({"base": "loaded:x"}, "no 'base'"),
        ({"model_before_target": "2"}, "no 'model_before_target'"),
        ({"style": "loud"}, "loud"),
        ({"references": [{"id": "0123456789abcdef"}]}, "no such reference"),
        ({"references": [{"id": "x", "weight": 0}]}, "weight"),
        ({"references": [{"id": "x"}, {"id": "x"}]}, "twice"),
        ({"style": "warm", "references": [{"id": "x"}]}, "choose one"),
        ({"side_bands": {"6": {"gain_db": 1}}}, "no side band"),
        ({"side_bands": {"0": {"gain_db": 99}}}, "choose -24 to 24 dB"),
        ({"tint": 1}, "no 'tint'"),
    ],
)
def test_what_is_not_allowed_changes_nothing(fresh, changes, words):
    before = fresh.json("GET", fresh.url)
    sentence = patch(fresh, 400, **changes)["error"]
    assert words in sentence and len(sentence.split()) <= 45
    after = fresh.json("GET", fresh.url)
    assert after["state"] == before["state"] and after["revision"] == before["revision"]


@pytest.mark.parametrize("body", ["", "{", "[1]", '{"intensity": NaN}', "\xff", "[" * 100_000, '"x"'])
def test_what_is_no_json(fresh, body):
    status, _, data = fresh.request("PATCH", f"{fresh.url}/state", body.encode("latin-1"))
    assert status == 400 and json.loads(data)["error"]


def test_a_band_of_the_side_is_added_drawn_saved_and_undone(fresh):
    before = state(fresh)
    changed = patch(fresh, side_bands={"1": {"freq_hz": 2_000.0, "gain_db": -4.0, "q": 1.0}})["state"]
    assert len(changed["side_bands"]) == max(2, len(before["side_bands"])) and changed["bands"] == before["bands"]
    assert changed["side_bands"][1] | {"gate": 1.0} == {"freq_hz": 2_000.0, "gain_db": -4.0, "q": 1.0, "gate": 1.0}
    curves = fresh.json("GET", f"{fresh.url}/curves")
    nearest = np.argmin(np.abs(np.array(curves["freq_hz"]) - 2_000.0))
    assert curves["side_total"][nearest] == pytest.approx(-4.0, abs=0.1)
    _, _, text = fresh.request("GET", f"{fresh.url}/settings.json")
    assert json.loads(text)["eq_side"]["bands"][1]["gain_db"] == -4.0
    fresh.json("PUT", f"{fresh.url}/settings.json", json.loads(text))
    assert state(fresh)["side_bands"] == changed["side_bands"]
    fresh.json("POST", f"{fresh.url}/undo")
    assert fresh.json("POST", f"{fresh.url}/undo")["state"] == before


def test_an_old_revision_is_not_played(fresh):
    revision = patch(fresh, intensity=0.9)["revision"]
    patch(fresh, intensity=0.8)
    status, _, data = fresh.request("GET", f"{fresh.url}/audio?side=master&revision={revision}&start=0&frames=100")
    assert status == 409 and json.loads(data)["revision"] > revision
    assert fresh.request("GET", f"{fresh.url}/audio?side=original&revision={revision}&start=0&frames=100")[0] == 200


def test_a_snapshot_has_no_name_of_dots(fresh):
    for name in (".", "..", " . "):
        assert "name" in fresh.json("POST", f"{fresh.url}/snapshots", {"name": name}, 400)["error"]


def test_a_movement_that_never_ends_is_finished(fresh, monkeypatch):
    monkeypatch.setattr("nmjax.studio.studio._TRANSIENT_LIMIT_S", 0.3)
    patch(fresh, intensity=0.7, transient=True)
    wait_for_master(fresh, fresh.url)
    assert state(fresh)["intensity"] == 0.7
    assert (
        json.loads((fresh.studio.track(fresh.track).folder / "history.json").read_text())["steps"][-1]["intensity"]
        == 0.7
    )


def test_snapshots(fresh):
    loud = patch(fresh, bands={"1": {"gain_db": 5.0}})["state"]
    fresh.json("POST", f"{fresh.url}/snapshots", {"name": "lauter / <b>1</b>"}, 201)
    patch(fresh, bands={"1": {"gain_db": -5.0}})
    name = "lauter%20%2F%20%3Cb%3E1%3C%2Fb%3E"
    assert fresh.json("GET", fresh.url)["snapshots"] == ["lauter / <b>1</b>"]
    assert fresh.json("POST", f"{fresh.url}/snapshots/{name}/restore")["state"] == loud
    fresh.json("POST", f"{fresh.url}/snapshots/other/restore", status=404)
    fresh.json("DELETE", f"{fresh.url}/snapshots/{name}")
    assert fresh.json("GET", fresh.url)["snapshots"] == []
    fresh.json("POST", f"{fresh.url}/snapshots", {"name": "x" * 200}, 400)


def test_settings_are_saved_and_loaded(fresh):
    patch(fresh, bands={"1": {"gain_db": 5.0}}, amounts={"eq": 0.5}, processors={"width": {"high": 1.25}})
    text = fresh.request("GET", f"{fresh.url}/settings.json")[2]
    tree = json.loads(text)
    assert tree["eq"]["bands"][1]["gain_db"] == 2.5 and tree["width"]["high"] == 1.25
    fresh.json("POST", f"{fresh.url}/reset")
    loaded = fresh.json("PUT", f"{fresh.url}/settings.json", tree)["state"]
    assert loaded["bands"][1]["gain_db"] == 2.5 and loaded["amounts"]["eq"] == 1.0
    again = json.loads(fresh.request("GET", f"{fresh.url}/settings.json")[2])
    assert again["eq"] == tree["eq"] and again["width"] == tree["width"] and again["z"] == tree["z"]
    fresh.json("PUT", f"{fresh.url}/settings.json", {**tree, "eq": {"bands": [{"freq_hz": -1}]}}, 400)
    fresh.json("POST", f"{fresh.url}/undo")


def test_curves_are_the_responses_of_the_filters(fresh):
    patch(fresh, bands={"0": {"freq_hz": 100.0, "gain_db": 6.0, "q": 2.0}}, amounts={"eq": 0.5})
    curves = fresh.json("GET", f"{fresh.url}/curves")
    freq_hz = np.array(curves["freq_hz"])
    b, a = np.split(peaking_sos(100.0, 3.0, 2.0, 44_100), 2)
    z = np.exp(-2j * np.pi * freq_hz / 44_100)
    expected = 20.0 * np.log10(np.abs(np.polyval(b[::-1], z) / np.polyval(a[::-1], z)))
    np.testing.assert_allclose(curves["bands"][0], expected, atol=0.02)
    np.testing.assert_allclose(np.sum(curves["bands"], axis=0), curves["total"], atol=0.05)
    np.testing.assert_allclose(
        np.array(curves["spectrum_before"]) + curves["total"], curves["spectrum_after"], atol=0.02
    )
    typical = {name: np.array(values) for name, values in curves["typical"].items()}
    assert (typical["low"] < typical["median"]).all() and (typical["median"] < typical["high"]).all()
    assert curves["compressor"] is None
    patch(fresh, processors={"compressor": {"ratio": 4.0, "threshold_db": -30.0}, "saturator": {"mix": 0.5}})
    curves = fresh.json("GET", f"{fresh.url}/curves")
    assert curves["compressor"]["output_db"][-1] == pytest.approx(-30.0 + 30.0 / 4.0, abs=0.1)
    assert len(curves["saturator"]["input"]) == len(curves["saturator"]["output"])


@pytest.mark.slow
def test_meters_and_peaks(fresh, song):
    patch(fresh, processors={"compressor": {"ratio": 4.0, "threshold_db": -40.0}})
    wait_for_master(fresh, fresh.url)
    meters = fresh.json("GET", f"{fresh.url}/meters?side=master")
    count = len(meters["times_s"])
    assert count == 63 and len(meters["momentary"]) == len(meters["short_term"]) == count
    assert meters["integrated"] == pytest.approx(-14.0, abs=0.1) and meters["true_peak_db"] <= -1.0
    assert min(meters["compressor_gain_db"]) < -3.0 and max(meters["limiter_gain_db"]) <= 0.0
    samples = soundfile.read(str(song), always_2d=True, dtype="float32")[0]
    for columns, start, frames in ((10, 0, len(samples)), (50, 1000, 20_000), (7, 5, 30)):
        path = f"{fresh.url}/peaks?side=original&columns={columns}&start={start}&frames={frames}"
        peaks = np.frombuffer(fresh.request("GET", path)[2], "<f4").reshape(columns, 2)
        edges = start + np.arange(columns + 1) * frames // columns
        expected = [[samples[a:b].min(), samples[a:b].max()] for a, b in itertools.pairwise(edges)]
        tolerance = 0.0 if frames < 20_001 else 0.05  # a step of 256 frames may be shared
        np.testing.assert_allclose(peaks, expected, atol=tolerance)


@pytest.mark.parametrize("query", ["start=x", "frames=1e9999", "side=left", "loudness=x", "start=99999999999999999999"])
def test_numbers_of_a_query(client, query):
    status, _, data = client.request("GET", f"{client.url}/audio?{query}")
    assert status == 400 and json.loads(data)["error"]


def test_a_piece_is_bounded(client):
    status, headers, data = client.request("GET", f"{client.url}/audio?side=original&start=0&frames=999999999999")
    assert status == 200 and len(data) == 30 * 44_100 * 2 * 4 and headers["x-gain-db"] == "0.0000"


def test_what_does_not_exist(client):
    for method, path in (
        ("GET", "/api/tracks/none"),
        ("GET", f"{client.url}/nothing"),
        ("POST", f"{client.url}/explode"),
        ("GET", "/api/deliveries/none/x.wav"),
        ("DELETE", "/api/jobs/none"),
    ):
        status, _, data = client.request(method, path)
        assert status in (404, 405) and json.loads(data)["error"]


def test_tracks_come_back_in_the_order_of_their_arrival(tmp_path, song):
    names = [f"{i}.wav" for i in (3, 1, 4, 2, 5)]
    with running_studio(tmp_path) as first:
        for name in names:
            first.upload(song, name)
    with running_studio(tmp_path) as second:
        assert [track["name"] for track in second.json("GET", "/api/session")["tracks"]] == names


@pytest.mark.slow
def test_everything_is_found_again_after_a_restart(tmp_path, song):
    with running_studio(tmp_path) as first:
        first.url = f"/api/tracks/{first.ready_track(song, song.name)}"
        expected = patch(first, bands={"1": {"gain_db": 4.0}}, deliver={"name": "cd"})["state"]
        patch(first, bands={"1": {"gain_db": 5.0}})
        first.json("POST", f"{first.url}/snapshots", {"name": "five"}, 201)
        first.json("POST", f"{first.url}/undo")
        wait_for_master(first, first.url)
    assert not list(tmp_path.rglob("*.f32"))  # only what cannot be made again stays on disk
    with running_studio(tmp_path) as second:
        wait_for(lambda: second.json("GET", first.url)["status"] == "ready")
        track = second.json("GET", first.url)
        assert track["state"] == expected and track["snapshots"] == ["five"]
        assert track["can_undo"] and track["can_redo"] and track["findings"] is not None
        second.url = first.url
        assert second.json("POST", f"{second.url}/redo")["state"]["bands"][1]["gain_db"] == 5.0
        wait_for_master(second, second.url)
        second.request("DELETE", second.url)
        assert second.json("GET", "/api/session")["tracks"] == []
    assert not list(tmp_path.rglob("*.wav"))
