"""How the programs start, stop and keep what they need: no signal processing."""
