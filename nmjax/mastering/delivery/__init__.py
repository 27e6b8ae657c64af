"""From a signal to files that are as loud as was asked for: planned, limited, written, verified."""
