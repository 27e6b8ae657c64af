"""Audio files and streams: probe, decode, encode, formats, dither, tags, chunks, the loudness meter. No JAX."""
