"""Audio files: probe, read, write, formats, dither, tags, streams."""
