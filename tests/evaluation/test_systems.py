"""Systems under test: the oracle inverts an EQ, ours equal the output of infer.py, invalid requests are reported."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial

import numpy as np
import pyloudnorm
import pytest
import soundfile

from nmjax.evaluation import systems
from nmjax.evaluation.degradations import apply_condition
from nmjax.evaluation.examples import Example
from nmjax.evaluation.matchering_system import Matchering
from nmjax.evaluation.metrics import band_levels_db, compute_metrics, lufs, normalize_loudness
from nmjax.evaluation.reference_metrics import reference_distance
from nmjax.mastering.delivery.spec import DeliverySpec
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


def test_the_default_system_repairs_what_is_certain():
    """A polarity that is inverted in one channel: the output is the default network's for the track before."""
    audio = music(12.0)
    audio[:, 1] = 0.9 * audio[:, 0] + 0.1 * audio[:, 1]
    inverted = audio * [1.0, -1.0]
    network = random_network("1a")
    expected = systems.render_blind(example(audio, audio), network)
    np.testing.assert_allclose(systems.render_default(example(inverted, audio), network), expected, atol=1e-6)
    assert np.abs(systems.render_blind(example(inverted, audio), network) - expected).max() > 0.01


@pytest.mark.parametrize("phase", ["1a", "1b"])
def test_our_system_equals_the_output_of_infer(tmp_path, phase):
    """At 44.1 kHz, up to a gain: the float file of `master` without a limiter."""
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
        with pytest.raises(BadInputError, match="Two systems"):
            build(twice)


@pytest.mark.parametrize(
    ("names", "checkpoints", "python", "message"),
    [
        (["inputs"], [], None, "inputs"),
        (["matchering-same"], [], None, "--matchering"),
        (["matchering-same"], [], "/no/python", "/no/python"),
        (["matchering-other"], [], sys.executable, "pip install matchering"),
        (["matchering-other"], [], "/bin/echo", "pip install matchering"),
        ([], ["nowhere"], None, "nowhere"),
    ],
)
def test_invalid_requests_are_reported(names, checkpoints, python, message):
    with pytest.raises(BadInputError, match=message):
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
    """A fake Matchering returns its target."""
    (tmp_path / "matchering.py").write_text(FAKE_MATCHERING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = Matchering(sys.executable)
    track = music(3.0, channels=1)
    refused, accepted = (dataclasses.replace(example(track, track), same_song=music(x)) for x in (1.0, 3.0))
    assert worker(refused, same_song=True) is None
    assert "Matchering rejects an example: too short" in capfd.readouterr().err
    np.testing.assert_allclose(worker(accepted, same_song=True), track / max(1.0, np.abs(track).max()), atol=1e-6)
    assert worker(accepted, same_song=False) is None


def degraded_example(same_seconds=8.0, channels=2):
    target = music(8.0, channels=channels, seed=1)
    source = normalize_loudness(
        apply_condition(target, "tone", RATE, np.random.default_rng(3)), lufs(target, RATE), RATE
    )
    same = music(same_seconds, channels=channels, seed=1).astype(np.float32)
    return Example(lufs(target, RATE), target, source, same, music(8.0, seed=2).astype(np.float32))


def tone_distance_db(one, other):
    levels = [band_levels_db(x.mean(axis=1), "thirds", RATE) for x in (one, other)]
    return np.std(levels[0] - levels[1])


def test_a_section_of_the_same_song_restores_the_tone():
    sample = degraded_example()
    output = systems.render_with_reference(sample, random_network("1a"), kind="same")
    assert output.shape == sample.source.shape
    assert tone_distance_db(output, sample.target) < 0.6 * tone_distance_db(sample.source, sample.target)


def test_another_song_moves_the_tone_towards_it():
    sample = degraded_example()
    output = systems.render_with_reference(sample, random_network("1a"), kind="other")
    before, after = (reference_distance(x, sample.other_song) for x in (sample.source, output))
    assert after["reference_bark_mid_db"] < 0.5 * before["reference_bark_mid_db"]


@pytest.mark.parametrize(
    "given", [degraded_example(2.0), Example(-20.0, np.zeros((9, 2)), np.zeros((9, 2)), None, None)]
)
def test_without_a_reference_that_is_long_enough_there_is_no_output(given):
    assert systems.render_with_reference(given, random_network("1a"), kind="same") is None


def test_delivery_meets_loudness_and_ceiling():
    meter = pyloudnorm.Meter(RATE, filter_class="DeMan")
    reference = 2.0 * music(6.0, seed=2)
    output = systems.deliver_at_loudness_of(0.9 * np.tanh(10.0 * music(6.0)), reference)
    assert meter.integrated_loudness(output) == pytest.approx(meter.integrated_loudness(reference), abs=0.1)
    assert 20 * np.log10(np.abs(output).max()) <= -0.99
