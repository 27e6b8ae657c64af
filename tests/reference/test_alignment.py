"""Another mix of the same passage is found at any offset, and nothing else is taken for one."""

import dataclasses

import numpy as np
import pytest
from scipy.signal import sosfilt

from nmjax.reference.alignment import align, plays_the_same
from nmjax.reference.features import track_features
from tests.dsp.oracles import peaking_sos
from tests.synthetic_audio import music

RATE = 44_100


def outline(audio):
    return track_features([np.asarray(audio, np.float32)]).outline


def remix(audio):
    """Another tone, other dynamics, narrower, other polarity."""
    for freq_hz, gain_db in ((120.0, 4.0), (3000.0, -4.0)):
        audio = sosfilt(peaking_sos(freq_hz, gain_db, 0.8, RATE)[None], audio, axis=0)
    mid = audio.mean(axis=1, keepdims=True)
    return -np.tanh(2.0 * (mid + 0.3 * (audio - mid)))


def test_a_remix_of_all_of_the_track_is_the_whole_passage():
    song = music(12.0, seed=1)
    alignment = align(outline(song), outline(remix(song)))
    assert alignment is not None and alignment.is_whole
    assert alignment.track_start == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(("track_cut", "reference_cut"), [(2.3, 0.0), (0.0, 2.3), (1.1, 4.6)])
def test_passages_are_found_where_they_begin(track_cut, reference_cut):
    song = music(15.0, seed=1)
    other = remix(song)[round(reference_cut * RATE) :]
    alignment = align(outline(song[round(track_cut * RATE) :]), outline(other))
    assert alignment is not None and not alignment.is_whole
    assert alignment.track_start - alignment.reference_start == pytest.approx(reference_cut - track_cut, abs=0.005)
    assert alignment.seconds == pytest.approx(15.0 - max(track_cut, reference_cut), abs=0.4)


def test_other_music_and_silence_are_no_passage():
    song = outline(music(9.0, seed=1))
    assert align(song, outline(music(9.0, seed=2))) is None
    assert align(song, np.zeros_like(song)) is None
    assert align(song, song[:500]) is None  # half a second says nothing


def test_the_same_notes_agree_through_a_remix():
    song, other = (track_features([music(9.0, seed=seed).astype(np.float32)]) for seed in (1, 2))
    assert plays_the_same(song, track_features([remix(music(9.0, seed=1)).astype(np.float32)]), is_whole=True)
    assert not plays_the_same(song, other, is_whole=True)
    assert not plays_the_same(song, dataclasses.replace(song, frames=None), is_whole=True)


def test_a_section_with_other_notes_for_a_while_is_not_the_same_passage():
    song = music(9.0, seed=1).astype(np.float32)
    verse = song.copy()
    verse[4 * RATE : 6 * RATE] = music(2.0, seed=2)
    features, other = track_features([song]), track_features([verse])
    assert plays_the_same(features, features, is_whole=False)
    assert plays_the_same(features, other, is_whole=True)
    assert not plays_the_same(features, other, is_whole=False)
