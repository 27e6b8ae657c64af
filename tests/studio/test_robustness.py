"""What goes wrong around a server: cut uploads, damaged files, full disks, two browsers, reloads, Ctrl-C."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from nmjax.studio import deliveries, uploads, work
from nmjax.studio.events import EventHub
from nmjax.studio.jobs import JobQueue
from nmjax.studio.session import open_session
from tests.studio.helpers import Client, running_studio, wait_for
from tests.synthetic_audio import music, write_audio

ROOT = Path(__file__).parents[2]


def folders(client):
    return list(client.studio.session.tracks.iterdir())


@pytest.fixture
def empty(tmp_path):
    with running_studio(tmp_path / "sessions") as client:
        yield client


def test_an_upload_that_is_cut_off_leaves_nothing(empty, song):
    data = song.read_bytes()
    with socket.create_connection(("127.0.0.1", empty.port), timeout=20) as connection:
        head = (
            f"POST /api/tracks?name=a.wav HTTP/1.1\r\nHost: 127.0.0.1:{empty.port}\r\nCookie: {empty.cookie}\r\n"
            f"Origin: http://127.0.0.1:{empty.port}\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        connection.sendall(head.encode() + data[: len(data) // 2])
        wait_for(lambda: any(path.is_file() for path in empty.studio.session.tracks.rglob("*")))
    wait_for(lambda: not folders(empty))
    assert empty.json("GET", "/api/session")["tracks"] == []


def test_an_upload_is_bounded(tmp_path, song):
    """Also where its length is not announced."""
    with running_studio(tmp_path, upload_limit_bytes=100_000) as client:
        reply = client.json("POST", "/api/tracks?name=a.wav", song.read_bytes(), 413)
        assert "--upload-limit" in reply["error"]
        parts = iter([song.read_bytes()[:60_000]] * 3)
        status, _, data = client.request("POST", "/api/tracks?name=a.wav", parts)
        assert status == 413, data
        assert not folders(client)


@pytest.mark.parametrize(
    ("name", "status"),
    [("song.exe", 415), ("", 415), ("wav", 415), ("../../evil.wav", 201), ("..%5C..%5Cevil.wav", 201), (".wav", 415)],
)
def test_names_of_uploads(empty, song, name, status):
    code, _, data = empty.request("POST", f"/api/tracks?name={name}", song.read_bytes()[:5000])
    assert code == status, data
    inside = [path for path in empty.studio.session.folder.rglob("*") if path.suffix == ".wav"]
    assert len(inside) == (status == 201)
    assert not list(empty.studio.session.folder.parent.parent.glob("*.wav"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/etc/passwd.wav", "passwd.wav"),
        ("C:\\Music\\a.WAV", "a.wav"),
        ("…/\u202egnp.mp3", "gnp.mp3"),
        ("a\x00b\n.flac", "ab.flac"),
        ("<script>alert(1)</script>.ogg", "script_.ogg"),
        ("..hidden.wav", "hidden.wav"),
        ("x" * 400 + ".wav", "x" * 100 + ".wav"),
        ("ä" * 150 + ".wav", "ä" * 100 + ".wav"),
        ("Ünïcode – mix (2) & more.aiff", "Ünïcode _ mix (2) & more.aiff"),
    ],
)
def test_safe_names(name, expected):
    assert uploads.safe_name(name) == expected


@pytest.mark.parametrize(
    "content", [b"", b"not audio at all" * 100, b"RIFF\xff\xff\xff\xffWAVEfmt ", b"ID3" + bytes(5000)]
)
def test_a_damaged_file_is_told_and_can_be_removed(empty, content):
    status, _, data = empty.request("POST", "/api/tracks?name=bad.wav", content)
    if not content:
        assert status == 400 and "“bad.wav” is empty" in json.loads(data)["error"]
        return
    track = json.loads(data)["id"]
    wait_for(lambda: empty.json("GET", f"/api/tracks/{track}")["status"] == "failed")
    brief = empty.json("GET", f"/api/tracks/{track}")
    assert "cannot be read" in brief["error"] or "damaged" in brief["error"] or "empty" in brief["error"]
    assert "“bad.wav”" in brief["error"] and "/" not in brief["error"]
    assert empty.request("GET", f"/api/tracks/{track}/audio?side=original")[0] == 400
    assert empty.request("PATCH", f"/api/tracks/{track}/state", {"intensity": 0.5})[0] == 400
    assert empty.request("DELETE", f"/api/tracks/{track}")[0] == 204
    assert not folders(empty)


def test_a_full_disk_before_an_upload(empty, song, monkeypatch):
    usage = type("Usage", (), {"free": 50_000_000})
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _: usage)
    reply = empty.json("POST", "/api/tracks?name=a.wav", song.read_bytes(), 507)
    assert "Free some space" in reply["error"] and not folders(empty)


def test_a_disk_that_fills_up(client, monkeypatch):
    """A delivery fails with a sentence and leaves nothing; another one works after that."""
    from nmjax.audio import writer

    encode = writer.encode_audio

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    order = {"tracks": [client.track], "format": "wav"}
    monkeypatch.setattr(writer, "encode_audio", fail)
    job = client.finished_job(client.json("POST", "/api/deliveries", order, 202)["id"])
    assert job["state"] == "failed" and "disk is full" in job["message"]
    assert not [path for path in client.studio.session.deliveries.rglob("*") if path.is_file()]
    monkeypatch.setattr(writer, "encode_audio", encode)
    assert client.finished_job(client.json("POST", "/api/deliveries", order, 202)["id"])["state"] == "done"


def test_a_job_that_fails_leaves_the_others_alone(client, monkeypatch):
    from nmjax.studio import deliveries

    deliver_track, calls = deliveries.deliver_track, []

    def fail_once(*arguments):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("an error that nobody expects")
        return deliver_track(*arguments)

    monkeypatch.setattr(deliveries, "deliver_track", fail_once)
    order = {"tracks": [client.track]}
    first = client.json("POST", "/api/deliveries", order, 202)["id"]
    assert client.finished_job(first)["state"] == "failed"
    second = client.json("POST", "/api/deliveries", order, 202)["id"]
    assert client.finished_job(second)["state"] == "done"
    assert client.json("GET", client.url)["status"] == "ready"


def test_a_delivery_is_canceled(client, monkeypatch):
    """It stops at its next chunk, and leaves no file."""
    started, canceled = threading.Event(), threading.Event()
    master = deliveries.master

    def slow_master(track, outputs, network, options, progress, *rest, **more):
        def slow_progress(stage, chunks):
            for chunk in progress(stage, chunks):
                started.set()
                canceled.wait(20)
                yield chunk

        return master(track, outputs, network, options, slow_progress, *rest, **more)

    monkeypatch.setattr(deliveries, "master", slow_master)
    job = client.json("POST", "/api/deliveries", {"tracks": [client.track]}, 202)
    assert started.wait(60)
    client.json("DELETE", f"/api/jobs/{job['id']}")
    canceled.set()
    assert client.finished_job(job["id"])["state"] == "canceled"
    folder = client.studio.session.deliveries / job["id"]
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert client.request("GET", f"/api/deliveries/{job['id']}/a song-mastered.wav".replace(" ", "%20"))[0] == 404


def read_events(client, stop_after, names=("track", "tracks", "job")):
    """The first events of a stream."""
    found = []
    with socket.create_connection(("127.0.0.1", client.port), timeout=120) as connection:
        head = f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nCookie: {client.cookie}\r\n\r\n"
        connection.sendall(head.encode())
        lines, name = connection.makefile("r", encoding="utf-8"), ""
        for line in lines:
            if line.startswith("event: "):
                name = line[7:].strip()
            elif line.startswith("data: ") and name in names:
                found.append((name, json.loads(line[6:])))
                if stop_after(found):
                    return found
    return found


def test_a_queued_job_is_canceled_at_once():
    queue, may_end = JobQueue(EventHub(), workers=1), threading.Event()
    first = queue.submit("delivery", None, lambda _: may_end.wait(30.0))
    second = queue.submit("delivery", None, lambda _: None)
    second.cancel()
    assert second.state == "canceled" and first.state != "canceled"
    may_end.set()
    queue.close()
    assert (first.state, second.state) == ("done", "canceled")


def test_nothing_is_delivered_while_a_style_is_matched(client, monkeypatch):
    may_match = threading.Event()
    match = work.match_reference
    monkeypatch.setattr(work, "match_reference", lambda *given: (may_match.wait(60.0), match(*given))[1])
    client.json("PATCH", f"{client.url}/state", {"style": "warm"})
    try:
        for method, path, body in (
            ("POST", "/api/deliveries", {"tracks": [client.track]}),
            ("GET", f"{client.url}/settings.json", None),
        ):
            assert "still being matched" in client.json(method, path, body, 400)["error"]
    finally:
        may_match.set()
    wait_for(lambda: client.json("GET", client.url)["status"] == "ready")
    settings = client.json("GET", f"{client.url}/settings.json")
    assert "warm" in json.dumps(settings["reference"])
    client.json("PATCH", f"{client.url}/state", {"style": None})
    wait_for(lambda: client.json("GET", client.url)["status"] == "ready")


def test_a_delivery_has_the_settings_of_its_order(client, song, monkeypatch):
    """Tracks may be changed meanwhile, but not removed."""
    other = client.ready_track(song, "other.wav")
    whole = client.json("GET", f"/api/tracks/{other}/settings.json")
    may_continue, deliver_track = threading.Event(), deliveries.deliver_track

    def wait_first(*given):
        may_continue.wait(60.0)
        return deliver_track(*given)

    monkeypatch.setattr(deliveries, "deliver_track", wait_first)
    job = client.json("POST", "/api/deliveries", {"tracks": [client.track, other]}, 202)
    try:
        client.json("PATCH", f"/api/tracks/{other}/state", {"bypass": ["eq"]})
        assert "is being delivered" in client.json("DELETE", f"/api/tracks/{other}", status=400)["error"]
    finally:
        may_continue.set()
    done = client.finished_job(job["id"])
    delivered = json.loads(client.request("GET", done["result"]["tracks"][1]["settings"]["url"])[2])
    assert delivered["eq"]["bands"] == whole["eq"]["bands"]
    assert client.request("DELETE", f"/api/tracks/{other}")[0] == 204


def test_two_browsers_on_one_session(client):
    """Each sees what the other does, and both may change settings at once."""
    second = Client(client.gate).enter()
    assert second.cookie == client.cookie
    events = []
    listener = threading.Thread(
        target=lambda: events.extend(read_events(second, lambda found: found[-1][0] == "track"))
    )
    listener.start()
    wait_for(lambda: len(client.studio.hub._subscribers) >= 1)
    revision = client.json("PATCH", f"{client.url}/state", {"intensity": 0.7})["revision"]
    listener.join(60)
    assert events[-1][1]["id"] == client.track and events[-1][1]["revision"] >= revision
    errors = []

    def drag(browser, band):
        for k in range(15):
            status, _, data = browser.request(
                "PATCH", f"{client.url}/state", {"bands": {band: {"gain_db": -k / 5}}, "transient": k < 14}
            )
            if status != 200:
                errors.append(data)

    threads = [threading.Thread(target=drag, args=pair) for pair in ((client, "0"), (second, "1"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bands = second.json("GET", client.url)["state"]["bands"]
    assert not errors
    assert bands[0]["gain_db"] == bands[1]["gain_db"] == pytest.approx(-2.8)


def test_a_reload_in_the_middle_of_a_delivery(client):
    """The page that comes back finds the job, follows it, and gets the file."""
    job = client.json("POST", "/api/deliveries", {"tracks": [client.track], "deliver": ["cd", "club"]}, 202)
    again = Client(client.gate).enter()
    assert job["id"] in [x["id"] for x in again.json("GET", "/api/jobs")]
    done = again.finished_job(job["id"])
    assert done["state"] == "done" and done["progress"] == 1.0
    assert again.request("GET", done["result"]["tracks"][0]["masters"][0]["url"])[0] == 200


def test_removing_a_track_in_the_middle_of_its_analysis(empty, song):
    track = empty.upload(song)
    assert empty.request("DELETE", f"/api/tracks/{track}")[0] == 204
    wait_for(lambda: all(job["state"] not in ("queued", "running") for job in empty.json("GET", "/api/jobs")))
    assert not folders(empty) and empty.json("GET", "/api/session")["tracks"] == []


def test_twenty_sessions(tmp_path):
    """Servers side by side take a session each; one that ends leaves its session to the next."""
    sessions = [open_session(root=tmp_path) for _ in range(20)]
    assert len({session.folder for session in sessions}) == 20
    sessions[7].close()
    again = open_session(root=tmp_path)
    assert again.folder == sessions[7].folder
    for session in [*sessions[:7], *sessions[8:], again]:
        session.close()


@pytest.mark.parametrize("damage", ["{", "[]", '{"steps": []}', '{"index": 5, "steps": [{}], "snapshots": {}}', "\x00"])
def test_damaged_documents_are_made_again(tmp_path, song, damage):
    with running_studio(tmp_path) as first:
        track = first.upload(song)
        folder = first.studio.session.tracks / track
    for name in ("history.json", "analysis.json"):
        (folder / name).write_text(damage)
    with running_studio(tmp_path) as second:
        wait_for(lambda: second.json("GET", f"/api/tracks/{track}")["status"] != "decoding")
        assert second.json("GET", "/api/session")["tracks"][0]["name"] == "song.wav"
        assert (folder / "history.damaged").is_file()


@pytest.mark.slow
def test_ctrl_c_with_jobs_under_way(tmp_path, song):
    """It ends within seconds with the exit code of an interruption; the next start has the track."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    long_song = write_audio(tmp_path / "long.wav", np.tile(music(30.0), (8, 1)))
    command = [sys.executable, "studio.py", "--no-browser", str(long_song), str(song)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    address = re.search(r"http://\S+", process.stdout.readline())[0]
    client = Client(type("Gate", (), {"address": address, "port": int(re.search(r":(\d+)/", address)[1])})).enter()
    wait_for(lambda: any(job["state"] == "running" for job in client.json("GET", "/api/jobs")))
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert time.monotonic() - begin < 20.0
    assert errors == "nmjax: stopped.\n"
    session = open_session(root=tmp_path / "nmjax" / "studio")
    assert len(list(session.tracks.iterdir())) == 2
    session.close()
