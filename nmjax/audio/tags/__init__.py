"""Tags and cover pictures, copied from a track to its master. Audio is never changed, and damaged tags raise nothing.

Supported: ID3v2.3 and 2.4 (MP3, and in WAV and AIFF), RIFF INFO (WAV), Vorbis comments and pictures (FLAC, OGG, Opus).
Tags that describe the source's audio or encoder (ReplayGain, R128 gains, encoder names) are not copied.
"""

from nmjax.audio.tags.model import Picture, Tags
from nmjax.audio.tags.transfer import copy_tags

__all__ = ["Picture", "Tags", "copy_tags"]
