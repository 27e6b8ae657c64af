"""An album keeps the loudness of its tracks relative to each other."""

import numpy as np
import pyloudnorm
import pytest
import soundfile

from tests.studio.helpers import running_studio
from tests.synthetic_audio import music, write_audio

pytestmark = pytest.mark.slow


def test_relative_loudness(tmp_path):
    loud, quiet = music(6.0, seed=1), 0.4 * music(5.0, seed=2)  # 8 dB apart
    files = [write_audio(tmp_path / name, data) for name, data in (("loud.wav", loud), ("quiet.wav", quiet))]
    with running_studio(tmp_path / "sessions") as client:
        tracks = [client.ready_track(path, "same name.wav") for path in files]
        for track in tracks:
            client.json("PATCH", f"/api/tracks/{track}/state", {"bypass": ["eq"]})
        order = {"tracks": tracks, "deliver": ["streaming"], "album": True, "format": "wav", "bits": "float"}
        job = client.finished_job(client.json("POST", "/api/deliveries", order, 202)["id"])
        assert job["state"] == "done", job
        names = [file["name"] for file in job["result"]["files"] if file["name"].endswith(".wav")]
        assert names == ["same name-mastered.wav", "same name (2)-mastered.wav"]
        levels, delivered = {}, []
        for name, path in zip(names, files, strict=True):
            delivered.append(client.studio.session.deliveries / job["id"] / name)
            levels[name] = [
                pyloudnorm.Meter(44_100, filter_class="DeMan").integrated_loudness(soundfile.read(str(x))[0])
                for x in (path, delivered[-1])
            ]
        (loud_before, loud_after), (quiet_before, quiet_after) = levels.values()
        assert loud_after - quiet_after == pytest.approx(loud_before - quiet_before, abs=0.2)
        album = np.concatenate([soundfile.read(str(path))[0] for path in delivered])
        meter = pyloudnorm.Meter(44_100, filter_class="DeMan")
        assert meter.integrated_loudness(album) == pytest.approx(-14.0, abs=0.2)
        order["deliver"] = ["streaming", "cd"]
        failed = client.finished_job(client.json("POST", "/api/deliveries", order, 202)["id"])
        assert failed["state"] == "failed" and "one delivery" in failed["message"]
