"""Reference matching: the features of a reference and the settings that move a track towards them."""
