"""The studio: a local web app that masters tracks, with every change audible at once."""
