"""Closed-form fit of the spectral encoder, and the fit of the decoders that follow from it.

`fit.py` runs the whole fit: `excerpts.py` reads songs, `estimator.py` fits the encoder, `decoder_fit.py` the equalizer
decoder and `processor_fit.py` the decoders of the processors. `ridge.py` is the ridge regression of all of them.
"""
