"""The benchmark: faults of its own on unseen songs, what each system makes of them, and how near that is."""
