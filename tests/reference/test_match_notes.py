"""Messages about a reference: the track itself, another mix of the same passage, reliability, missing bands."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from scipy.signal import sosfilt

from nmjax.reference.features import TrackFeatures, track_features
from nmjax.reference.match_notes import is_equal_up_to_gain, match_notes
from nmjax.reference.posterior import SAME_SONG_PRIOR
from tests.dsp.oracles import peaking_sos
from tests.synthetic_audio import music

RATE = 44_100


@functools.cache
def song() -> np.ndarray:
    return music(9.0, seed=1)


def features_of(audio) -> TrackFeatures:
    return track_features([np.asarray(audio, np.float32)])


def narrower(audio):
    mid = audio.mean(axis=1, keepdims=True)
    return mid + 0.7 * (audio - mid)


def notes(reference, applied_share=0.8, same_passage=False) -> tuple[str, ...]:
    return match_notes(
        track=features_of(song()),
        reference=reference,
        name="ref.wav",
        prior=SAME_SONG_PRIOR,
        applied_share=applied_share,
        same_passage=same_passage,
    )


@pytest.mark.parametrize("gain", [1.0, -0.3, 2.5])
def test_equal_audio_up_to_gain_is_the_track_itself(gain):
    assert is_equal_up_to_gain(features_of(song()), features_of(gain * song()))
    assert "the track itself" in notes(features_of(gain * song()), same_passage=True)[0]


def test_equal_long_term_features_are_the_track_itself():
    """A target file of the track has no frames."""
    assert is_equal_up_to_gain(features_of(song()), dataclasses.replace(features_of(song()), frames=None))


@pytest.mark.parametrize(
    "remix",
    [
        lambda x: sosfilt(peaking_sos(3000.0, 1.0, 4.0, RATE)[None], x, axis=0),
        narrower,
        lambda x: np.tanh(3.0 * x),
    ],
)
def test_another_mix_of_the_passage_is_a_reference(remix):
    track, reference = features_of(song()), features_of(remix(song()))
    assert not is_equal_up_to_gain(track, reference)
    (note,) = notes(reference, same_passage=True)
    assert "another mix of the same passage" in note and "the track itself" not in note


def test_the_difference_of_another_mix_is_described():
    reference = sosfilt(peaking_sos(3000.0, 4.0, 1.0, RATE)[None], song(), axis=0)
    (note,) = notes(features_of(reference), same_passage=True)
    assert "3,175 Hz" in note or "2,828 Hz" in note
    assert "(+4." in note or "(+3." in note


def test_other_music_of_the_same_length_is_not_the_track():
    assert not is_equal_up_to_gain(features_of(song()), features_of(music(9.0, seed=2)))


def test_missing_bands_are_reported_when_the_tone_is_matched():
    reference = dataclasses.replace(features_of(music(9.0, seed=2)), max_hz=4000.0)
    assert any("4,000 Hz" in note for note in notes(reference))
    assert not any("4,000 Hz" in note for note in notes(reference, applied_share=None))
