"""The verifying meter against pyloudnorm, SciPy's oversampling and EBU Tech 3342; PASS, FAIL and NOT MEASURED."""

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import resample_poly

from nmjax.mastering.delivery.spec import DeliverySpec
from nmjax.mastering.delivery.verify import check_compliance, check_file_compliance
from nmjax.runtime.errors import BadInputError
from tests.mastering.delivery.test_delivery import synth_drums
from tests.synthetic_audio import music, write_audio

NO_TARGETS = DeliverySpec(None, None)


def true_peak_db(audio):
    return 20.0 * np.log10(np.abs(resample_poly(np.pad(audio, ((64, 64), (0, 0))), 8, 1, axis=0)).max())


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 1), (11_025, 2), (96_000, 5)])
def test_measurements_match_pyloudnorm_and_scipy(tmp_path, rate, channels):
    audio = np.tile(np.concatenate([synth_drums(4.0, rate), 0.1 * synth_drums(4.0, rate, 2)]), (1, 3))[:, :channels]
    path = write_audio(tmp_path / "x.wav", audio, rate, "FLOAT")
    result = check_file_compliance(path, NO_TARGETS)
    meter = pyloudnorm.Meter(rate, filter_class="DeMan")
    assert result.lufs == pytest.approx(meter.integrated_loudness(audio.astype(np.float64)), abs=0.02)
    assert result.true_peak_db == pytest.approx(true_peak_db(audio.astype(np.float64)), abs=1e-3)
    assert (result.sample_rate, result.frames, result.clipped) == (rate, len(audio), 0)
    assert result.passed


def test_the_standards_filter_at_48_khz(tmp_path):
    """A 997 Hz sine at 0 dBFS in one channel reads −3.01 LUFS."""
    sine = np.sin(2 * np.pi * 997 / 48_000 * np.arange(96_000))[:, None]
    assert check_file_compliance(
        write_audio(tmp_path / "x.wav", sine, 48_000, "FLOAT"), NO_TARGETS
    ).lufs == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize(("levels", "expected"), [((-20, -30), 10.0), ((-20, -15), 5.0), ((-40, -20), 20.0)])
def test_the_loudness_range_of_tech_3342(tmp_path, levels, expected):
    """Its test signals 1 to 3: 20 s of a 1 kHz sine in stereo at each level."""
    parts = [np.sin(2 * np.pi * 1000 / 8_000 * np.arange(160_000)) * 10 ** (level / 20) for level in levels]
    stereo = np.repeat(np.concatenate(parts)[:, None], 2, axis=1)
    assert check_file_compliance(
        write_audio(tmp_path / "x.wav", stereo, 8_000, "FLOAT"), NO_TARGETS
    ).loudness_range_lu == pytest.approx(expected, abs=1.0)


def test_true_peak_at_chunk_boundaries_and_ends(tmp_path):
    """The crest of a sine between two samples: where pieces and parts meet, and after the last sample."""
    for position in (4096, 65_536, 70_000):
        audio = np.zeros((70_000, 1))
        crest = np.cos(0.5 * np.pi * (np.arange(-12, 12) + 0.5))[:, None] * 0.9
        audio[position - 12 : position + 12] = crest[: 70_000 - position + 12]
        result = check_file_compliance(write_audio(tmp_path / "x.wav", audio, subtype="FLOAT"), NO_TARGETS)
        assert result.true_peak_db == pytest.approx(true_peak_db(audio), abs=1e-3)
        assert result.true_peak_db > 20 * np.log10(np.abs(audio).max()) + 0.8


def test_pass_and_fail_are_one_line(tmp_path):
    audio = music(4.0)
    audio *= 10 ** (
        (-14.0 - check_file_compliance(write_audio(tmp_path / "a.wav", audio, subtype="FLOAT"), NO_TARGETS).lufs) / 20
    )
    path = write_audio(tmp_path / "b.wav", audio, subtype="PCM_24")
    peak = check_file_compliance(path, NO_TARGETS).true_peak_db
    good = check_file_compliance(path, DeliverySpec(-14.0, -1.0))
    assert (
        good.status == "pass" and good.passed and good.summary.startswith(f"PASS  −14.0 LUFS  −{-peak:.1f} dBTP  LRA ")
    )
    assert good.summary.endswith(" LU  44100 Hz  0 clipped")
    for expected, reason in (
        (DeliverySpec(-14.2, -1.0), "0.2 LU above −14.2 LUFS"),
        (DeliverySpec(-9.0, -1.0), "5.0 LU below −9 LUFS"),
        (DeliverySpec(None, peak - 0.5), f"0.50 dB over −{0.5 - peak:g} dBTP"),
    ):
        bad = check_file_compliance(path, expected)
        assert (bad.status, bad.passed) == ("fail", False)
        assert bad.summary.startswith("FAIL  −14.0") and bad.summary.endswith(f"({reason})")


@pytest.mark.parametrize(("subtype", "clipped"), [("PCM_16", 3), ("PCM_24", 3), ("PCM_32", 3), ("FLOAT", 2)])
def test_clipped_samples_are_counted(tmp_path, subtype, clipped):
    audio = 0.5 * music(1.0)
    audio[100, 0], audio[200, 1], audio[300, 0] = 1.2, -1.2, 1.0
    path = write_audio(tmp_path / "x.wav", audio, subtype=subtype)
    assert check_file_compliance(path, NO_TARGETS).clipped == clipped
    assert check_file_compliance(path, NO_TARGETS).passed
    assert "clipped" in check_file_compliance(path, DeliverySpec(None, 0.0)).failure_reason


@pytest.mark.parametrize("spec", [DeliverySpec(), NO_TARGETS])
def test_silence_is_not_measured(tmp_path, spec):
    silent = check_file_compliance(write_audio(tmp_path / "x.wav", np.zeros((20_000, 2))), spec)
    assert silent.summary == "NOT MEASURED: the track is silent"
    assert (silent.status, silent.passed) == ("not_measured", True)


@pytest.mark.parametrize("audio", [np.full((20, 2), 0.5), 1e-5 * music(1.0)])
def test_a_file_without_a_loudness_is_not_measured(tmp_path, audio):
    path = write_audio(tmp_path / "x.wav", audio, subtype="FLOAT")
    result = check_file_compliance(path, DeliverySpec())
    assert result.summary == "NOT MEASURED: the track is shorter than 400 ms, or never above −70 LUFS"
    assert result.status == "not_measured"
    peak_only = check_file_compliance(path, DeliverySpec(lufs=None, true_peak_db=-1.0))
    assert peak_only.status == "pass" and peak_only.summary.startswith("PASS  no loudness")


def test_an_unreadable_file_is_reported(tmp_path):
    (tmp_path / "y.wav").write_text("no audio")
    with pytest.raises(BadInputError, match="as audio"):
        check_file_compliance(tmp_path / "y.wav", NO_TARGETS)


def test_chunk_sizes_do_not_change_the_measurements():
    audio = music(2.0).astype(np.float32)
    whole, *others = (
        check_compliance((audio[i : i + size] for i in range(0, len(audio), size)), 44_100, 2, NO_TARGETS)
        for size in (len(audio), 10_000, 700)
    )
    for other in others:
        assert other.lufs == pytest.approx(whole.lufs, abs=1e-9)
        assert other.true_peak_db == pytest.approx(whole.true_peak_db, abs=1e-6)
