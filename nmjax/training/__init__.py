"""Training: degradation on the device, one compiled step, a thin loop, runs that go on where they stopped."""
