"""Music in, excerpts out: NumPy only, no JAX of our own."""

from nmjax.data.index import find_songs
from nmjax.data.pipeline import training_batches, validation_batches
from nmjax.data.songs import Song
from nmjax.data.split import split_songs

__all__ = ["Song", "find_songs", "split_songs", "training_batches", "validation_batches"]
