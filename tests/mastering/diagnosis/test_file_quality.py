"""Low-pass, upsampling, padding and offset, made by SciPy at known frequencies and sizes."""

import numpy as np
import pytest
import scipy.signal

from nmjax.mastering.diagnosis.file_quality import SampleStatistics, find_padding
from tests.mastering.diagnosis.songs import RATE, findings_of, song


@pytest.mark.parametrize("cutoff_hz", [12_500.0, 16_000.0])
def test_the_low_pass_of_a_codec(cutoff_hz):
    taps = scipy.signal.firwin(1023, cutoff_hz, window=("kaiser", 8.0), fs=RATE)
    finding = findings_of(scipy.signal.fftconvolve(song(), taps[:, None], mode="same", axes=0))["lossy_source"]
    assert finding.value == pytest.approx(cutoff_hz, abs=300.0)


def test_upsampled_files():
    audio = song()
    half = scipy.signal.resample(audio, len(audio) // 2)
    findings = findings_of(scipy.signal.resample(half, len(audio)))
    assert "22,050 Hz" in findings["upsampled"].sentence
    assert "lossy_source" not in findings
    findings = findings_of(scipy.signal.resample(audio, 2 * len(audio)), 2 * RATE)
    assert findings["upsampled"].severity == "info"


@pytest.mark.parametrize("used_bits", [12, 16])
def test_zero_padded_samples(used_bits):
    audio = np.round(song(2.0) * 2.0 ** (used_bits - 1)) / 2.0 ** (used_bits - 1)
    assert findings_of(audio, bits=24)["zero_padded"].value == used_bits
    assert "zero_padded" not in findings_of(audio, bits=used_bits)
    assert "zero_padded" not in findings_of(audio)


def test_full_resolution_and_floats_are_not_padded():
    for audio in (np.round(song(2.0) * 2.0**23) / 2.0**23, song(2.0), np.zeros((RATE, 2))):
        samples = SampleStatistics(2)
        samples.update(np.ascontiguousarray(audio.T, np.float32))
        assert not find_padding(samples, 24)


@pytest.mark.parametrize("offset", [0.01, -0.05])
def test_dc_offset(offset):
    finding = findings_of(song() + np.array([0.0, offset]))["dc_offset"]
    assert finding.value == pytest.approx(20.0 * np.log10(abs(offset)), abs=0.5)
