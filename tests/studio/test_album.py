"""An album keeps the loudness of its tracks relative to each other."""

import io
import zipfile

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
        names = [master["name"] for track in job["result"]["tracks"] for master in track["masters"]]
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
        assert any("whole album is at −14.0 LUFS" in note for note in job["result"]["notes"])
        archive = zipfile.ZipFile(io.BytesIO(client.request("GET", job["result"]["all_url"])[2]))
        assert {*names} < {*archive.namelist()} and archive.testzip() is None
        assert archive.read(names[0]) == delivered[0].read_bytes()


def test_several_deliveries_of_an_album(tmp_path):
    files = [write_audio(tmp_path / f"{seed}.wav", gain * music(5.0, seed=seed)) for seed, gain in ((1, 0.5), (2, 0.3))]
    with running_studio(tmp_path / "sessions") as client:
        tracks = [client.ready_track(path, path.name) for path in files]
        order = {"tracks": tracks, "deliver": ["streaming", "club"], "album": True, "bits": "float"}
        job = client.finished_job(client.json("POST", "/api/deliveries", order, 202)["id"])
        assert job["state"] == "done", job
        folder, meter = client.studio.session.deliveries / job["id"], pyloudnorm.Meter(44_100, filter_class="DeMan")
        for name, lufs in (("streaming", -14.0), ("club", -7.0)):
            masters = [soundfile.read(folder / f"{seed}-mastered-{name}.wav")[0] for seed in (1, 2)]
            loud, quiet = (meter.integrated_loudness(x) for x in masters)
            assert loud - quiet > 2.0
            note = next(note for note in job["result"]["notes"] if note.startswith(f"{name}: the whole album"))
            stated = float(note.split(" at ")[1].split()[0].replace("−", "-"))
            assert stated <= lufs + 0.05
            assert meter.integrated_loudness(np.concatenate(masters)) == pytest.approx(stated, abs=0.3)
