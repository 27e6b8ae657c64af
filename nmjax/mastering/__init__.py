"""A track in, a master out, in pieces: listen, predict, render, bring to a loudness."""
