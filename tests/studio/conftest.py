"""A studio with one track, shared by the tests of a module."""

import numpy as np
import pytest

from tests.studio.helpers import running_studio
from tests.synthetic_audio import music, write_audio

SECONDS, RATE = 6.3, 44_100


@pytest.fixture(scope="session")
def song(tmp_path_factory):
    """A quiet file with a few peaks, so that delivery needs gain and a limiter."""
    audio = (
        0.5
        * 0.15
        * np.tanh(10.0 * music(SECONDS, RATE))
        * (1.0 + 0.5 * np.sin(np.arange(round(SECONDS * RATE)) / 9e3))[:, None]
    )
    return write_audio(tmp_path_factory.mktemp("music") / "a song.wav", audio, RATE, "PCM_24")


@pytest.fixture(scope="module")
def client(tmp_path_factory, song):
    """A studio with the track."""
    with running_studio(tmp_path_factory.mktemp("sessions")) as running:
        running.track = running.ready_track(song, song.name)
        running.url = f"/api/tracks/{running.track}"
        yield running


@pytest.fixture
def fresh(client):
    """The same, with the suggestion as the settings and no delivery of its own."""
    client.json("POST", f"{client.url}/reset")
    client.json(
        "PATCH",
        f"{client.url}/state",
        {"deliver": {"name": "streaming", "lufs": None, "true_peak": None}, "repair": "auto"},
    )
    return client
