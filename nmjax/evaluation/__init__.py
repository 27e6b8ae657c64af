"""The benchmark: apply known degradations to unseen songs and measure how well each system restores the originals."""
