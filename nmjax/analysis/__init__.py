"""Analysis of a network's settings over a collection of tracks, and the ablation of fixed and adaptive bands."""
