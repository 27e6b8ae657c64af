"""A start from a warm index with many files."""

import os

import numpy as np

from nmjax.config import load_config
from nmjax.data import find_songs, split_songs, training_batches
from nmjax.data.index import IndexRow, index_path, save_index
from tests.synthetic_audio import music, write_audio


def write_linked_songs(folder, cache_dir, count):
    """A folder of links to one file, and an index in which each lasts 100 s."""
    (folder / "albums").mkdir(parents=True)
    rows, levels = [], np.full(200, -20, np.int8)
    one = write_audio(folder.parent / "one.wav", music(0.1))
    for i in range(count):
        path = folder / f"albums/{i:06d}.wav"
        os.link(one, path)
        stat = path.stat()
        header = (100 * 44_100, 44_100, 2, "WAV", "PCM_16", "")
        rows.append(IndexRow(f"albums/{path.name}", stat.st_size, stat.st_mtime_ns, "", *header, -20.0, levels))
    save_index(index_path(folder, cache_dir), rows)


def test_indexed_files_are_not_opened(tmp_path, monkeypatch):
    """benchmarks/pipeline.py measures the time; here, type checks would dominate it."""
    write_linked_songs(tmp_path / "music", tmp_path / "cache", 1000)
    monkeypatch.setattr("nmjax.data.decoded_cache.scan_file", None)  # would raise
    monkeypatch.setattr("nmjax.data.index.save_index", None)
    songs = find_songs(tmp_path / "music", None, tmp_path / "cache")
    training, held_out = split_songs(songs, 0.1, 0)
    training_batches(training, load_config("1a").data, 44_100, 0)
    assert (len(songs), len(held_out)) == (1000, 100)
