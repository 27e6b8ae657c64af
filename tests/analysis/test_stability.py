"""Steadiness worked out by hand, and changes of a file that must, or must not, matter."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nmjax.analysis.collection import collected
from nmjax.analysis.excerpts import spread, typical
from nmjax.analysis.stability import CHANGES, between_db, change_rows, window_rows
from tests.inference.networks import network
from tests.music import music, write


def silent(_):
    pass


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    root = tmp_path_factory.mktemp("stability")
    for i in range(2):
        write(root / f"{i}.wav", music(1.5, seed=i))
    return collected([root], report=silent)


def windowed(gains, loudness):
    shape = (len(gains), 1)
    return {
        "freq_hz": np.full(shape, 1000.0), "gain_db": np.array(gains, float)[:, None], "gate": np.full(shape, 0.9),
        "q": np.ones(shape), "loudness": np.array(loudness, float),
    }  # fmt: skip


def test_from_window_to_window_by_hand(tracks):
    """Gains 1, 2, 3 dB, and two windows that do not count: one far below the track, and the last."""
    track = dataclasses.replace(tracks[0], sound=dataclasses.replace(tracks[0].sound, loudness=-15.0))
    found = windowed([1.0, 2.0, 9.0, 3.0, 9.0], [-15, -15, -40, -15, -15])
    found["gate"][1] = 0.1
    whole = {"gate": np.array([[0.8]])}
    row = window_rows([(track, found)], {track.key: whole}, 0.5)[0]
    assert row["windows"] == 3
    assert row["same_gates"] == pytest.approx(2 / 3)
    from nmjax.analysis.curves import shapes_db

    kept = {k: v[[0, 1, 3]] for k, v in found.items() if k != "loudness"}
    assert row["within_db"] == pytest.approx(np.sqrt(np.mean(np.var(shapes_db(kept), axis=0, ddof=1))))


def test_too_few_windows_give_no_row(tracks):
    found = windowed([1.0, 2.0, 3.0], [-10.0] * 3)
    assert window_rows([(tracks[0], found)], {tracks[0].key: {"gate": np.ones((1, 1))}}, 0.5) == []


def test_between_tracks_by_hand():
    assert between_db(np.array([[0.0, 1.0], [2.0, 5.0]])) == pytest.approx(np.sqrt((2.0 + 8.0) / 2))


def test_changes(tracks):
    rows = {row["change"]: row for row in change_rows(tracks, network("1c"), 0.5)}
    assert list(rows) == [change.name for change in CHANGES]
    assert rows["12 dB quieter"]["median_db"] < 1e-3  # the level is measured again
    assert rows["level misjudged by +3 dB"]["median_db"] > 10 * rows["12 dB quieter"]["median_db"]
    assert rows["at 48 kHz"]["median_db"] < 0.4 * rows["at 22.05 kHz"]["median_db"]
    assert all(row["tracks"] == 2 and row["p90_db"] >= row["median_db"] for row in rows.values())


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_keeps_length_and_channels(change):
    audio = music(0.5, rate=48_000).astype(np.float32)
    changed, rate = change.made(audio, 48_000)
    assert changed.shape[1] == 2
    assert len(changed) / rate == pytest.approx(0.5, abs=0.1)
    assert np.abs(changed).max() > 0.01


def test_the_typical_stretch_is_the_one_at_the_tracks_loudness(tmp_path):
    loud, quiet = music(4.0, seed=1), 0.02 * music(4.0, seed=2)
    write(tmp_path / "a.wav", np.concatenate([quiet, loud, quiet]))
    write(tmp_path / "b.wav", music(0.7))
    a, b = collected([tmp_path], report=silent)
    found = typical(a, 2.0)
    assert found.shape == (88_200, 2)
    assert np.sqrt(np.mean(found**2)) > 0.05
    assert len(typical(b, 2.0)) == len(music(0.7))  # all of a shorter one


def test_silent_tracks_are_not_chosen(tracks):
    mute = dataclasses.replace(tracks[0], sound=dataclasses.replace(tracks[0].sound, loudness=-np.inf))
    assert spread([mute, tracks[0], mute, tracks[1]], 5) == [1, 3]
    assert change_rows([mute, mute], network("1c"), 0.5) == []
