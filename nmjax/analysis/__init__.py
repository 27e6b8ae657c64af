"""What a network does over a collection: its settings at scale, statistics of them, pictures and a page."""
