"""The measurement in a forked process equals that in this one, and a master does not depend on it."""

import json
import subprocess
import sys

import numpy as np
import pytest

from nmjax.audio import reader
from nmjax.mastering.analysis import SourceSignal
from nmjax.mastering.diagnosis.diagnosis import diagnose
from nmjax.mastering.diagnosis.inspection import scan_track
from nmjax.mastering.reference_features import features_from_file
from nmjax.mastering.references import at_model_level, read_excerpts
from tests.synthetic_audio import music, write_audio

SCRIPT = """
import json, sys
from pathlib import Path
from nmjax.mastering.early_scan import start_early_scans
scans = start_early_scans(loudness_first="first" in sys.argv, with_features="features" in sys.argv)
path = Path(sys.argv[1])
scans.request(path)
first, for_match = scans.wait_for_loudness(path), scans.wait_for_features(path)
chunks = []
def watch(silence):
    for chunk in silence:
        chunks.append(chunk)
        yield chunk
measurements = scans.wait(path, watch)
frames = sum(map(len, chunks))
if measurements is None:
    print("null")
else:
    loudness, statistics, features, excerpts = measurements
    from nmjax.mastering.diagnosis.diagnosis import diagnose
    from nmjax.mastering.diagnosis.inspection import loudness_measures
    findings = diagnose(statistics, loudness_measures(loudness), 16)
    values = [[finding.name, finding.value] for finding in findings]
    assert (first is not None) == ("first" in sys.argv) and (features is not None) == ("features" in sys.argv)
    assert first is None or (first.scan.lufs == loudness.lufs and first.features is None)
    assert (for_match is not None) == ("features" in sys.argv)
    assert for_match is None or (for_match.features.lufs == loudness.lufs and for_match.statistics is None)
    assert (excerpts is None) == (features is None)
    numbers = [features.mid_db.tolist(), [features.lufs, features.loudness_range]] if features else []
    extra = [*numbers, excerpts.tolist()] if features else []
    print(json.dumps([frames, loudness.frames, loudness.lufs, loudness.true_peak, values, extra]))
scans.close()
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")


def early(path, *words):
    command = [sys.executable, "-c", SCRIPT, str(path), *words]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("words", [(), ("first",), ("first", "features")], ids=" ".join)
def test_equals_the_measurement_in_this_process(tmp_path, words):
    audio = music(8.0)
    audio[:, 1] += 0.02  # a DC offset to find
    write_audio(tmp_path / "track.wav", audio)
    frames, measured_frames, lufs, true_peak, findings, extra = early(tmp_path / "track.wav", *words)
    statistics, loudness = scan_track(reader.read_chunks(tmp_path / "track.wav"), 44_100, 2)
    assert frames == measured_frames == len(audio)
    assert (lufs, true_peak) == (loudness.lufs, loudness.true_peak)
    expected = [[finding.name, finding.value] for finding in diagnose(statistics, loudness, 16)]
    assert findings == expected and "dc_offset" in dict(findings)
    if "features" in words:
        mid_db, loudness_numbers, excerpts = extra
        expected = features_from_file(tmp_path / "track.wav")
        np.testing.assert_array_equal(mid_db, expected.mid_db)
        np.testing.assert_allclose(loudness_numbers, [expected.lufs, expected.loudness_range], atol=1e-9)
        signal = SourceSignal(lambda: reader.read_chunks(tmp_path / "track.wav"), 44_100, lufs, len(audio))
        np.testing.assert_allclose(at_model_level(np.array(excerpts, np.float32), signal), read_excerpts(signal))


@pytest.mark.parametrize("words", [(), ("first", "features")], ids=" ".join)
@pytest.mark.parametrize("content", [None, b"RIFF"])
def test_a_file_that_cannot_be_read_has_no_measurements(tmp_path, content, words):
    if content:
        (tmp_path / "track.wav").write_bytes(content)
    assert early(tmp_path / "track.wav", *words) is None


def test_damage_is_reported_in_one_sentence(tmp_path):
    audio = music(3.0)
    audio[70_000] = np.nan
    write_audio(tmp_path / "track.wav", audio, subtype="FLOAT")
    command = [sys.executable, "-m", "nmjax", "infer", "track.wav"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 2
    assert result.stderr == "nmjax: 'track.wav' holds samples that are NaN or infinite. Export it again.\n"


def test_a_file_of_one_sample_is_refused(tmp_path):
    write_audio(tmp_path / "track.wav", music(1.0)[:1])
    command = [sys.executable, "-m", "nmjax", "infer", "track.wav"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (
        2,
        "nmjax: 'track.wav' has fewer than 2 samples; there is nothing to master.\n",
    )


def test_results_belong_to_their_files_and_stale_ones_are_dropped(tmp_path):
    for name, seconds in (("a", 3.0), ("b", 4.0), ("c", 5.0)):
        write_audio(tmp_path / f"{name}.wav", music(seconds))
    script = """
import os, time
from pathlib import Path
from nmjax.mastering.early_scan import start_early_scans
scans = start_early_scans()
a, b, c = (Path(f"{name}.wav") for name in "abc")
def frames(path):
    measurements = scans.wait(path)
    return [] if measurements is None else [measurements[0].frames]
for path in (a, b, c, b):
    scans.request(path)
time.sleep(1.0)
print(frames(b))  # a, which was requested before it, is passed over
print(frames(a))
print(frames(c))
os.utime(b, (1, 1))  # measured already, or now: the first has another time than the file
print(frames(b) in ([], [4 * 44_100]), frames(Path("never requested.wav")))
scans.close()
print(frames(c))
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["[176400]", "[]", "[220500]", "True []", "[]"]
