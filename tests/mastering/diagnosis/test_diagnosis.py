"""The whole diagnosis: quiet on clean songs, the same for any chunks, and complete findings."""

import dataclasses
import json

import numpy as np
import pytest

from nmjax.mastering.diagnosis.diagnosis import diagnose
from nmjax.mastering.diagnosis.dynamics import find_dynamics
from nmjax.mastering.diagnosis.finding import SEVERITY_ORDER, Finding, Severity
from nmjax.mastering.diagnosis.inspection import scan_track
from nmjax.mastering.diagnosis.percentiles import percentile_of, quantile
from tests.mastering.diagnosis.songs import RATE, findings_of, song


@pytest.mark.parametrize("seed", range(4))
def test_clean_songs_have_no_findings(seed):
    assert not findings_of(song(seed=10 * seed), bits=24)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_short_signals_of_any_rate_and_channel_count(rate, channels):
    for frames in (1, 100, rate // 3):
        noise = 0.1 * np.random.default_rng(frames).standard_normal((frames, channels)).astype(np.float32)
        diagnose(*scan_track([noise], rate, channels))


@pytest.mark.parametrize("size", [1_000, 77_777, 10**9])
def test_chunks_do_not_matter(size):
    audio = (np.clip(2.0 * song(), -0.4, 0.4) + np.array([0.02, 0.0])).astype(np.float32)
    audio[7 * RATE] += 0.5
    expected = diagnose(*scan_track([audio], RATE, 2))
    chunks = [audio[start : start + size] for start in range(0, len(audio), size)]
    assert diagnose(*scan_track(chunks, RATE, 2)) == expected
    assert {"clipping", "dc_offset", "clicks"} <= {finding.name for finding in expected}


def test_findings_are_sorted_complete_and_fit_into_json():
    findings = list(findings_of(np.clip(4.0 * song(), -0.3, 0.3) * [1.0, -1.0] + 0.01).values())
    ranks = [SEVERITY_ORDER[finding.severity] for finding in findings]
    assert len(findings) >= 3 and ranks == sorted(ranks) and ranks[0] == SEVERITY_ORDER[Severity.PROBLEM]
    for finding in findings:
        assert finding.sentence.endswith(".") and finding.remedy.endswith(".")
        assert set(json.loads(json.dumps(finding.to_dict()))) == {f.name for f in dataclasses.fields(finding)}


def test_dynamics_outside_the_training_songs():
    usual = {"lufs": -14.0, "loudness_range_lu": 7.0, "true_peak_db": 0.0, "seconds": 200.0}
    assert not find_dynamics(**usual)
    assert not find_dynamics(**{**usual, "lufs": -np.inf})
    (crushed,) = find_dynamics(**{**usual, "lufs": -3.0})
    assert (crushed.name, crushed.value, crushed.percentile) == ("plr", 3.0, 0.0)
    (wide,) = find_dynamics(**{**usual, "loudness_range_lu": 30.0})
    assert (wide.name, wide.percentile) == ("loudness_range", 100.0)


def test_broad_tonal_deviation():
    audio = song()
    spectrum, freq_hz = np.fft.rfft(audio, axis=0), np.fft.rfftfreq(len(audio), 1.0 / RATE)
    dull = np.fft.irfft(spectrum * np.where(freq_hz > 3_000.0, 0.003, 1.0)[:, None], len(audio), axis=0)
    finding = findings_of(dull)["tonal_balance"]
    assert "less highs" in finding.sentence and finding.percentile <= 1.0


@pytest.mark.parametrize(
    ("percentile", "rank"),
    [(99.7, " (higher than 99 % of songs)."), (4.2, " (lower than 95 % of songs)."), (60.0, "."), (None, ".")],
)
def test_only_an_unusual_rank_is_shown(percentile, rank):
    finding = Finding(
        name="plr", value=1.0, unit="dB", severity=Severity.INFO, sentence="It is.", remedy="", percentile=percentile
    )
    assert finding.ranked_sentence == f"It is{rank}"


def test_percentiles_rank_among_the_songs():
    values = [quantile("plr_db", percent) for percent in (0.0, 25.0, 50.0, 99.0)]
    assert values == sorted(values)
    assert percentile_of("plr_db", values[2]) == pytest.approx(50.0, abs=2.0)
    assert (percentile_of("plr_db", -100.0), percentile_of("plr_db", 100.0)) == (0.0, 100.0)
    assert percentile_of("no such measure", 1.0) is None
    assert percentile_of("plr_db", np.nan) is None
