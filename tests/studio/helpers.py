"""A studio's server in a thread of the test, and a client that speaks plain HTTP."""

import contextlib
import http.client
import json
import threading
import time
from urllib.parse import quote

import numpy as np
import uvicorn

from nmjax.studio.security import Gate
from nmjax.studio.server import listen, make_app
from nmjax.studio.session import open_session
from nmjax.studio.studio import Studio


class Client:
    """Requests as the studio's own page sends them."""

    def __init__(self, gate):
        self.gate, self.port, self.cookie = gate, gate.port, ""

    def enter(self):
        """Open the address that the terminal shows."""
        path = self.gate.address.partition(str(self.port))[2]
        _, headers, _ = self.request("GET", path)
        self.cookie = headers["set-cookie"].partition(";")[0]
        return self

    def request(self, method, path, body=None, headers=None, timeout=300):
        """Status, headers in lower case, and body; headers that are None are not sent."""
        sent = {"Origin": f"http://127.0.0.1:{self.port}", "Cookie": self.cookie, **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            data = json.dumps(body) if isinstance(body, dict | list) else body
            connection.request(method, path, data, {name: value for name, value in sent.items() if value is not None})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()

    def json(self, method, path, body=None, status=200):
        """The JSON of a response with this status."""
        actual, _, data = self.request(method, path, body)
        assert actual == status, data
        return json.loads(data) if data else None

    def upload(self, path, name="song.wav"):
        """The id of a new track."""
        return self.json("POST", f"/api/tracks?name={quote(name)}", path.read_bytes(), 201)["id"]

    def ready_track(self, path, name="song.wav"):
        """The id of a new track that is analyzed."""
        track = self.upload(path, name)
        wait_for(lambda: self.json("GET", f"/api/tracks/{track}")["status"] in ("ready", "failed"))
        return track

    def finished_job(self, job_id):
        """A job that has ended."""

        def find():
            return next(job for job in self.json("GET", "/api/jobs") if job["id"] == job_id)

        wait_for(lambda: find()["state"] not in ("queued", "running"))
        return find()


def wait_for(condition, seconds=240.0):
    """Until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


@contextlib.contextmanager
def running_studio(root, new=False, **studio_options):
    """A client of a studio whose sessions are in a folder."""
    studio = Studio(open_session(new=new, root=root), **studio_options)
    listener = listen(0)
    gate = Gate(listener.getsockname()[1])
    config = uvicorn.Config(make_app(studio, gate), log_level="warning", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        client = Client(gate)
        client.studio = studio
        yield client.enter()
    finally:
        server.should_exit = True
        studio.hub.close_soon()
        thread.join()
        studio.close()
        listener.close()


def wait_for_master(client, url):
    """Until the pass over the whole track has ended for the current settings."""
    wait_for(lambda: not client.json("GET", f"{url}/meters?side=master")["pending"])


def audio(client, url, side, start, frames, **query):
    """A piece `[frames, channel]`, and the headers."""
    query = {"side": side, "start": start, "frames": frames, **query}
    status, headers, data = client.request("GET", f"{url}/audio?" + "&".join(f"{k}={v}" for k, v in query.items()))
    assert status == 200, data
    return np.frombuffer(data, "<f4").reshape(-1, int(headers["x-channels"])), headers


def whole_side(client, url, side, frames, pieces=(22_050, 9_999, 30_001), **query):
    """A side from its start, joined from pieces of different lengths."""
    parts, start = [], 0
    while start < frames:
        size = min(pieces[len(parts) % len(pieces)], frames - start)
        parts.append(audio(client, url, side, start, size, **query)[0])
        start += size
    return np.concatenate(parts)
