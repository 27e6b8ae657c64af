"""What a part did, found by comparing what went in and what came out: known gains, known additions, any pieces."""

import numpy as np
import pytest

from nmjax.inference.report.passage import MOST_POINTS, Passage
from tests.music import music

RATE = 8_000


def passed(before, after, size=1000, rate=RATE):
    """Both in pieces, what comes out in others and later."""
    passage = Passage(rate)
    entering = passage.enters(before[i : i + size] for i in range(0, len(before), size))
    seen = []

    def leaving():
        seen.append(next(entering))
        for start in range(0, len(after), 777):
            while sum(map(len, seen)) < min(len(after), start + 777):
                seen.append(next(entering))
            yield after[start : start + 777]

    out = list(passage.leaves(leaving()))
    np.testing.assert_array_equal(np.concatenate(out), after)
    np.testing.assert_array_equal(np.concatenate(seen), before)
    return passage.result()


def test_a_gain_is_a_level_and_nothing_else():
    audio = music(2.0, RATE).astype(np.float32)
    found = passed(audio, audio * np.float32(0.5))
    assert found.level_db == pytest.approx(-6.0206, abs=1e-3)
    assert found.rest_db == -np.inf or found.rest_db < -130.0
    np.testing.assert_allclose(found.gain_db, -6.0206, atol=1e-3)
    np.testing.assert_allclose(found.seconds, np.arange(1, 201) / 100.0)


def test_what_is_added_is_found_beneath_a_gain():
    rng = np.random.default_rng(0)
    audio, more = rng.standard_normal((2, 80_000, 2)).astype(np.float32)
    found = passed(audio, 2.0 * audio + 0.02 * more)
    assert found.rest_db == pytest.approx(-40.0, abs=0.1)
    assert found.level_db == pytest.approx(6.02, abs=0.01)


def test_a_gain_that_moves_is_seen_where_it_moves():
    audio = music(3.0, RATE).astype(np.float32)
    gain_db = np.repeat([0.0, -6.0, 2.0], RATE)
    found = passed(audio, (audio * 10.0 ** (gain_db / 20.0)[:, None]).astype(np.float32))
    np.testing.assert_allclose(found.gain_db, np.repeat([0.0, -6.0, 2.0], 100), atol=1e-4)
    np.testing.assert_array_equal(found.least_db, found.gain_db)
    np.testing.assert_array_equal(found.most_db, found.gain_db)


@pytest.mark.parametrize("size", [333, 8_000, 400_000])
def test_long_sounds_have_few_points_with_the_extremes_kept_whatever_the_pieces(size):
    seconds = 50
    audio = music(float(seconds), RATE).astype(np.float32)
    gain = np.ones(len(audio))
    gain[80 * 100 : 80 * 101] = 0.1  # one block of 10 ms
    found = passed(audio, (audio * gain[:, None]).astype(np.float32), size)
    assert len(found.seconds) <= MOST_POINTS
    assert found.seconds[-1] == seconds
    assert found.least_db.min() == pytest.approx(-20.0, abs=1e-3)
    assert int(np.argmin(found.least_db)) == np.searchsorted(found.seconds, 1.005)
    assert np.all(found.gain_db >= found.least_db - 1e-9) and np.all(found.gain_db <= found.most_db + 1e-9)
    assert found.gain_db.min() > -10.0, "over a longer stretch it is less"


def test_silence_has_no_gain():
    audio = music(1.0, RATE).astype(np.float32)
    audio[2000:4000] = 0.0
    found = passed(audio, 2.0 * audio)
    assert np.isnan(found.gain_db[25:50]).all() and np.isfinite(found.gain_db[:25]).all()
    nothing = passed(np.zeros((500, 1), np.float32), np.zeros((500, 1), np.float32))
    assert np.isnan(nothing.level_db) and np.isnan(nothing.rest_db) and np.isnan(nothing.gain_db).all()


def test_a_few_samples():
    audio = music(0.1, RATE)[:3].astype(np.float32)
    found = passed(audio, 0.5 * audio)
    assert len(found.seconds) == 1 and found.seconds[0] == 3 / RATE


def test_what_nobody_compares_is_not_kept():
    passage = Passage(RATE)
    for _ in passage.enters(iter([np.zeros((10, 2), np.float32)] * 5)):
        assert not passage._waiting
