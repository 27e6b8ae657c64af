"""The closed-form fit of the spectral encoder and its decoders."""
