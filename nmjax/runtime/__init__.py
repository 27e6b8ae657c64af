"""Process start and stop, files on disk, console: no signal processing."""
