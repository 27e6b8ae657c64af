"""Titles and covers go from the track to its master; audio is never touched, and nothing that is wrong stops a master.

Read and written: ID3v2.3 and 2.4 (MP3, and in WAV and AIFF), RIFF INFO (WAV), Vorbis comments and pictures (FLAC, OGG,
Opus). Left out: what describes the old file's sound or encoder (ReplayGain, R128 gains, encoder names).
"""

from nmjax.audio.tags.model import Picture, Tags
from nmjax.audio.tags.transfer import copy_tags

__all__ = ["Picture", "Tags", "copy_tags"]
