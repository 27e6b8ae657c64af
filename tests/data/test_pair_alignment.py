"""Pairs as studios deliver them: SciPy's filters and a compressor of the test's own make the mastered side."""

import numpy as np
import pytest
from scipy.signal import bilinear, lfilter, sosfilt, tf2sos

from nmjax.data import alignment_store, find_songs
from nmjax.data.pair_alignment import align_pair
from nmjax.data.segment_reader import SegmentReader
from nmjax.runtime.errors import BadInputError
from tests.synthetic_audio import music, segment, write_audio

RATE = 44_100
SECONDS = 5.0


def mixed_music(seed=0):
    """Music with notes of several pitches over broad-band noise."""
    audio = music(SECONDS, RATE, 2, seed)
    time = np.arange(len(audio)) / RATE
    rng = np.random.default_rng(seed)
    for start in np.arange(0.0, SECONDS, 0.25):
        envelope = np.where(time >= start, np.exp(-8.0 * np.maximum(time - start, 0.0)), 0.0)
        audio += 0.1 * (envelope * np.sin(2 * np.pi * rng.uniform(80.0, 2000.0) * time))[:, None]
    return audio


def shelf(audio, freq_hz, gain_db):
    """First-order minimum-phase high shelf by the bilinear transform."""
    w = 2 * RATE * np.tan(np.pi * freq_hz / RATE)
    gain = 10 ** (gain_db / 20)
    return lfilter(*bilinear([gain / w * np.sqrt(1 / gain), 1.0], [np.sqrt(1 / gain) / w, 1.0], RATE), audio, axis=0)


def peak(audio, freq_hz, gain_db, q):
    """Peaking filter from its analog prototype."""
    w, amplitude = 2 * RATE * np.tan(np.pi * freq_hz / RATE), 10 ** (gain_db / 40)
    b, a = bilinear([1 / w**2, amplitude / (q * w), 1.0], [1 / w**2, 1 / (amplitude * q * w), 1.0], RATE)
    return sosfilt(tf2sos(b, a), audio, axis=0)


def compress(audio, threshold_db=-24.0, ratio=4.0):
    """Feed-forward compressor with a one-pole detector of 5 ms."""
    coefficient = np.exp(-1.0 / (0.005 * RATE))
    power = lfilter([1 - coefficient], [1, -coefficient], np.mean(audio**2, axis=1))
    over_db = np.maximum(0.0, 10 * np.log10(power + 1e-12) - threshold_db)
    return audio * 10 ** (-over_db * (1 - 1 / ratio) / 20)[:, None]


def mastered_in_earnest(audio):
    """Heavy equalization with minimum-phase filters, compression and saturation."""
    equalized = shelf(peak(peak(audio, 90.0, 9.0, 0.7), 400.0, -8.0, 1.0), 5000.0, -9.0)
    return 0.7 * np.tanh(2.5 * compress(equalized))


def delayed(audio, frames):
    result = np.zeros_like(audio)
    if frames >= 0:
        result[frames:] = audio[: len(audio) - frames]
    else:
        result[:frames] = audio[-frames:]
    return result


def write_pair(folder, unmastered, mastered, name="x"):
    write_audio(folder / f"raw/{name}.wav", unmastered, RATE, "FLOAT")
    write_audio(folder / f"done/{name}.wav", mastered, RATE, "FLOAT")
    return folder / "raw", folder / "done"


def aligned_song(folder, unmastered, mastered):
    messages = []
    (song,) = find_songs(*write_pair(folder, unmastered, mastered), folder / "cache", report=messages.append)
    return song, messages


@pytest.mark.parametrize(("delay", "polarity"), [(1, 1), (300, 1), (-40, 1), (22_050, -1), (-5000, -1)])
def test_a_pure_delay_is_exact_to_the_sample(tmp_path, delay, polarity):
    audio = mixed_music()
    song, messages = aligned_song(tmp_path, audio, 0.5 * polarity * delayed(audio, delay))
    assert (song.alignment.delay_frames, song.alignment.polarity) == (delay, polarity)
    assert song.alignment.gain_db == pytest.approx(-6.02, abs=1.0)
    (message,) = messages
    assert ("1 sample " if delay == 1 else f"{abs(delay)} samples") in message and (
        "late" if delay > 0 else "early"
    ) in message
    assert ("inverted" in message) == (polarity < 0)
    example = SegmentReader(1.0, RATE, 2)(segment(song, 1.3), np.random.default_rng(0))
    np.testing.assert_allclose(example["target"], 0.5 * example["input"], atol=1e-6)


@pytest.mark.parametrize("start", [0.0, SECONDS])
@pytest.mark.parametrize("delay", [4410, -4410])
def test_segments_at_both_ends_hold_both_sides(tmp_path, delay, start):
    audio = mixed_music()
    song, _ = aligned_song(tmp_path, audio, delayed(audio, delay))
    example = SegmentReader(0.5, RATE, 1)(segment(song, start), np.random.default_rng(0))
    assert example["length"] == RATE // 2
    np.testing.assert_allclose(example["target"], example["input"], atol=1e-6)
    assert np.abs(example["target"][-100:]).max() > 0.0


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("delay", "polarity"), [(0, 1), (1234, -1), (-777, 1)])
def test_a_processed_pair_is_aligned_within_a_sample(tmp_path, seed, delay, polarity):
    audio = mixed_music(seed)
    song, _ = aligned_song(tmp_path, audio, polarity * delayed(mastered_in_earnest(audio), delay))
    assert abs(song.alignment.delay_frames - delay) <= 1
    assert song.alignment.polarity == polarity


def test_a_short_filter_is_no_delay(tmp_path):
    audio = music(1.0)
    filtered = np.stack([np.convolve(x, [-1.0, 0.7, -0.3])[: len(x)] for x in audio.T], axis=1)
    song, messages = aligned_song(tmp_path, audio, filtered)
    assert (song.alignment.delay_frames, song.alignment.polarity) == (0, -1)
    assert "inverted in polarity" in messages[0]


def test_an_aligned_pair_is_read_as_it_is(tmp_path):
    audio = mixed_music()
    song, messages = aligned_song(tmp_path, audio, 0.3 * audio)
    assert messages == []
    example = SegmentReader(1.0, RATE, 2)(segment(song, 0.7), np.random.default_rng(0))
    start = round(0.7 * RATE)
    np.testing.assert_array_equal(example["input"], audio[start : start + RATE].astype(np.float32))
    np.testing.assert_array_equal(example["target"], (0.3 * audio)[start : start + RATE].astype(np.float32))


def test_pairs_are_aligned_once_and_again_where_a_file_changes(tmp_path, monkeypatch):
    aligned = []

    def counted(unmastered, mastered):
        aligned.append(mastered.original_path)
        return align_pair(unmastered, mastered)

    monkeypatch.setattr(alignment_store, "align_pair", counted)
    audio = mixed_music()
    folders = write_pair(tmp_path, audio, delayed(audio, 300), "one")
    write_pair(tmp_path, audio, delayed(audio, 200), "two")
    first, second = (find_songs(*folders, tmp_path / "cache", report=lambda _: None) for _ in range(2))
    assert [song.alignment for song in first] == [song.alignment for song in second]
    assert len(aligned) == 2
    write_pair(tmp_path, audio, delayed(audio, 100), "two")
    third = find_songs(*folders, tmp_path / "cache", report=lambda _: None)
    assert [song.alignment.delay_frames for song in third] == [300, 100]
    assert len(aligned) == 3


def test_a_damaged_store_is_measured_again(tmp_path):
    audio = mixed_music()
    folders = write_pair(tmp_path, audio, delayed(audio, 300))
    (song,) = find_songs(*folders, tmp_path / "cache", report=lambda _: None)
    (store,) = (tmp_path / "cache").glob("alignments-*.json")
    for damage in ("", "[]", '{"version": 1, "alignments": {"a": [1]}}', '{"version": 1, "alignments": []}'):
        store.write_text(damage)
        assert find_songs(*folders, tmp_path / "cache", report=lambda _: None) == [song]


def test_many_aligned_pairs_are_one_sentence(tmp_path):
    audio, messages = music(1.0), []
    for i in range(9):
        folders = write_pair(tmp_path, audio, (-1.0 if i == 0 else 1.0) * delayed(audio, i), f"{i}")
    find_songs(*folders, tmp_path / "cache", report=messages.append)
    expected = "Aligned 9 of 9 pairs: their sides were up to 0.18 ms apart, and 1 of them inverted in polarity."
    assert messages == [expected]


def test_a_hopeless_pair_is_skipped_and_the_others_remain(tmp_path):
    audio, messages = mixed_music(), []
    write_pair(tmp_path, audio, 0.5 * audio, "good")
    write_pair(tmp_path, audio, mixed_music(seed=5), "other")
    write_pair(tmp_path, audio, audio[: len(audio) // 2], "short")
    drifting = np.concatenate([delayed(part, i * 700) for i, part in enumerate(np.split(audio, 5))])
    write_pair(tmp_path, audio, drifting, "drifting")
    songs = find_songs(tmp_path / "raw", tmp_path / "done", tmp_path / "cache", report=messages.append)
    assert [song.name for song in songs] == ["good"]
    assert len(messages) == 3 and all(message.startswith("Skipped: ") for message in messages)
    for name, reason in (("other", "different music"), ("short", "length"), ("drifting", "")):
        assert any(f"{name}.wav" in message and reason in message for message in messages)


def test_silent_sides_are_not_aligned(tmp_path):
    song, messages = aligned_song(tmp_path, np.zeros((RATE, 1)), music(1.0, channels=1))
    assert (song.alignment.delay_frames, song.alignment.polarity, messages) == (0, 1, [])


def test_no_pair_left_ends_with_the_first_reason(tmp_path):
    with pytest.raises(BadInputError, match="different music"):
        find_songs(*write_pair(tmp_path, mixed_music(), mixed_music(seed=5)), tmp_path / "cache", report=lambda _: None)
