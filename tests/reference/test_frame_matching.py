"""Frame matching: against plain loops, and on two sections of music that share a passage."""

import dataclasses

import numpy as np
import pytest

from nmjax.audio import reader
from nmjax.reference import target_file
from nmjax.reference.bands import CENTERS_HZ, NUM_BANDS
from nmjax.reference.features import track_features
from nmjax.reference.frame_matching import FrameLevels, frame_levels, tone_difference, width_difference
from nmjax.reference.posterior import OTHER_SONG_PRIOR, SAME_SONG_PRIOR
from nmjax.reference.stereo_width import width_change_db
from nmjax.reference.target_eq import eq_correction_db, usable_bands
from tests.synthetic_audio import music

RATE = 44_100
OCTAVES = np.log2(CENTERS_HZ / 1000.0)
BUMP_DB = 4.0 * np.exp(-0.5 * (OCTAVES - 1.0) ** 2)
FINE_BINS = 150
ALL_BANDS = np.ones(NUM_BANDS, bool)


def random_frames(count, seed) -> FrameLevels:
    rng = np.random.default_rng(seed)
    sizes = (count, NUM_BANDS), (count, FINE_BINS), count
    return frame_levels(*(rng.normal(-40.0 if size != count else -10.0, 10.0, size) for size in sizes))


def spectral_shapes(frames: FrameLevels) -> np.ndarray:
    """Unit vectors of each frame's levels minus their average by a Gaussian of one octave."""
    octaves = np.arange(FINE_BINS) / 24.0
    result = []
    for levels in np.maximum(frames.fine_db, frames.fine_db.max(axis=1, keepdims=True) - 60.0):
        kernel = np.exp(-0.5 * (octaves[:, None] - octaves) ** 2)
        residual = levels - np.array([np.average(levels, weights=x) for x in kernel])
        result.append(residual / np.linalg.norm(residual))
    return np.array(result)


def pairwise_mean_difference(track: FrameLevels, reference: FrameLevels) -> np.ndarray:
    """Weighted mean over all pairs of the difference in tone and (last element) in width, as loops."""
    total, weights = np.zeros(NUM_BANDS + 1), 0.0
    rows = [list(zip(x.levels_db, spectral_shapes(x), x.width_db, strict=True)) for x in (track, reference)]
    for level, shape, width in rows[0]:
        for other_level, other_shape, other_width in rows[1]:
            power = np.sum(10.0 ** (level / 10.0)) * np.sum(10.0 ** (other_level / 10.0))
            weight = np.exp(35.0 * (shape @ other_shape)) * power**0.2
            track_db, reference_db = (np.maximum(x, x.max() - 70.0) for x in (level, other_level))
            total[:-1] += weight * ((reference_db - reference_db.mean()) - (track_db - track_db.mean()))
            total[-1] += weight * (other_width - width)
            weights += weight
    return total / weights


def test_difference_and_jackknife_variance_match_loops():
    track, reference = random_frames(20, 0), random_frames(30, 1)
    both = zip(tone_difference(track, reference, ALL_BANDS), width_difference(track, reference, ALL_BANDS), strict=True)
    result, variance = (np.append(tone, width) for tone, width in both)
    np.testing.assert_allclose(result, pairwise_mean_difference(track, reference), atol=1e-9)
    expected = np.zeros(NUM_BANDS + 1)
    for one, other, sign in ((track, reference, 1.0), (reference, track, -1.0)):
        size, left_out = len(one.levels_db) // 10, []
        for part in range(10):
            remaining = np.delete(np.arange(10 * size), np.s_[part * size : (part + 1) * size])
            selected = one.select(remaining)
            left_out.append(sign * pairwise_mean_difference(*((selected, other) if sign > 0 else (other, selected))))
        without = np.array(left_out)
        expected += 0.9 * np.sum((without - without.mean(axis=0)) ** 2, axis=0)
    np.testing.assert_allclose(variance, expected, rtol=1e-6)


def test_a_smooth_curve_changes_little_and_silence_is_finite():
    track, reference = random_frames(20, 0), random_frames(30, 1)
    smooth_db = 3.0 * np.sin(np.linspace(0.0, 3.0, FINE_BINS))
    result = tone_difference(dataclasses.replace(track, fine_db=track.fine_db + smooth_db), reference, ALL_BANDS)[0]
    np.testing.assert_allclose(result, pairwise_mean_difference(track, reference)[:-1], atol=0.15 * np.std(result))
    silence = frame_levels(np.full((10, NUM_BANDS), -240.0), np.full((10, FINE_BINS), -240.0), np.zeros(10))
    assert np.isfinite(np.concatenate([*tone_difference(silence, random_frames(10, 1), ALL_BANDS)])).all()


def test_many_frames_are_subsampled_evenly():
    levels = np.arange(4001.0)[:, None] * np.ones(NUM_BANDS)
    result = frame_levels(levels, np.zeros((4001, FINE_BINS)), levels[:, 0]).levels_db[:, 0]
    assert len(result) == 1334 and np.all(np.diff(result) == 3.0)


def two_sections() -> tuple[np.ndarray, np.ndarray]:
    """Two sections that share 9 s at different positions; the remainder is other, much brighter music."""
    shared, own = music(9.0, seed=1), music(9.0, seed=2)
    bright = np.diff(music(9.0, seed=5), axis=0, prepend=0.0)
    return np.concatenate([own, shared]), np.concatenate([shared, 4.0 * bright])


def test_shared_frames_of_two_sections_reveal_the_degradation():
    track, reference = (track_features([x.astype(np.float32)]) for x in two_sections())
    moved = track.add_curve(-BUMP_DB)
    matched, long_term = (
        eq_correction_db(moved, reference, np.zeros(NUM_BANDS), dataclasses.replace(SAME_SONG_PRIOR, match_frames=x))[0]
        for x in (True, False)
    )
    expected = BUMP_DB - BUMP_DB.mean()
    assert np.std(matched - expected) < 0.35 * np.std(expected)
    assert np.std(long_term - expected) > 2.0 * np.std(matched - expected)


def test_shared_frames_of_two_sections_reveal_the_width():
    """The rest of the reference is mono; the track's side is attenuated by 6 dB."""
    track, reference = two_sections()
    mid = track.mean(axis=1, keepdims=True)
    reference[len(reference) // 2 :] = reference[len(reference) // 2 :].mean(axis=1, keepdims=True)
    narrow, reference = (track_features([x.astype(np.float32)]) for x in (mid + 0.5 * (track - mid), reference))
    difference_db, variance = width_difference(narrow.frames, reference.frames, ALL_BANDS)
    assert difference_db == pytest.approx(20.0 * np.log10(2.0), abs=0.8)
    assert reference.width_db - narrow.width_db < difference_db - 2.0
    assert 0.0 < variance < 4.0


@pytest.mark.parametrize("lacking", ["track", "reference"])
def test_without_frames_long_term_levels_are_compared(lacking):
    """A target file has no frames, a very short recording too few."""
    track, reference = (track_features([x.astype(np.float32)]) for x in two_sections())
    without_frames = [dataclasses.replace(x, frames=None) for x in (track, reference)]
    short = dataclasses.replace(track, frames=track.frames.select(np.arange(9)))
    pair = {"track": (short, reference), "reference": (track, without_frames[1])}[lacking]
    result, expected = (eq_correction_db(*x, np.zeros(NUM_BANDS), SAME_SONG_PRIOR)[0] for x in (pair, without_frames))
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("gain", [1e-4, 1e4])
def test_the_level_of_a_file_does_not_matter(gain):
    track, reference = (x.astype(np.float32) for x in two_sections())
    features = [track_features([x]) for x in (track, reference, gain * track, gain * reference)]
    plain, *others = (
        eq_correction_db(features[i].add_curve(BUMP_DB), features[j], np.zeros(NUM_BANDS), SAME_SONG_PRIOR)[0]
        for i, j in ((0, 1), (2, 1), (0, 3))
    )
    for other in others:
        np.testing.assert_allclose(other, plain, atol=0.1)


def test_bands_missing_on_one_side_do_not_affect_the_others():
    """A reference at 8 kHz against the same at the full rate."""
    track, reference = (x.astype(np.float32) for x in two_sections())
    at_8k = reader.resample(reader.resample(reference, RATE, 8_000), 8_000, RATE)
    track, low = track_features([track]), track_features([at_8k], 4_000.0)
    usable = usable_bands(track, low)
    assert usable.sum() == low.known_bands.sum() < NUM_BANDS
    full, result = (tone_difference(track.frames, x.frames, usable) for x in (track_features([reference]), low))
    below_edge = CENTERS_HZ[usable] < 3_500.0  # the transition band of the resampler
    shapes = [x[0][usable][below_edge] - x[0][usable][below_edge].mean() for x in (full, result)]
    np.testing.assert_allclose(*shapes, atol=1.0)
    assert np.mean(result[1][usable][below_edge]) < 2.0 * np.mean(full[1][usable][below_edge]) + 0.05
    assert not result[0][~usable].any() and not result[1][~usable].any()


def test_references_are_combined_by_weight_regardless_of_loudness_and_length():
    """The second reference is the first one filtered, three times as long and louder."""
    track, reference = (x.astype(np.float32) for x in two_sections())
    bright = 30.0 * np.diff(reference, axis=0, prepend=np.zeros((1, 2), np.float32))
    plain, other = track_features([reference]), track_features([np.concatenate([bright] * 3)])
    track = track_features([track])
    one, much, little = (
        tone_difference(track.frames, x.frames, ALL_BANDS)[0]
        for x in (
            plain,
            target_file.average_features([plain, other], [1.0, 1e3]),
            target_file.average_features([plain, other], [1e3, 1.0]),
        )
    )
    assert np.abs(little - one).max() < 0.1
    assert np.abs(much - one).max() > 5.0
    assert target_file.average_features([plain, dataclasses.replace(other, frames=None)], [1.0, 1.0]).frames is None


def test_mono_has_no_width_in_frame_matching():
    """One channel, two equal channels, and an average with a stereo recording."""
    audio = music(9.0, seed=1).astype(np.float32)
    mono = audio.mean(axis=1, keepdims=True)
    stereo, *narrow = (track_features([x]) for x in (audio, mono, np.repeat(mono, 2, axis=1)))
    for one in narrow:
        assert np.isnan(width_difference(stereo.frames, one.frames, ALL_BANDS)).all()
        both = target_file.average_features([stereo, one], [1.0, 3.0])
        assert width_difference(stereo.frames, both.frames, ALL_BANDS)[0] == pytest.approx(0.0, abs=1e-6)
    wider = width_change_db(stereo, narrow[1], np.zeros(NUM_BANDS), (1.0, 1.0), SAME_SONG_PRIOR, True)
    assert np.abs(wider).max() < 0.3


def test_implausibly_narrow_width_is_attributed_to_the_song():
    audio = music(9.0, seed=1).astype(np.float32)
    mid = audio.mean(axis=1, keepdims=True)
    wide, narrow, mono = (track_features([mid + x * (audio - mid)]) for x in (1.0, 0.7, 0.02))
    some, less = (
        np.abs(width_change_db(x, wide, np.zeros(NUM_BANDS), (1.0, 1.0), SAME_SONG_PRIOR, True)).max()
        for x in (narrow, mono)
    )
    assert some > 1.5 > 3.0 * less


def test_another_song_is_compared_by_long_term_levels():
    features = [track_features([x.astype(np.float32)]) for x in two_sections()]
    without_frames = [dataclasses.replace(x, frames=None) for x in features]
    result, expected = (
        eq_correction_db(*x, np.zeros(NUM_BANDS), OTHER_SONG_PRIOR)[0] for x in (features, without_frames)
    )
    np.testing.assert_array_equal(result, expected)
