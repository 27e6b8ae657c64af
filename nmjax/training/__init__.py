"""Training: degradation on the device, one compiled step, a thin loop, resumable runs, and the spectral fit."""
