"""Benchmark examples: seeded by the song alone, without overlap with their references, without silence."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from nmjax.data import find_songs
from nmjax.evaluation.examples import SongExcerpt, plan_examples, read_example, read_excerpt
from nmjax.evaluation.metrics import lufs
from tests.synthetic_audio import music, write_audio


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    root = tmp_path_factory.mktemp("examples")
    for group in ("a", "b"):
        for i in range(2):
            write_audio(root / group / f"{i}.wav", music(31.0, seed=ord(group) + i))
    write_audio(root / "b" / "short.wav", music(8.0))
    quiet = music(40.0, seed=9)
    quiet[: 22 * 44_100] *= 1e-5
    write_audio(root / "b" / "quiet.wav", quiet)
    write_audio(root / "b" / "faster.wav", music(20.0, 48_000, channels=1), 48_000)
    return find_songs(root, cache_dir=tmp_path_factory.mktemp("cache"))


def excerpt_starts(plans):
    return {plan.name: plan.excerpt.start for plan in plans}


def test_excerpts_lie_inside_their_songs_apart_from_their_references(catalog):
    examples = list(plan_examples(catalog, 10.0, 2, 0))
    assert len(examples) == 2 * 6
    assert not any("short" in plan.name for plan in examples)
    for plan in examples:
        excerpt = plan.excerpt
        assert 0.0 <= excerpt.start <= excerpt.song.seconds - excerpt.seconds + 1e-6
        assert plan.same_song.song is excerpt.song
        assert abs(plan.same_song.start - excerpt.start) >= excerpt.seconds - 1e-6
        assert plan.other_song.song.group != excerpt.song.group
    starts = excerpt_starts(examples)
    assert len({starts["a/0 #0"], starts["a/0 #1"], starts["a/1 #0"]}) > 1


def test_the_excerpt_of_a_song_does_not_depend_on_other_songs(catalog):
    every, some = (excerpt_starts(plan_examples(songs, 10.0, 1, 5)) for songs in (catalog, catalog[1:3]))
    assert some.items() <= every.items()
    assert every != excerpt_starts(plan_examples(catalog, 10.0, 1, 6))


def test_silence_is_skipped(catalog):
    quiet = [s for s in catalog if s.name == "b/quiet"]
    for seed in range(8):
        assert min(excerpt_starts(plan_examples(quiet, 8.0, 1, seed)).values()) >= 20.0


def test_source_and_target_are_of_one_loudness_rate_and_length(catalog):
    song = [s for s in catalog if s.name in ("b/faster", "a/0")]
    for plan in plan_examples(song, 9.0, 1, 0):
        example = read_example(plan, "mix", 0)
        assert example.source.shape == example.target.shape
        assert len(example.target) == pytest.approx(9.0 * 44_100, abs=2)
        levels = [lufs(x, 44_100) for x in (example.source, example.target)]
        assert levels[0] == pytest.approx(levels[1], abs=1e-6)
        without_references = read_example(plan, "mix", 0, with_references=False)
        assert np.array_equal(without_references.source, example.source)
        assert without_references.same_song is None and without_references.other_song is None
        assert not np.array_equal(read_example(plan, "tone", 0).source, example.source)
        assert example.same_song.shape == read_excerpt(plan.same_song).shape


def test_whole_songs_have_no_reference_of_their_own(catalog):
    examples = list(plan_examples(catalog, None, 3, 0))
    assert len(examples) == 7
    assert all(plan.excerpt.seconds == plan.excerpt.song.seconds and plan.same_song is None for plan in examples)


def test_a_lossy_song_is_read_at_its_own_level(tmp_path):
    track = write_audio(tmp_path / "a.ogg", 0.3 * music(12.0), 44_100, "VORBIS")
    (song,) = find_songs(tmp_path, cache_dir=tmp_path / "cache")
    decoded, _ = soundfile.read(str(track), always_2d=True)
    np.testing.assert_allclose(read_excerpt(SongExcerpt(song, 2.0, 5.0)), decoded[2 * 44_100 : 7 * 44_100], atol=1e-5)
