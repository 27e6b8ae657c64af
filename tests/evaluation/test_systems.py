"""Systems: the oracle finds what was done, ours is what infer.py plays, and bad requests get a sentence."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial

import numpy as np
import pytest
import soundfile

from nmjax.evaluation import systems
from nmjax.evaluation.examples import Example
from nmjax.evaluation.metrics import compute_metrics, lufs, normalize_loudness
from nmjax.mastering.delivery.plan import DeliverySpec
from nmjax.mastering.master import master
from nmjax.mastering.output_paths import resolve_output_paths
from nmjax.mastering.types import MasteringOptions
from nmjax.runtime.errors import BadInputError
from tests.dsp.oracles import peaking_sos
from tests.random_networks import random_network, save_network
from tests.synthetic_audio import music, write_audio

RATE = 44_100
PEAKING_FILTERS = np.array([[120.0, 5.0, 0.9], [1500.0, -4.0, 1.5], [7000.0, 6.0, 0.8]])  # Hz, dB, Q


def example(source, target):
    return Example(lufs(source, RATE), target, source, target.astype(np.float32), None)


def test_the_oracle_recovers_three_peaking_filters():
    from scipy.signal import sosfilt

    target = music(6.0)
    source = target
    for freq_hz, gain_db, q in PEAKING_FILTERS:
        source = sosfilt(peaking_sos(freq_hz, -gain_db, q, RATE)[None], source, axis=0)
    source = normalize_loudness(source, lufs(target, RATE), RATE)
    before = compute_metrics(source, target, source, RATE, whole_song=False)
    for bands, remaining in ((5, 0.25), (10, 0.2)):
        output = systems.oracle_eq(example(source, target), bands)
        after = compute_metrics(
            normalize_loudness(output, lufs(target, RATE), RATE), target, source, RATE, whole_song=False
        )
        assert after["tonal_mid_db"] < remaining * before["tonal_mid_db"]
        assert after["mr_stft"] < 0.4 * before["mr_stft"]


@pytest.mark.parametrize("phase", ["1a", "1b"])
def test_our_system_equals_the_output_of_infer(tmp_path, phase):
    """At 44.1 kHz and but for a gain, the float file of `master` without a limiter."""
    audio = music(3.2).astype(np.float32)
    track = write_audio(tmp_path / "a.wav", audio, RATE, "FLOAT")
    plain = DeliverySpec(lufs=None, true_peak_db=None, name="plain")
    outputs = resolve_output_paths(track, tmp_path / "m.wav", (plain,))
    master(track, outputs, random_network(phase), MasteringOptions(delivery_specs=(plain,)))
    expected = soundfile.read(str(tmp_path / "m.wav"))[0]
    result = systems.render_blind(example(audio.astype(np.float64), audio.astype(np.float64)), random_network(phase))
    result *= np.sum(result * expected) / np.sum(result * result)
    assert np.abs(result - expected).max() < 1e-5 * np.abs(expected).max()


def test_checkpoints_are_named_by_their_phase_or_as_asked(tmp_path):
    folder = save_network("1a", tmp_path / "run")
    odd = save_network("1a", tmp_path / "rate=0.1")
    build = partial(systems.build_systems, ["input"], matchering=None)
    assert list(build([str(folder), f"mine={folder}"])) == ["input", "1a", "mine"]
    assert list(build([str(odd), f"mine={odd}"])) == ["input", "1a", "mine"]
    for twice in ([str(folder), str(odd)], [f"input={folder}"]):
        with pytest.raises(BadInputError, match="two systems"):
            build(twice)


@pytest.mark.parametrize(
    ("names", "checkpoints", "python", "said"),
    [
        (["inputs"], [], None, "inputs"),
        (["matchering-same"], [], None, "--matchering"),
        (["matchering-same"], [], "/no/python", "/no/python"),
        (["matchering-other"], [], sys.executable, "pip install matchering"),
        (["matchering-other"], [], "/bin/echo", "pip install matchering"),
        ([], ["nowhere"], None, "nowhere"),
    ],
)
def test_invalid_requests_are_reported(names, checkpoints, python, said):
    with pytest.raises(BadInputError, match=said):
        systems.build_systems(names, checkpoints, python)


FAKE_MATCHERING = """
import shutil
def Result(path, subtype):
    return path
def process(target, reference, results):
    import soundfile
    if soundfile.info(reference).duration < 2.0:
        raise RuntimeError("too short")
    shutil.copy(target, results[0])
"""


def test_a_matchering_error_is_reported_and_the_next_example_continues(tmp_path, monkeypatch, capfd):
    """A stand-in that hands its target back."""
    (tmp_path / "matchering.py").write_text(FAKE_MATCHERING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = systems.Matchering(sys.executable)
    track = music(3.0, channels=1)
    refused, accepted = (dataclasses.replace(example(track, track), same_song=music(x)) for x in (1.0, 3.0))
    assert worker(refused, "same") is None
    assert "Matchering refuses an item: too short" in capfd.readouterr().err
    np.testing.assert_allclose(worker(accepted, "same"), track / max(1.0, np.abs(track).max()), atol=1e-6)
    assert worker(accepted, "other") is None
