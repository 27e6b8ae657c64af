"""Settings for people: files that can be edited, overrides from flags, exports for other programs."""
