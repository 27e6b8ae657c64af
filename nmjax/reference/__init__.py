"""Mastering to a reference: what music sounds like in the long run, and the settings that bring a track there."""
