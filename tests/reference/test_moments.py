"""Like compared with like: against plain loops, and on music of which two parts play the same now and then."""

import dataclasses

import numpy as np
import pytest

from nmjax.reference.moments import Moments, moments_of, tone_apart, width_apart
from nmjax.reference.profile import BANDS, CENTRES_HZ, profile_of
from nmjax.reference.wanted import OTHER_SONG, SAME_SONG, wanted_db
from tests.music import music

RATE = 44_100
OCTAVES = np.log2(CENTRES_HZ / 1000.0)
BUMP = 4.0 * np.exp(-0.5 * (OCTAVES - 1.0) ** 2)
FINE = 150


def heard(count, seed) -> Moments:
    rng = np.random.default_rng(seed)
    sizes = (count, BANDS), (count, FINE), count
    return moments_of(*(rng.normal(-40.0 if size != count else -10.0, 10.0, size) for size in sizes))


def some(kept: Moments, which) -> Moments:
    return Moments(*(getattr(kept, field)[which] for field in Moments.__dataclass_fields__))


def plainly(track: Moments, reference: Moments) -> np.ndarray:
    """The weighted mean of all pairs' differences in tone, and last in width, written as loops."""
    total, weights = np.zeros(BANDS + 1), 0.0
    loudest = [max(np.sum(10.0 ** (x / 10.0)) for x in one.levels_db) for one in (track, reference)]
    for level, shape, wide in zip(track.levels_db, track.shapes, track.width_db, strict=True):
        for other, its, its_wide in zip(reference.levels_db, reference.shapes, reference.width_db, strict=True):
            loud = np.sum(10.0 ** (level / 10.0)) / loudest[0] * np.sum(10.0 ** (other / 10.0)) / loudest[1]
            weight = np.exp(35.0 * (shape @ its)) * loud**0.2
            own, theirs = (np.maximum(x, x.max() - 70.0) for x in (level, other))
            total[:-1] += weight * ((theirs - theirs.mean()) - (own - own.mean()))
            total[-1] += weight * (its_wide - wide)
            weights += weight
    return total / weights


def test_the_difference_and_its_variance_are_what_loops_say():
    track, reference = heard(20, 0), heard(30, 1)
    both = zip(tone_apart(track, reference), width_apart(track, reference), strict=True)
    found, variance = (np.append(tone, width) for tone, width in both)
    np.testing.assert_allclose(found, plainly(track, reference), atol=1e-9)
    wanted = np.zeros(BANDS + 1)
    for one, other, sign in ((track, reference, 1.0), (reference, track, -1.0)):
        size, left_out = len(one.levels_db) // 10, []
        for part in range(10):
            rest = np.delete(np.arange(10 * size), np.s_[part * size : (part + 1) * size])
            kept = some(one, rest)  # loudness counts relatively: which one is the loudest makes no difference
            left_out.append(sign * plainly(*((kept, other) if sign > 0 else (other, kept))))
        without = np.array(left_out)
        wanted += 0.9 * np.sum((without - without.mean(axis=0)) ** 2, axis=0)
    np.testing.assert_allclose(variance, wanted, rtol=1e-6)


def test_a_smooth_curve_changes_no_shape_and_silence_has_none():
    rng = np.random.default_rng(3)
    fine_db = rng.normal(-40.0, 6.0, (5, FINE))
    smooth_db = 3.0 * np.sin(np.linspace(0.0, 3.0, FINE))
    plain, moved = (moments_of(np.zeros((5, BANDS)), x, np.zeros(5)).shapes for x in (fine_db, fine_db + smooth_db))
    assert np.sum(plain * moved, axis=1).min() > 0.995
    np.testing.assert_allclose(np.linalg.norm(plain, axis=1), 1.0)
    silence = moments_of(np.full((2, BANDS), -120.0), np.full((2, FINE), -120.0), np.zeros(2))
    assert np.abs(silence.shapes).max() < 1e-6
    assert np.isfinite(np.concatenate([*tone_apart(some(silence, [0] * 10), heard(10, 1))])).all()


def test_of_very_many_an_even_choice_is_kept():
    levels = np.arange(4001.0)[:, None] * np.ones(BANDS)
    found = moments_of(levels, np.zeros((4001, FINE)), levels[:, 0]).levels_db[:, 0]
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


def test_what_two_parts_share_says_how_wide_it_was():
    """The reference's other music is mono; the track's side was taken down."""
    track, reference = parts()
    mid = track.mean(axis=1, keepdims=True)
    reference[len(reference) // 2 :] = reference[len(reference) // 2 :].mean(axis=1, keepdims=True)
    narrow, reference = (profile_of([x.astype(np.float32)]) for x in (mid + 0.5 * (track - mid), reference))
    apart_db, variance = width_apart(narrow.moments, reference.moments)
    assert apart_db == pytest.approx(20.0 * np.log10(2.0), abs=0.8)
    assert reference.width_db - narrow.width_db < apart_db - 2.0
    assert 0.0 < variance < 4.0


@pytest.mark.parametrize("without", ["track", "reference", "both"])
def test_without_moments_long_term_levels_are_compared(without):
    """A target file keeps none, and of half a second there are too few."""
    kept = [profile_of([x.astype(np.float32)]) for x in parts()]
    bare = [dataclasses.replace(x, moments=None) for x in kept]
    short = dataclasses.replace(kept[0], moments=some(kept[0].moments, slice(9)))
    given = {"track": (short, kept[1]), "reference": (kept[0], bare[1]), "both": bare}[without]
    found, wanted = (wanted_db(*x, np.zeros(BANDS), SAME_SONG)[0] for x in (given, bare))
    np.testing.assert_array_equal(found, wanted)


def test_another_song_is_taken_as_a_whole():
    kept = [profile_of([x.astype(np.float32)]) for x in parts()]
    bare = [dataclasses.replace(x, moments=None) for x in kept]
    found, wanted = (wanted_db(*x, np.zeros(BANDS), OTHER_SONG)[0] for x in (kept, bare))
    np.testing.assert_array_equal(found, wanted)
