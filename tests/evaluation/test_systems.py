"""Systems: the oracle finds what was done, ours is what infer.py plays, and bad requests get a sentence."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial

import numpy as np
import pytest
import soundfile

from nmjax.errors import BadInputError
from nmjax.evaluation import systems
from nmjax.evaluation.items import Item
from nmjax.evaluation.metrics import at_loudness, compared, lufs
from nmjax.inference.deliver.delivery import Delivery
from nmjax.inference.master import Options, master
from nmjax.inference.outputs import outputs_of
from tests.dsp.oracles import peaking_sos
from tests.inference.networks import network, saved
from tests.music import music, write

RATE = 44_100
BELLS = np.array([[120.0, 5.0, 0.9], [1500.0, -4.0, 1.5], [7000.0, 6.0, 0.8]])  # Hz, dB, Q


def item(source, target):
    return Item(lufs(source, RATE), target, source, target.astype(np.float32), None)


def test_the_oracle_finds_three_bells():
    from scipy.signal import sosfilt

    target = music(6.0)
    source = target
    for freq_hz, gain_db, q in BELLS:
        source = sosfilt(peaking_sos(freq_hz, -gain_db, q, RATE)[None], source, axis=0)
    source = at_loudness(source, lufs(target, RATE), RATE)
    before = compared(source, target, source, RATE, whole=False)
    for bands, left in ((5, 0.25), (10, 0.2)):
        output = systems.oracle_eq(item(source, target), bands)
        after = compared(at_loudness(output, lufs(target, RATE), RATE), target, source, RATE, whole=False)
        assert after["tonal_mid_db"] < left * before["tonal_mid_db"]
        assert after["mr_stft"] < 0.4 * before["mr_stft"]


@pytest.mark.parametrize("phase", ["1a", "1b"])
def test_ours_is_what_infer_writes(tmp_path, phase):
    """At 44.1 kHz and but for a gain, the float file of `master` without a limiter."""
    audio = music(3.2).astype(np.float32)
    track = write(tmp_path / "a.wav", audio, RATE, "FLOAT")
    plain = Delivery(lufs=None, true_peak_db=None, name="plain")
    outputs = outputs_of(track, tmp_path / "m.wav", (plain,))
    master(track, outputs, network(phase), Options(deliveries=(plain,)))
    wanted = soundfile.read(str(tmp_path / "m.wav"))[0]
    found = systems.ours(item(audio.astype(np.float64), audio.astype(np.float64)), network(phase))
    found *= np.sum(found * wanted) / np.sum(found * found)
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_checkpoints_are_named_by_their_phase_or_as_asked(tmp_path):
    folder = saved("1a", tmp_path / "run")
    odd = saved("1a", tmp_path / "rate=0.1")
    build = partial(systems.build, ["input"], matchering=None)
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
def test_bad_requests_are_a_sentence(names, checkpoints, python, said):
    with pytest.raises(BadInputError, match=said):
        systems.build(names, checkpoints, python)


STAND_IN = """
import shutil
def Result(path, subtype):
    return path
def process(target, reference, results):
    import soundfile
    if soundfile.info(reference).duration < 2.0:
        raise RuntimeError("too short")
    shutil.copy(target, results[0])
"""


def test_what_matchering_refuses_is_said_and_the_next_item_goes_on(tmp_path, monkeypatch, capfd):
    """A stand-in that hands its target back."""
    (tmp_path / "matchering.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = systems.Matchering(sys.executable)
    track = music(3.0, channels=1)
    refused, accepted = (dataclasses.replace(item(track, track), same=music(x)) for x in (1.0, 3.0))
    assert worker(refused, "same") is None
    assert "Matchering refuses an item: too short" in capfd.readouterr().err
    np.testing.assert_allclose(worker(accepted, "same"), track / max(1.0, np.abs(track).max()), atol=1e-6)
    assert worker(accepted, "other") is None
