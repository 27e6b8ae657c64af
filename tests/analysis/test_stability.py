"""Known spreads over windows, and perturbations of a file that must, or must not, change the settings."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nmjax.analysis.collection import collect_tracks, evenly_spaced_indices, read_representative_excerpt
from nmjax.analysis.responses import centered_eq_responses_db, response_spread_db
from nmjax.analysis.stability import PERTURBATIONS, perturbation_table, window_stability_table
from tests.random_networks import random_network
from tests.synthetic_audio import music, write_audio


def ignore_report(_):
    pass


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    root = tmp_path_factory.mktemp("stability")
    for i in range(2):
        write_audio(root / f"{i}.wav", music(1.5, seed=i))
    return collect_tracks([root], report=ignore_report)


def window_settings(gains, loudness):
    shape = (len(gains), 1)
    return {
        "freq_hz": np.full(shape, 1000.0),
        "gain_db": np.array(gains, float)[:, None],
        "gate": np.full(shape, 0.9),
        "q": np.ones(shape),
        "loudness_lufs": np.array(loudness, float),
    }


def test_known_spread_over_windows(tracks):
    """Gains 1, 2, 3 dB, and two windows that are ignored: one far below the track, and the last."""
    track = dataclasses.replace(tracks[0], recording=dataclasses.replace(tracks[0].recording, loudness_lufs=-15.0))
    result = window_settings([1.0, 2.0, 9.0, 3.0, 9.0], [-15, -15, -40, -15, -15])
    result["gate"][1] = 0.1
    whole = {"gate": np.array([[0.8]])}
    row = window_stability_table([(track, result)], {track.file_key: whole}, 0.5)[0]
    assert row["windows"] == 3
    assert row["gate_agreement"] == pytest.approx(2 / 3)
    valid_windows = {k: v[[0, 1, 3]] for k, v in result.items() if k != "loudness_lufs"}
    assert row["within_track_db"] == pytest.approx(
        np.sqrt(np.mean(np.var(centered_eq_responses_db(valid_windows), axis=0, ddof=1)))
    )


def test_too_few_windows_give_no_row(tracks):
    result = window_settings([1.0, 2.0, 3.0], [-10.0] * 3)
    assert window_stability_table([(tracks[0], result)], {tracks[0].file_key: {"gate": np.ones((1, 1))}}, 0.5) == []


def test_known_spread_over_tracks():
    assert response_spread_db(np.array([[0.0, 1.0], [2.0, 5.0]])) == pytest.approx(np.sqrt((2.0 + 8.0) / 2))


def test_perturbations_move_the_settings_as_expected(tracks):
    rows = {row["perturbation"]: row for row in perturbation_table(tracks, random_network("1c"), 0.5)}
    assert list(rows) == [perturbation.name for perturbation in PERTURBATIONS]
    assert rows["12 dB quieter"]["median_db"] < 1e-3  # the level is measured again
    assert rows["loudness estimate off by +3 dB"]["median_db"] > 10 * rows["12 dB quieter"]["median_db"]
    assert rows["at 48 kHz"]["median_db"] < 0.4 * rows["at 22.05 kHz"]["median_db"]
    assert all(row["tracks"] == 2 and row["p90_db"] >= row["median_db"] for row in rows.values())


@pytest.mark.parametrize("perturbation", PERTURBATIONS, ids=lambda perturbation: perturbation.name)
def test_every_perturbation_preserves_length_and_channels(perturbation):
    audio = music(0.5, rate=48_000).astype(np.float32)
    changed, rate = perturbation.apply(audio, 48_000)
    assert changed.shape[1] == 2
    assert len(changed) / rate == pytest.approx(0.5, abs=0.1)
    assert np.abs(changed).max() > 0.01


def test_the_representative_excerpt_has_the_loudness_of_the_track(tmp_path):
    loud, quiet = music(4.0, seed=1), 0.02 * music(4.0, seed=2)
    write_audio(tmp_path / "a.wav", np.concatenate([quiet, loud, quiet]))
    write_audio(tmp_path / "b.wav", music(0.7))
    a, b = collect_tracks([tmp_path], report=ignore_report)
    result = read_representative_excerpt(a, 2.0)
    assert result.shape == (88_200, 2)
    assert np.sqrt(np.mean(result**2)) > 0.05
    assert len(read_representative_excerpt(b, 2.0)) == len(music(0.7))  # a shorter track is returned whole


def test_silent_tracks_are_not_chosen(tracks):
    silent = dataclasses.replace(tracks[0], recording=dataclasses.replace(tracks[0].recording, loudness_lufs=-np.inf))
    assert evenly_spaced_indices([silent, tracks[0], silent, tracks[1]], 5) == [1, 3]
    assert perturbation_table([silent, silent], random_network("1c"), 0.5) == []
