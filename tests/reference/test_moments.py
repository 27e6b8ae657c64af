"""Like compared with like: against plain loops, and on music of which two parts play the same now and then."""

import dataclasses

import numpy as np
import pytest

from nmjax import io
from nmjax.reference import features, target
from nmjax.reference.moments import Moments, moments_of, tone_apart, width_apart
from nmjax.reference.profile import BANDS, CENTRES_HZ, profile_of
from nmjax.reference.wanted import OTHER_SONG, SAME_SONG, usable_bands, wanted_db
from tests.music import music

RATE = 44_100
OCTAVES = np.log2(CENTRES_HZ / 1000.0)
BUMP = 4.0 * np.exp(-0.5 * (OCTAVES - 1.0) ** 2)
FINE = 150
ALL = np.ones(BANDS, bool)


def heard(count, seed) -> Moments:
    rng = np.random.default_rng(seed)
    sizes = (count, BANDS), (count, FINE), count
    return moments_of(*(rng.normal(-40.0 if size != count else -10.0, 10.0, size) for size in sizes))


def shapes(given: Moments) -> np.ndarray:
    """What is left of each moment's levels after a Gaussian of an octave was taken off, of length 1."""
    octaves = np.arange(FINE) / 24.0
    found = []
    for levels in np.maximum(given.fine_db, given.fine_db.max(axis=1, keepdims=True) - 60.0):
        near = np.exp(-0.5 * (octaves[:, None] - octaves) ** 2)
        rest = levels - np.array([np.average(levels, weights=x) for x in near])
        found.append(rest / np.linalg.norm(rest))
    return np.array(found)


def plainly(track: Moments, reference: Moments) -> np.ndarray:
    """The weighted mean of all pairs' differences in tone, and last in width, written as loops."""
    total, weights = np.zeros(BANDS + 1), 0.0
    rows = [list(zip(x.levels_db, shapes(x), x.width_db, strict=True)) for x in (track, reference)]
    for level, shape, wide in rows[0]:
        for other, its, its_wide in rows[1]:
            loud = np.sum(10.0 ** (level / 10.0)) * np.sum(10.0 ** (other / 10.0))
            weight = np.exp(35.0 * (shape @ its)) * loud**0.2
            own, theirs = (np.maximum(x, x.max() - 70.0) for x in (level, other))
            total[:-1] += weight * ((theirs - theirs.mean()) - (own - own.mean()))
            total[-1] += weight * (its_wide - wide)
            weights += weight
    return total / weights


def test_the_difference_and_its_variance_are_what_loops_say():
    track, reference = heard(20, 0), heard(30, 1)
    both = zip(tone_apart(track, reference, ALL), width_apart(track, reference, ALL), strict=True)
    found, variance = (np.append(tone, width) for tone, width in both)
    np.testing.assert_allclose(found, plainly(track, reference), atol=1e-9)
    wanted = np.zeros(BANDS + 1)
    for one, other, sign in ((track, reference, 1.0), (reference, track, -1.0)):
        size, left_out = len(one.levels_db) // 10, []
        for part in range(10):
            rest = np.delete(np.arange(10 * size), np.s_[part * size : (part + 1) * size])
            kept = one.some(rest)
            left_out.append(sign * plainly(*((kept, other) if sign > 0 else (other, kept))))
        without = np.array(left_out)
        wanted += 0.9 * np.sum((without - without.mean(axis=0)) ** 2, axis=0)
    np.testing.assert_allclose(variance, wanted, rtol=1e-6)


def test_a_smooth_curve_changes_little_and_silence_is_no_end():
    track, reference = heard(20, 0), heard(30, 1)
    smooth_db = 3.0 * np.sin(np.linspace(0.0, 3.0, FINE))
    found = tone_apart(dataclasses.replace(track, fine_db=track.fine_db + smooth_db), reference, ALL)[0]
    np.testing.assert_allclose(found, plainly(track, reference)[:-1], atol=0.15 * np.std(found))
    silence = moments_of(np.full((10, BANDS), -240.0), np.full((10, FINE), -240.0), np.zeros(10))
    assert np.isfinite(np.concatenate([*tone_apart(silence, heard(10, 1), ALL)])).all()


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
    apart_db, variance = width_apart(narrow.moments, reference.moments, ALL)
    assert apart_db == pytest.approx(20.0 * np.log10(2.0), abs=0.8)
    assert reference.width_db - narrow.width_db < apart_db - 2.0
    assert 0.0 < variance < 4.0


@pytest.mark.parametrize("without", ["track", "reference"])
def test_without_moments_long_term_levels_are_compared(without):
    """A target file keeps none, and of half a second there are too few."""
    kept = [profile_of([x.astype(np.float32)]) for x in parts()]
    bare = [dataclasses.replace(x, moments=None) for x in kept]
    short = dataclasses.replace(kept[0], moments=kept[0].moments.some(np.arange(9)))
    given = {"track": (short, kept[1]), "reference": (kept[0], bare[1])}[without]
    found, wanted = (wanted_db(*x, np.zeros(BANDS), SAME_SONG)[0] for x in (given, bare))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("gain", [1e-4, 1e4])
def test_how_loud_a_file_is_makes_no_difference(gain):
    track, reference = (x.astype(np.float32) for x in parts())
    kept = [profile_of([x]) for x in (track, reference, gain * track, gain * reference)]
    plain, *others = (
        wanted_db(kept[i].moved(BUMP), kept[j], np.zeros(BANDS), SAME_SONG)[0] for i, j in ((0, 1), (2, 1), (0, 3))
    )
    for other in others:
        np.testing.assert_allclose(other, plain, atol=0.1)


def test_bands_that_one_side_lacks_say_nothing_of_the_others():
    """An 8-kHz reference beside the same at the full rate."""
    track, reference = (x.astype(np.float32) for x in parts())
    at_8k = io.resampled(io.resampled(reference, RATE, 8_000), 8_000, RATE)
    track, low = profile_of([track]), profile_of([at_8k], 4_000.0)
    usable = usable_bands(track, low)
    assert usable.sum() == low.known.sum() < BANDS
    full, found = (tone_apart(track.moments, x.moments, usable) for x in (profile_of([reference]), low))
    away = CENTRES_HZ[usable] < 3_500.0  # from the resampler's edge
    shapes = [x[0][usable][away] - x[0][usable][away].mean() for x in (full, found)]
    np.testing.assert_allclose(*shapes, atol=1.0)
    assert np.mean(found[1][usable][away]) < 2.0 * np.mean(full[1][usable][away]) + 0.05
    assert not found[0][~usable].any() and not found[1][~usable].any()


def test_of_several_references_the_weights_count_and_not_their_loudness_or_length():
    """Of one part and of the same part through a filter, heard three times and louder."""
    track, reference = (x.astype(np.float32) for x in parts())
    bright = 30.0 * np.diff(reference, axis=0, prepend=np.zeros((1, 2), np.float32))
    plain, other = profile_of([reference]), profile_of([np.concatenate([bright] * 3)])
    track = profile_of([track])
    one, much, little = (
        tone_apart(track.moments, x.moments, ALL)[0]
        for x in (plain, target.together([plain, other], [1.0, 1e3]), target.together([plain, other], [1e3, 1.0]))
    )
    assert np.abs(little - one).max() < 0.1
    assert np.abs(much - one).max() > 5.0
    assert target.together([plain, dataclasses.replace(other, moments=None)], [1.0, 1.0]).moments is None


def test_mono_has_no_width_among_the_moments():
    """As one channel, as two that are alike, and among others."""
    audio = music(9.0, seed=1).astype(np.float32)
    mono = audio.mean(axis=1, keepdims=True)
    stereo, *narrow = (profile_of([x]) for x in (audio, mono, np.repeat(mono, 2, axis=1)))
    for one in narrow:
        assert np.isnan(width_apart(stereo.moments, one.moments, ALL)).all()
        both = target.together([stereo, one], [1.0, 3.0])
        assert width_apart(stereo.moments, both.moments, ALL)[0] == pytest.approx(0.0, abs=1e-6)
    wider = features.wider_db(stereo, narrow[1], np.zeros(BANDS), (1.0, 1.0), SAME_SONG, True)
    assert np.abs(wider).max() < 0.3


def test_a_width_that_no_fault_explains_is_the_songs():
    audio = music(9.0, seed=1).astype(np.float32)
    mid = audio.mean(axis=1, keepdims=True)
    wide, narrow, mono = (profile_of([mid + x * (audio - mid)]) for x in (1.0, 0.7, 0.02))
    some, less = (
        np.abs(features.wider_db(x, wide, np.zeros(BANDS), (1.0, 1.0), SAME_SONG, True)).max() for x in (narrow, mono)
    )
    assert some > 1.5 > 3.0 * less


def test_another_song_is_taken_as_a_whole():
    kept = [profile_of([x.astype(np.float32)]) for x in parts()]
    bare = [dataclasses.replace(x, moments=None) for x in kept]
    found, wanted = (wanted_db(*x, np.zeros(BANDS), OTHER_SONG)[0] for x in (kept, bare))
    np.testing.assert_array_equal(found, wanted)
