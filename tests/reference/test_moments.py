"""Like compared with like: against plain loops, and on music of which two parts play the same now and then."""

import dataclasses

import numpy as np
import pytest

from nmjax.reference import moments
from nmjax.reference.moments import Moments, apart, moments_of
from nmjax.reference.profile import BANDS, CENTRES_HZ, profile_of
from nmjax.reference.wanted import OTHER_SONG, SAME_SONG, wanted_db
from tests.music import music

RATE = 44_100
OCTAVES = np.log2(CENTRES_HZ / 1000.0)
BUMP = 4.0 * np.exp(-0.5 * (OCTAVES - 1.0) ** 2)
FINE = 150


def heard(count, seed) -> Moments:
    rng = np.random.default_rng(seed)
    return moments_of(rng.normal(-40.0, 10.0, (count, BANDS)), rng.normal(-40.0, 10.0, (count, FINE)))


def plainly(track: Moments, reference: Moments) -> np.ndarray:
    """The weighted mean of all pairs' differences, written as loops."""
    total, weights = np.zeros(BANDS), 0.0
    loudest = [max(np.sum(10.0 ** (x / 10.0)) for x in one.levels_db) for one in (track, reference)]
    for level, shape in zip(track.levels_db, track.shapes, strict=True):
        for other, its in zip(reference.levels_db, reference.shapes, strict=True):
            loud = np.sum(10.0 ** (level / 10.0)) / loudest[0] * np.sum(10.0 ** (other / 10.0)) / loudest[1]
            weight = np.exp(35.0 * (shape @ its)) * loud**0.2
            own, theirs = (np.maximum(x, x.max() - 70.0) for x in (level, other))
            total += weight * ((theirs - theirs.mean()) - (own - own.mean()))
            weights += weight
    return total / weights


def test_the_difference_and_its_variance_are_what_loops_say():
    track, reference = heard(20, 0), heard(30, 1)
    found, variance = apart(track, reference)
    np.testing.assert_allclose(found, plainly(track, reference), atol=1e-9)
    wanted = np.zeros(BANDS)
    for one, other, sign in ((track, reference, 1.0), (reference, track, -1.0)):
        size, left_out = len(one.levels_db) // 10, []
        for part in range(10):
            rest = np.delete(np.arange(10 * size), np.s_[part * size : (part + 1) * size])
            kept = Moments(one.levels_db[rest], one.shapes[rest])
            # the weights of loudness are relative: which one is the loudest makes no difference
            left_out.append(sign * plainly(*((kept, other) if sign > 0 else (other, kept))))
        without = np.array(left_out) - np.mean(left_out, axis=1, keepdims=True)
        wanted += 0.9 * np.sum((without - without.mean(axis=0)) ** 2, axis=0)
    np.testing.assert_allclose(variance, wanted, rtol=1e-6)


def test_a_smooth_curve_changes_no_shape_and_silence_has_none():
    rng = np.random.default_rng(3)
    fine_db = rng.normal(-40.0, 6.0, (5, FINE))
    smooth_db = 3.0 * np.sin(np.linspace(0.0, 3.0, FINE))
    plain, moved = (moments_of(np.zeros((5, BANDS)), x).shapes for x in (fine_db, fine_db + smooth_db))
    assert np.sum(plain * moved, axis=1).min() > 0.995
    np.testing.assert_allclose(np.linalg.norm(plain, axis=1), 1.0)
    assert np.abs(moments_of(np.zeros((2, BANDS)), np.full((2, FINE), -120.0)).shapes).max() < 1e-6


def test_of_very_many_an_even_choice_is_kept():
    levels = np.arange(4001.0)[:, None] * np.ones(BANDS)
    found = moments_of(levels, np.zeros((4001, FINE))).levels_db[:, 0]
    assert len(found) == 1334 and np.all(np.diff(found) == 3.0)


def parts() -> tuple[np.ndarray, np.ndarray]:
    """Two parts of a song that share 9 s, in another place of each; the rest is other, much brighter music."""
    shared, own = music(9.0, seed=1), music(9.0, seed=2)
    bright = np.diff(music(9.0, seed=5), axis=0, prepend=0.0)
    return np.concatenate([own, shared]), np.concatenate([shared, 4.0 * bright])


def test_what_two_parts_share_says_what_is_wrong():
    track, reference = (profile_of([x.astype(np.float32)]) for x in parts())
    moved = track.moved(-BUMP)
    alike, long_term = (
        wanted_db(moved, reference, np.zeros(BANDS), dataclasses.replace(SAME_SONG, alike=x))[0] for x in (True, False)
    )
    wrong = BUMP - BUMP.mean()
    assert np.std(alike - wrong) < 0.35 * np.std(wrong)
    assert np.std(long_term - wrong) > 2.0 * np.std(alike - wrong)


@pytest.mark.parametrize("without", ["track", "reference", "both"])
def test_without_moments_long_term_levels_are_compared(without):
    """A target file keeps none, and of half a second there are too few."""
    kept = [profile_of([x.astype(np.float32)]) for x in parts()]
    bare = [dataclasses.replace(x, moments=None) for x in kept]
    short = dataclasses.replace(kept[0], moments=Moments(*(x[: moments.LEAST - 1] for x in (
        kept[0].moments.levels_db, kept[0].moments.shapes))))  # fmt: skip
    given = {"track": (short, kept[1]), "reference": (kept[0], bare[1]), "both": bare}[without]
    found, wanted = (wanted_db(*x, np.zeros(BANDS), SAME_SONG)[0] for x in (given, bare))
    np.testing.assert_array_equal(found, wanted)


def test_another_song_is_taken_as_a_whole():
    kept = [profile_of([x.astype(np.float32)]) for x in parts()]
    bare = [dataclasses.replace(x, moments=None) for x in kept]
    found, wanted = (wanted_db(*x, np.zeros(BANDS), OTHER_SONG)[0] for x in (kept, bare))
    np.testing.assert_array_equal(found, wanted)
