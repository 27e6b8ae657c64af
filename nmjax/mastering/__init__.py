"""A track in, a master out, in constant memory: analyze, predict settings, render, deliver."""
