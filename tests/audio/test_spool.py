"""Audio in temporary files."""

import numpy as np
import pytest

from nmjax.audio.spool import Spool, computed_once


@pytest.fixture
def audio():
    return np.random.default_rng(0).normal(size=(200_000, 2)).astype(np.float32)


def test_a_spool_returns_what_was_added(audio, tmp_path):
    spool = Spool(2, tmp_path)
    assert list(spool.read_chunks()) == []
    for chunk in np.array_split(audio.astype(np.float64), 7):
        spool.append(chunk)
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate(list(spool.read_chunks())), audio)
    assert list(tmp_path.iterdir()) == []
    spool.close()


def test_a_stream_is_computed_once_and_only_a_whole_one_is_stored(audio):
    openings = []

    def open_stream():
        openings.append(len(openings))
        yield from np.array_split(audio, 5)

    open_stored = computed_once(open_stream, 2)
    next(iter(open_stored()))  # not to its end
    for expected in (2, 2, 2):
        np.testing.assert_array_equal(np.concatenate(list(open_stored())), audio)
        assert len(openings) == expected
