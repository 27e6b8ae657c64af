"""The report of a master: what is noted while a sound passes, charts, players, the page."""
