"""Audio in temporary files."""

import errno
import os

import numpy as np
import pytest

from nmjax.audio.spool import Spool, StoredStream
from nmjax.runtime.errors import CannotWriteError


@pytest.fixture
def audio():
    return np.random.default_rng(0).normal(size=(200_000, 2)).astype(np.float32)


@pytest.mark.parametrize("memory_bytes", [0, 700_000, 1 << 30])  # none, some or all of it in memory
def test_a_spool_returns_what_was_added(audio, tmp_path, memory_bytes):
    spool = Spool(2, tmp_path, memory_bytes)
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

    open_stored = StoredStream(open_stream, 2).read_chunks
    next(iter(open_stored()))  # not to its end
    for expected in (2, 2, 2):
        np.testing.assert_array_equal(np.concatenate(list(open_stored())), audio)
        assert len(openings) == expected


def test_a_full_disk_and_a_missing_folder_are_named(audio, tmp_path):
    class FullDisk:
        def write(self, _):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self):
            pass

    spool = Spool(2, tmp_path)
    spool._file = FullDisk()
    with pytest.raises(CannotWriteError, match=rf"disk is full: '{tmp_path}' was not written"):
        spool.append(audio)
    with pytest.raises(CannotWriteError, match=r"absent' cannot be written \(No such file or directory\)"):
        Spool(2, tmp_path / "absent")
