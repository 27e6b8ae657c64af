"""What the page needs to know before any track: networks, presets, ranges."""

from __future__ import annotations

import functools
from typing import Any

from nmjax import __version__
from nmjax.mastering import pretrained
from nmjax.mastering.delivery.spec import PRESETS
from nmjax.mastering.network_names import MODEL_PURPOSES
from nmjax.mastering.request import REPAIR_NAMES
from nmjax.mastering.settings.labels import setting_label
from nmjax.mastering.settings.schema import BAND_RANGES, MAX_SIDE_BANDS
from nmjax.models.processors import PROCESSORS
from nmjax.reference.limits import DEFAULT_LIMITS, SAME_SONG_LIMITS
from nmjax.reference.styles import STYLE_NAMES
from nmjax.studio.deliveries import FORMATS
from nmjax.studio.studio import Studio

_STEPS = 200  # of a control over its range
_NETWORK_LABELS = {
    "1a": "Tone",
    "1a-free": "Tone, learned from free music",
    "1b-restore": "Undo saturation",
    "1c": "Tone, with as few bands as it needs",
    "2": "Tone, dynamics, width",
    "2-master": "A whole mastering chain",
}


def session_dict(studio: Studio) -> dict[str, Any]:
    """The session for JSON."""
    return {
        "session": studio.session.folder.name,
        "tracks": [track.brief() for track in studio.tracks()],
        "upload_limit_bytes": studio.upload_limit_bytes,
        **_choices(),
    }


@functools.cache
def _choices() -> dict[str, Any]:
    return {
        "networks": [_network(name) for name in pretrained.model_names()],
        "presets": [
            {"name": spec.name, "lufs": spec.lufs, "true_peak": spec.true_peak_db, "max_limiting": spec.max_limiting_db}
            for spec in PRESETS.values()
        ],
        "repairs": list(REPAIR_NAMES),
        "styles": list(STYLE_NAMES),
        "processors": [_processor(name) for name in PROCESSORS],
        "band_limits": {field: [limits.low, limits.high] for field, limits in BAND_RANGES.items()},
        "max_side_bands": MAX_SIDE_BANDS,
        "max_boost": {"default": DEFAULT_LIMITS.max_boost_db, "same_song": SAME_SONG_LIMITS.max_boost_db},
        "formats": list(FORMATS),
        "version": __version__,
    }


def _network(name: str) -> dict[str, str]:
    label = f"{_NETWORK_LABELS[name]} ({name})" if name in _NETWORK_LABELS else name
    return {"name": name, "label": label, "description": MODEL_PURPOSES.get(name, "").replace("\n", " ")}


def _processor(name: str) -> dict[str, Any]:
    processor = PROCESSORS[name]
    settings = []
    for setting in processor.settings:
        low, high = processor.limits[setting.name]
        is_log = setting.scale in ("log", "slope") and low > 0.0
        label = setting_label(setting)
        settings.append(
            {
                "name": setting.name,
                "label": label[0].upper() + label[1:],
                "unit": setting.unit,
                "low": low,
                "high": high,
                "neutral": setting.neutral,
                "scale": "log" if is_log else "linear",
                "step": 0.01 if is_log else round((high - low) / _STEPS, 3),
            }
        )
    return {"name": name, "label": name.capitalize(), "settings": settings}
