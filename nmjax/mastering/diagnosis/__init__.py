"""What is wrong with a track: detectors over one pass of a signal. NumPy and SciPy only."""
