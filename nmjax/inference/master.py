"""One track from file to file: measure, listen, render, bring to a loudness, write."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nmjax import io
from nmjax.dsp import Bands
from nmjax.dsp.rates import bands_at_rate
from nmjax.errors import BadInputError
from nmjax.inference.measure import Measurement, Meter, measured
from nmjax.inference.network import Network
from nmjax.inference.picture import draw
from nmjax.inference.render import scaled
from nmjax.inference.settings_file import as_json
from nmjax.inference.track import Heard, corrected, listen
from nmjax.io import AudioInfo
from nmjax.models import SAMPLE_RATE, Prediction

TARGET_LUFS = -14.0
CEILING_DB = -1.0  # dBTP
_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}  # a sample
_MOST_WAV_BYTES = 4_000_000_000
_WORTH_SAYING_LU = 0.05
_PIECE = 1 << 16  # frames
_CONTAINERS = {".wav": "WAV", ".flac": "FLAC", ".aif": "AIFF", ".aiff": "AIFF"}


@dataclasses.dataclass(frozen=True)
class Mastered:
    """What became of a track. `before` and `after` delivery are measured at full precision; gain_db is the
    delivery's."""

    out: Path
    settings: Path
    prediction: Prediction
    rendered: Bands
    before: Measurement
    after: Measurement
    gain_db: float
    notes: list[str]

    @property
    def delivered_lufs(self) -> float:
        """Loudness of the written file."""
        return self.after.lufs + self.gain_db


def output_path(track: Path, out: Path | None) -> Path:
    """Where a master goes: beside the track, in its own format where that is lossless, else as WAV."""
    if out is None:
        suffix = track.suffix if track.suffix.lower() in _CONTAINERS else ".wav"
        return track.with_name(f"{track.stem}-mastered{suffix}")
    if out.suffix.lower() not in _CONTAINERS:
        raise BadInputError(f"'{out}' must end in one of: {', '.join(_CONTAINERS)}.")
    return out


def check_paths(track: Path, out: Path, picture: Path | None, force: bool) -> None:
    """Raise before any work if the track would be overwritten, two outputs are one file, or something else would be
    overwritten without `force`."""
    if picture and picture.suffix.lower() != ".png":
        raise BadInputError(f"'{picture}' must end in .png; that is what --plot writes.")
    taken = {track.resolve()}
    for path in (out, settings_path(out), *([picture] if picture else [])):
        try:
            exists = path.exists()
        except OSError as error:  # a name that no file system takes
            raise BadInputError(io.unwritable(path, error)) from None
        if path.is_dir():
            raise BadInputError(f"'{path}' is a folder; name a file in it.")
        if path.resolve() in taken or (exists and track.exists() and path.samefile(track)):
            raise BadInputError(f"'{path}' is the track itself or another output; choose another name.")
        if exists and not force:
            raise BadInputError(
                f"'{path}' exists already; add --force to overwrite it, or name another output with -o."
            )
        taken.add(path.resolve())


def settings_path(out: Path) -> Path:
    """Where the settings of a master go."""
    return out.with_suffix(".json")


def master(track: Path, out: Path, network: Network, picture: Path | None = None) -> Mastered:
    """Master a track; the file, its settings and the picture, if one is wanted, appear together, or none does.

    Raises:
        BadInputError: the track cannot be used, or the output cannot be written.
    """
    info = _usable(track)
    notes: list[str] = []
    before = measured(io.pieces(track, _PIECE), info.sample_rate, info.channels)
    if before.frames < 2:
        raise BadInputError(f"'{track}' holds a single sample; there is nothing to master.")
    if before.frames < info.frames:
        notes.append(f"The file says that it holds {info.frames} samples; {before.frames} could be read.")
    heard = Heard(lambda: io.pieces(track, _PIECE), info.sample_rate, before.lufs)
    prediction = listen(heard, network)
    rendered = bands_at_rate(prediction.settings.eq.bands(), SAMPLE_RATE, info.sample_rate)
    settings = settings_path(out)
    with contextlib.ExitStack() as stack:
        audio_file, settings_file = (stack.enter_context(io.temporary_beside(path)) for path in (out, settings))
        picture_file = stack.enter_context(io.temporary_beside(picture)) if picture else None
        audio = corrected(heard, prediction, rendered, network)
        after, gain_db = _delivered(audio, info, audio_file, out, notes)
        result = Mastered(out, settings, prediction, rendered, before, after, gain_db, notes)
        settings_file.write_text(
            as_json(track.name, network, prediction, rendered, info.sample_rate, _delivery(result))
        )
        if picture and picture_file:
            draw(prediction, f"{out.name}: equaliser", picture_file)
            io.publish(picture_file, picture)
        io.publish(settings_file, settings)
        io.publish(audio_file, out)
    return result


def _delivered(
    audio: Iterator[np.ndarray], info: AudioInfo, file: Path, out: Path, notes: list[str]
) -> tuple[Measurement, float]:
    """Measure the master on its way into a spool, then write it to `file`, in the format of `out`, with one gain."""
    with tempfile.TemporaryFile(dir=out.parent) as spool:
        meter = Meter(info.sample_rate, info.channels)
        for piece in meter.watch(audio):
            spool.write(piece.tobytes())
        after = meter.result()
        gain_db = _delivery_gain_db(after, notes)
        spool.seek(0)
        louder = scaled(_spooled(spool, info.channels), gain_db)
        io.encode(file, louder, info.sample_rate, info.channels, _container(info, out), _subtype(info, out))
    return after, gain_db


def _usable(track: Path) -> AudioInfo:
    info = io.probe(track)
    if info.channels > 2:
        raise BadInputError(f"'{track}' has {info.channels} channels; mono and stereo can be mastered.")
    return info


def _delivery_gain_db(after: Measurement, notes: list[str]) -> float:
    """The gain to −14 LUFS, or less where the true peak would pass −1 dBTP."""
    if after.peak == 0.0:
        notes.append("The track is silent, and so is the master.")
        return 0.0
    room = CEILING_DB - after.true_peak_db
    if not math.isfinite(after.lufs):
        notes.append(
            "The track is too short or too quiet to have a loudness (400 ms above −70 LUFS); its peak alone was held."
        )
        return min(0.0, room)
    wanted = TARGET_LUFS - after.lufs
    if wanted - room > _WORTH_SAYING_LU:
        notes.append(
            f"A true peak of {CEILING_DB:g} dBTP allows no more than {after.lufs + room:.1f} LUFS by gain alone; "
            f"the master is {wanted - room:.1f} LU below {TARGET_LUFS:g} LUFS."
        )
    return min(wanted, room)


def _delivery(result: Mastered) -> dict[str, float | None]:
    lufs, peak = result.delivered_lufs, result.after.true_peak_db + result.gain_db
    return {
        "gain_db": result.gain_db,
        "lufs": round(lufs, 2) if math.isfinite(lufs) else None,
        "true_peak_db": round(peak, 2) if math.isfinite(peak) else None,
    }


def _spooled(spool, channels: int) -> Iterator[np.ndarray]:
    while block := spool.read(_PIECE * channels * 4):
        yield np.frombuffer(block, np.float32).reshape(-1, channels)


def _container(info: AudioInfo, out: Path) -> str:
    """WAV's own size field ends at 4 GB; RF64 is WAV with a longer one."""
    container = _CONTAINERS[out.suffix.lower()]
    size = info.frames * info.channels * _BYTES[_subtype(info, out)]
    return "RF64" if container == "WAV" and size > _MOST_WAV_BYTES else container


def _subtype(info: AudioInfo, out: Path) -> str:
    """The input's bit depth where the output's format has it; 24 bits for lossy inputs."""
    container = _CONTAINERS[out.suffix.lower()]
    if info.lossy or (container == "FLAC" and info.subtype not in ("PCM_16", "PCM_24")):
        return "PCM_24"
    return info.subtype if info.subtype in _BYTES else "PCM_16"
