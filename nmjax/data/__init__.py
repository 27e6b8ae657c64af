"""Music in, excerpts out: NumPy only, no JAX of our own."""

from nmjax.data.pipeline import training_batches, validation_batches
from nmjax.data.songs import Song
from nmjax.data.sources import Source, find_all, find_songs, parse_sources
from nmjax.data.spectra import STYLE_HZ, style_covariance
from nmjax.data.split import split_songs

__all__ = [
    "STYLE_HZ",
    "Song",
    "Source",
    "find_all",
    "find_songs",
    "parse_sources",
    "split_songs",
    "style_covariance",
    "training_batches",
    "validation_batches",
]
