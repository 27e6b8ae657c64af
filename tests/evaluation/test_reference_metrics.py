"""Distance of an output to its reference."""

from __future__ import annotations

import numpy as np
import pytest

from nmjax.evaluation.metrics import lufs
from nmjax.evaluation.reference_metrics import REFERENCE_METRICS, reference_distance, style_transfer_errors
from tests.synthetic_audio import music

RATE = 44_100


def test_distance_to_itself_is_zero_at_any_level():
    audio = music(6.0)
    result = reference_distance(0.3 * audio, audio)
    assert list(result)[: len(REFERENCE_METRICS)] == list(REFERENCE_METRICS)
    assert result.pop("reference_loudness_lu") == pytest.approx(-20.0 * np.log10(0.3), abs=0.01)
    assert max(result[name] for name in REFERENCE_METRICS if name in result) < 1e-3
    assert result["delivered_lufs"] == pytest.approx(lufs(0.3 * audio, RATE), abs=0.05)


def test_mono_has_no_side_distance():
    result = reference_distance(music(6.0, channels=1), music(6.0))
    assert np.isnan(result["reference_width_db"]) and np.isnan(result["reference_bark_side_db"])
    assert np.isfinite(result["reference_bark_mid_db"])


def test_style_metrics_include_the_level():
    audio = music(6.0)
    result = style_transfer_errors(2.0 * audio, audio)
    assert result["style_rms_db"] == pytest.approx(20 * np.log10(2.0), abs=1e-4)
    assert result["style_lufs"] == pytest.approx(20 * np.log10(2.0), abs=1e-3)
    assert result["style_centroid_hz"] == pytest.approx(0.0, abs=1e-6) and result["style_mel_db"] > 5.0
    assert max(style_transfer_errors(audio, audio).values()) == 0.0
