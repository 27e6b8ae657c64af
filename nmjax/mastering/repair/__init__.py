"""Repairs of defects that the diagnosis found, on the samples of the track before everything else. NumPy only."""
