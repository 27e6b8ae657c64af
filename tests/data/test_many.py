"""A start from a warm index with 100,000 files."""

import os
import time

import numpy as np
import pytest

from nmjax.config import load_config
from nmjax.data import find_songs, split_songs, training_batches
from nmjax.data.index import Row, index_path, save
from tests.music import music, write

LINKS_A_FILE = 20_000  # file systems have a limit


def many(folder, cache_dir, count):
    """A folder of links to a few files, and an index that says of each that it lasts 100 s."""
    (folder / "albums").mkdir(parents=True)
    rows, levels = [], np.full(200, -20, np.int8)
    for i in range(count):
        if i % LINKS_A_FILE == 0:
            one = write(folder.parent / f"{i}.wav", music(0.1))
        path = folder / f"albums/{i:06d}.wav"
        os.link(one, path)
        stat = path.stat()
        header = (100 * 44_100, 44_100, 2, "WAV", "PCM_16", "")
        rows.append(Row(f"albums/{path.name}", stat.st_size, stat.st_mtime_ns, "", *header, -20.0, levels))
    save(index_path(folder, cache_dir), rows)


@pytest.mark.parametrize("count", [300, pytest.param(100_000, marks=pytest.mark.slow)])
def test_known_files_are_not_opened_and_the_start_takes_seconds(tmp_path, monkeypatch, count):
    many(tmp_path / "music", tmp_path / "cache", count)
    monkeypatch.setattr("nmjax.data.cache.heard", None)  # would raise
    began = time.process_time()
    songs = find_songs(tmp_path / "music", None, tmp_path / "cache")
    training, held_out = split_songs(songs, 0.1, 0)
    training_batches(training, load_config("1a").data, 44_100, 0)
    assert time.process_time() - began < 5.0
    assert (len(songs), len(held_out)) == (count, count // 10)
