"""Examples are the right section of the right song, at the speed that was drawn, and never a silent one."""

import numpy as np
import pytest

from nmjax.data import find_songs
from nmjax.data.segment_reader import SegmentReader
from nmjax.data.segments import SegmentDataset
from tests.synthetic_audio import music, segment, write_audio


def test_an_excerpt_equals_the_samples_of_the_file(tmp_path):
    audio = music(2.0)
    write_audio(tmp_path / "x.wav", audio, subtype="FLOAT")
    song, rng = find_songs(tmp_path)[0], np.random.default_rng(0)
    example = SegmentReader(0.5, 44_100, 2)(segment(song, 0.75), rng)
    start = round(0.75 * 44_100)
    np.testing.assert_array_equal(example["target"], audio[start : start + 22_050].astype(np.float32))
    mono = SegmentReader(0.5, 44_100, 1)(segment(song, 0.75), rng)
    np.testing.assert_allclose(mono["target"][:, 0], example["target"].mean(axis=1), atol=1e-7)


def test_an_excerpt_at_another_rate_is_of_the_same_time(tmp_path):
    time = np.arange(2 * 48_000) / 48_000
    write_audio(tmp_path / "x.wav", 0.5 * np.sin(2 * np.pi * 997.0 * time)[:, None], 48_000, "FLOAT")
    example = SegmentReader(0.5, 44_100, 1)(segment(find_songs(tmp_path)[0], 0.7), np.random.default_rng(0))
    expected = 0.5 * np.sin(2 * np.pi * 997.0 * (0.7 + np.arange(22_050) / 44_100))
    assert np.abs(example["target"][:, 0] - expected).max() < 1e-5


def test_short_songs_are_padded_and_the_end_of_a_song_is_reached(tmp_path):
    write_audio(tmp_path / "short/x.wav", music(0.2))
    example = SegmentReader(0.5, 44_100, 2)(segment(find_songs(tmp_path / "short")[0], 0.0), np.random.default_rng(0))
    assert example["target"].shape == (22_050, 2)
    assert example["length"] == 8_820
    assert np.all(example["target"][8_820:] == 0.0)
    assert np.abs(example["target"][:8_820]).max() > 0.01
    audio = music(2.0)
    write_audio(tmp_path / "long/x.wav", audio, subtype="FLOAT")
    example = SegmentReader(0.5, 44_100, 2)(segment(find_songs(tmp_path / "long")[0], 1.9), np.random.default_rng(0))
    np.testing.assert_array_equal(example["target"], audio[-22_050:].astype(np.float32))


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_songs_speed_moves_pitch_and_tempo_together(tmp_path, rate):
    """A click and a tone: at each factor that was drawn, the one moves as the other does; both sides alike."""
    time = np.arange(3 * rate) / rate
    audio = 0.2 * np.sin(2 * np.pi * 1000.0 * time)
    audio[round(1.5 * rate)] += 0.7
    for side, gain in (("raw", 1.0), ("done", -0.5)):
        write_audio(tmp_path / side / "x.wav", gain * audio[:, None], rate, "FLOAT")
    song = find_songs(tmp_path / "raw", tmp_path / "done")[0]
    reader, factors = SegmentReader(1.0, 44_100, 1, speed_semitones=2.0), []
    for seed in range(12):
        example = reader(segment(song, 1.1), np.random.default_rng(seed))
        excerpt = -2.0 * example["target"][:, 0]
        assert example["length"] == 44_100
        np.testing.assert_allclose(excerpt, -example["input"][:, 0], atol=1e-6)  # the polarity is corrected
        lines = np.abs(np.fft.rfft(excerpt[22_050:42_000] * np.hanning(19_950), 1 << 20))
        factors.append(np.argmax(lines) * 44_100 / (1 << 20) / 1000.0)
        assert np.argmax(excerpt) == pytest.approx(0.4 * 44_100 / factors[-1], abs=3)
    assert 2.0 ** (-2 / 12) <= min(factors) < 0.96
    assert 1.04 < max(factors) <= 2.0 ** (2 / 12)


def test_segments_cover_every_song(tmp_path):
    write_audio(tmp_path / "a.wav", music(1.0))
    write_audio(tmp_path / "b.wav", music(2.6))
    segments = SegmentDataset(find_songs(tmp_path), 0.5)
    assert [(segments[i].song.name, *segments[i].start_times) for i in range(len(segments))] == [
        *[("a", 0.0), ("a", 0.5)],
        *[("b", 0.5 * i) for i in range(5)],
    ]
    segments = SegmentDataset(find_songs(tmp_path), 1.0)
    assert [[*segments[i].start_times] for i in range(len(segments))] == [[0.0], [0.0, 0.5], [1.0, 1.5]]
    assert [*segments.start_times(1)] == [0.0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize("seconds", [0.5, 1.2, 3.0])
def test_silent_and_quiet_sections_are_never_drawn(tmp_path, seconds):
    """Silence, a passage 32 dB below the rest, silence again: whatever is drawn holds some of the music."""
    audio = music(20.0, channels=1)
    audio[: 6 * 44_100], audio[12 * 44_100 : 15 * 44_100] = 0.0, 0.0
    audio[9 * 44_100 : 12 * 44_100] *= 10 ** (-32 / 20)
    write_audio(tmp_path / "x.wav", audio, subtype="FLOAT")
    segments, rng = SegmentDataset(find_songs(tmp_path), seconds), np.random.default_rng(0)
    read = SegmentReader(seconds, 44_100, 1)
    levels = [
        20 * np.log10(np.sqrt(np.mean(read(segments[i], rng)["target"] ** 2)) + 1e-9)
        for i in range(len(segments))
        for _ in range(8)
    ]
    assert min(levels) > -20.0 - 20.0 - 3.0  # the song is at about −20; the map is in half seconds and whole dB
    assert len(segments) >= 0.7 * 8 / max(seconds, 0.5)
    starts_s = {float(s) for i in range(len(segments)) for s in segments[i].start_times}
    assert {6.0, 7.5, 15.0} <= starts_s
    assert not starts_s & ({0.0, 2.0, 9.5, 10.0} if seconds < 3.0 else {0.0, 2.0})


def test_a_uniformly_quiet_song_keeps_its_loudest_segment_and_pairs_stay_aligned(tmp_path):
    ticks = np.zeros((88_200, 1))
    ticks[::1000, 0] = 1e-4 * np.arange(1, 90)  # no two alike
    write_audio(tmp_path / "raw/x.wav", ticks, subtype="FLOAT")
    write_audio(tmp_path / "done/x.wav", ticks * 0.1, subtype="FLOAT")
    segments = SegmentDataset(find_songs(tmp_path / "raw", tmp_path / "done"), 0.25)
    assert [[*segments[i].start_times] for i in range(len(segments))] == [[1.5]]
    example = SegmentReader(0.25, 44_100, 1)(segments[0], np.random.default_rng(0))
    assert np.abs(example["target"]).max() > 0.0
    np.testing.assert_allclose(example["target"], 0.1 * example["input"], atol=1e-7)
    write_audio(tmp_path / "silence/x.wav", np.zeros((44_100, 1)))
    assert len(SegmentDataset(find_songs(tmp_path / "silence"), 0.25)) == 1
