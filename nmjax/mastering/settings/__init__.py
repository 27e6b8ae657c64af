"""Settings as a person reads and changes them: files, changes by flags, exports for other programs."""
