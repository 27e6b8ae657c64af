"""The report of a master: observers that record it, analysis of the signals, charts, audio players and the page."""
