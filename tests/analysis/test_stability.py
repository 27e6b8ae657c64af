"""Steadiness worked out by hand, and changes of a file that must, or must not, matter."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nmjax.analysis.collection import collect_tracks
from nmjax.analysis.excerpts import evenly_spaced_indices, read_typical_excerpt
from nmjax.analysis.stability import PERTURBATIONS, perturbation_table, response_spread_db, window_stability_table
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
        "freq_hz": np.full(shape, 1000.0), "gain_db": np.array(gains, float)[:, None], "gate": np.full(shape, 0.9),
        "q": np.ones(shape), "loudness": np.array(loudness, float),
    }  # fmt: skip


def test_from_window_to_window_by_hand(tracks):
    """Gains 1, 2, 3 dB, and two windows that do not count: one far below the track, and the last."""
    track = dataclasses.replace(tracks[0], recording=dataclasses.replace(tracks[0].recording, loudness_lufs=-15.0))
    result = window_settings([1.0, 2.0, 9.0, 3.0, 9.0], [-15, -15, -40, -15, -15])
    result["gate"][1] = 0.1
    whole = {"gate": np.array([[0.8]])}
    row = window_stability_table([(track, result)], {track.key: whole}, 0.5)[0]
    assert row["windows"] == 3
    assert row["same_gates"] == pytest.approx(2 / 3)
    from nmjax.analysis.curves import centered_eq_responses_db

    valid_windows = {k: v[[0, 1, 3]] for k, v in result.items() if k != "loudness"}
    assert row["within_db"] == pytest.approx(
        np.sqrt(np.mean(np.var(centered_eq_responses_db(valid_windows), axis=0, ddof=1)))
    )


def test_too_few_windows_give_no_row(tracks):
    result = window_settings([1.0, 2.0, 3.0], [-10.0] * 3)
    assert window_stability_table([(tracks[0], result)], {tracks[0].key: {"gate": np.ones((1, 1))}}, 0.5) == []


def test_between_tracks_by_hand():
    assert response_spread_db(np.array([[0.0, 1.0], [2.0, 5.0]])) == pytest.approx(np.sqrt((2.0 + 8.0) / 2))


def test_perturbations_move_the_settings_as_expected(tracks):
    rows = {row["change"]: row for row in perturbation_table(tracks, random_network("1c"), 0.5)}
    assert list(rows) == [change.name for change in PERTURBATIONS]
    assert rows["12 dB quieter"]["median_db"] < 1e-3  # the level is measured again
    assert rows["level misjudged by +3 dB"]["median_db"] > 10 * rows["12 dB quieter"]["median_db"]
    assert rows["at 48 kHz"]["median_db"] < 0.4 * rows["at 22.05 kHz"]["median_db"]
    assert all(row["tracks"] == 2 and row["p90_db"] >= row["median_db"] for row in rows.values())


@pytest.mark.parametrize("change", PERTURBATIONS, ids=lambda change: change.name)
def test_every_perturbation_keeps_length_and_channels(change):
    audio = music(0.5, rate=48_000).astype(np.float32)
    changed, rate = change.apply(audio, 48_000)
    assert changed.shape[1] == 2
    assert len(changed) / rate == pytest.approx(0.5, abs=0.1)
    assert np.abs(changed).max() > 0.01


def test_the_typical_excerpt_has_the_loudness_of_the_track(tmp_path):
    loud, quiet = music(4.0, seed=1), 0.02 * music(4.0, seed=2)
    write_audio(tmp_path / "a.wav", np.concatenate([quiet, loud, quiet]))
    write_audio(tmp_path / "b.wav", music(0.7))
    a, b = collect_tracks([tmp_path], report=ignore_report)
    result = read_typical_excerpt(a, 2.0)
    assert result.shape == (88_200, 2)
    assert np.sqrt(np.mean(result**2)) > 0.05
    assert len(read_typical_excerpt(b, 2.0)) == len(music(0.7))  # all of a shorter one


def test_silent_tracks_are_not_chosen(tracks):
    mute = dataclasses.replace(tracks[0], recording=dataclasses.replace(tracks[0].recording, loudness_lufs=-np.inf))
    assert evenly_spaced_indices([mute, tracks[0], mute, tracks[1]], 5) == [1, 3]
    assert perturbation_table([mute, mute], random_network("1c"), 0.5) == []
