"""Music files to batches of excerpts, in NumPy: no JAX."""

from nmjax.data.catalog import Song
from nmjax.data.pipeline import training_batches, validation_batches
from nmjax.data.song_spectra import SONG_SPECTRUM_HZ, spectrum_covariance
from nmjax.data.sources import DataSource, find_all_songs, find_songs, parse_sources
from nmjax.data.split import split_songs

__all__ = [
    "SONG_SPECTRUM_HZ",
    "DataSource",
    "Song",
    "find_all_songs",
    "find_songs",
    "parse_sources",
    "spectrum_covariance",
    "split_songs",
    "training_batches",
    "validation_batches",
]
