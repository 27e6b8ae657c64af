"""Masters many tracks in one run, here or on other machines, each alone or as an album."""
