"""One track from file to files: measure, listen, change, render, deliver, and say what was done."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from nmjax import io
from nmjax.dsp import Bands
from nmjax.dsp.rates import bands_at_rate
from nmjax.errors import BadInputError
from nmjax.formats import Format, format_for
from nmjax.inference.decibels import finite
from nmjax.inference.deliver.delivery import LEAST_LUFS, PRESETS, Delivery, Plan, Source
from nmjax.inference.deliver.survey import Survey
from nmjax.inference.deliver.verify import Verdict
from nmjax.inference.deliver.write import Delivered, write_delivery
from nmjax.inference.network import Network
from nmjax.inference.outputs import Outputs
from nmjax.inference.reference import brought_near
from nmjax.inference.render import active_stages, flat
from nmjax.inference.report.story import Story
from nmjax.inference.settings import exports
from nmjax.inference.settings.control import Control, apply
from nmjax.inference.settings.file import StoredSettings, as_json
from nmjax.inference.settings.tree import MOST_AMOUNT
from nmjax.inference.stream import Pieces, added, scaled
from nmjax.inference.track import Heard, at_level, listen, processed, residual
from nmjax.io import AudioInfo
from nmjax.models import SAMPLE_RATE, Prediction
from nmjax.reference.match import Aim, Match

PIECE = 1 << 16  # frames
LEAST_FRAMES = 2
_CODEC_FRAMES = 4 * 1152  # that a lossy file may lack at its ends

Watch = Callable[[str, Pieces], Pieces]  # passes on a signal, which it is told the name of


@dataclasses.dataclass(frozen=True)
class Shared:
    """What the songs of an album share. lufs: the album's level. match: what a reference made of the network's answer,
    if there was one."""

    prediction: Prediction
    lufs: float
    match: Match | None = None


@dataclasses.dataclass(frozen=True)
class Options:
    """What is asked for, the same for every track.

    deliveries: a file for each. control: changes to the settings. settings: these in place of the network's. seconds:
    how much of a track is listened to, evenly spread; None for all. bits: of the samples, as `formats.BITS` has them;
    None as the input's. shared: of an album. gain_db: an album's, before delivery. aim: a reference that the network's
    settings are moved towards.
    """

    deliveries: tuple[Delivery, ...] = (PRESETS["streaming"],)
    control: Control = dataclasses.field(default_factory=Control)
    settings: StoredSettings | None = None
    seconds: float | None = None
    bits: str | None = None
    shared: Shared | None = None
    gain_db: float = 0.0
    aim: Aim | None = None


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Settings and what is rendered of them. prediction: after all changes. eq_rate: Hz, at which its bands draw the
    curve that is meant; rendered: the same at the file's rate. amount: of the residual, 0 for none. match: what a
    reference made of the network's answer, if there was one."""

    prediction: Prediction
    eq_rate: int
    rendered: Bands
    amount: float
    match: Match | None = None


@dataclasses.dataclass(frozen=True)
class Sound:
    """What is to be mastered: `pieces()` from its start, `[frames, channel]` float32. name: for the sentences."""

    pieces: Source
    sample_rate: int
    channels: int
    name: str


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A sound that was measured and listened to, and what is to be rendered. notes: sentences for the user."""

    sound: Sound
    before: Survey
    heard: Heard
    chosen: Chosen
    notes: list[str]


def unwatched(name: str, pieces: Pieces) -> Pieces:
    """A `Watch` that does nothing."""
    return pieces


@dataclasses.dataclass(frozen=True)
class Mastered:
    """What became of a track. before: the input. made: each delivery."""

    outputs: Outputs
    info: AudioInfo
    before: Survey
    chosen: Chosen
    made: list[Delivered]
    notes: list[str]


def master(
    track: Path, outputs: Outputs, network: Network | None, options: Options = Options(), passes: Watch = unwatched
) -> Mastered:
    """Master a track; all its files appear together, or none does.

    network: None where settings are given and their residual is not wanted. passes: is shown every pass over the sound.

    Raises:
        BadInputError: the track or the settings cannot be used, or an output cannot be written.
    """
    info = io.probe(track)
    formats = [format_for(path, info, options.bits) for path in outputs.audio]
    story = Story(info, outputs)
    sound = Sound(lambda: passes("Reading", io.pieces(track, PIECE)), info.sample_rate, info.channels, f"'{track}'")
    prepared = prepare(sound, network, options, story.watched)
    notes = prepared.notes
    if info.cut or prepared.before.frames < info.frames - (_CODEC_FRAMES if info.lossy else 0):
        seconds = prepared.before.frames / info.sample_rate
        notes.append(f"The file is cut short or damaged: {seconds:.1f} s could be read, its header says more.")
    with contextlib.ExitStack() as stack:
        files = {path: stack.enter_context(io.temporary_beside(path)) for path in outputs.files()}
        folder = outputs.audio[0].parent
        source = stack.enter_context(rendered(prepared, network, options.gain_db, folder, story.watched))
        made = _delivered(lambda: passes("Delivering", source()), info, formats, files, track, outputs, options)
        notes += _notes(made, prepared.before)
        result = Mastered(outputs, info, prepared.before, prepared.chosen, made, notes)
        _write_beside(result, files, track, network, options)
        story.write(files, result, source, track, network)
        io.publish_all([(files[path], path) for path in reversed(outputs.files())])  # the first master last
    return result


def prepare(sound: Sound, network: Network | None, options: Options, watch: Watch = unwatched) -> Prepared:
    """Measure and listen, and choose what is rendered.

    Raises:
        BadInputError: a sound or settings that cannot be used.
    """
    notes = list(options.settings.notes) if options.settings else []
    before = Survey(watch("before", sound.pieces()), sound.sample_rate, sound.channels, limiting_db=0.0)
    if before.frames < LEAST_FRAMES:
        raise BadInputError(f"{sound.name} holds a single sample; there is nothing to master.")
    lufs = options.shared.lufs if options.shared else before.lufs
    heard = Heard(sound.pieces, sound.sample_rate, lufs, before.frames)
    chosen = choose(heard, network, options, notes)
    return Prepared(sound, before, heard, chosen, notes)


def _delivered(
    source: Source,
    info: AudioInfo,
    formats: list[Format],
    files: dict[Path, Path],
    track: Path,
    outputs: Outputs,
    options: Options,
) -> list[Delivered]:
    """Each delivery in its temporary file; the signal is surveyed once where they share a rate."""
    at_own_rate = [chosen.sample_rate == info.sample_rate for chosen in formats]
    most_db = max(wanted.most_limiting_db for wanted in options.deliveries)
    shared = any(at_own_rate) or options.shared
    survey = Survey(source(), info.sample_rate, info.channels, most_db) if shared else None
    deliveries = options.deliveries
    if options.shared:  # a song keeps its place in the album, whatever the limiter does
        own = survey.lufs if LEAST_LUFS <= survey.lufs <= 0.0 else None
        deliveries = [dataclasses.replace(x, lufs=own) if x.true_peak_db is not None else x for x in deliveries]
    made = []
    for wanted, path, chosen, own in zip(deliveries, outputs.audio, formats, at_own_rate, strict=True):
        given = (source, info.sample_rate, info.channels, wanted, files[path], chosen)
        one = write_delivery(*given, tags_from=track, survey=survey if own else None)
        made.append(dataclasses.replace(one, verdict=dataclasses.replace(one.verdict, path=path)))
    return made


def choose(heard: Heard, network: Network | None, options: Options, notes: list[str]) -> Chosen:
    """The settings to render: from a file, an album or the network, then changed as the options say."""
    stored, control = options.settings, options.control
    rate, amount, match = SAMPLE_RATE, 1.0, None
    if stored:
        prediction, rate = at_level(stored.prediction, heard.level_gain_db), stored.sample_rate
        wanted, why_not = stored.residual(network.identity if network else None)
        amount = stored.residual_amount if wanted else 0.0
        notes += [why_not] if why_not else []
    elif options.shared:
        prediction, match = options.shared.prediction, options.shared.match
    else:
        prediction = listen(heard, network, options.seconds)
    if options.aim and not options.shared:
        match = brought_near(prediction, heard, options.aim)
        prediction = match.prediction
    notes += match.notes if match else ()
    prediction = apply(control, prediction, rate)
    amount = min(amount * control.residual_scale, MOST_AMOUNT)
    if not network or not network.has_residual or not math.isfinite(heard.lufs):
        amount = 0.0  # silent, or at no level that the network knows
    rendered = bands_at_rate(prediction.settings.eq.bands(), rate, heard.sample_rate)
    return Chosen(prediction, rate, rendered, amount, match)


@contextlib.contextmanager
def rendered(
    prepared: Prepared,
    network: Network | None,
    gain_db: float = 0.0,
    folder: Path | None = None,
    watch: Watch = unwatched,
) -> Iterator[Source]:
    """The rendered signal, from its start at each call: the input itself where nothing is changed, else a spool in
    `folder`."""
    heard, chosen = prepared.heard, prepared.chosen
    settings = chosen.prediction.settings
    if not chosen.amount and flat(chosen.rendered) and not active_stages(settings) and gain_db == 0.0:
        yield heard.pieces
        return
    audio = watch("clean", processed(heard, settings, chosen.rendered, watch))
    if chosen.amount:
        more = residual(heard, network, chosen.prediction.z, chosen.amount)
        audio = added(audio, watch("residual", more))
    with tempfile.TemporaryFile(dir=folder) as spool:
        for piece in scaled(audio, gain_db):
            spool.write(np.ascontiguousarray(piece, np.float32).data)
        spool.flush()
        yield lambda: _spooled(spool.fileno(), prepared.sound.channels)


def _spooled(file: int, channels: int) -> Iterator[np.ndarray]:
    place = 0
    while block := os.pread(file, PIECE * channels * 4, place):
        yield np.frombuffer(block, np.float32).reshape(-1, channels)
        place += len(block)


def _notes(made: list[Delivered], before: Survey) -> list[str]:
    if before.true_peak == 0.0:
        return ["The track is silent, and so is the master."]
    return list(dict.fromkeys(note for one in made for note in one.notes))


def _write_beside(
    result: Mastered, files: dict[Path, Path], track: Path, network: Network | None, options: Options
) -> None:
    """Settings, picture and export, into their temporary files."""
    outputs, chosen, rate = result.outputs, result.chosen, result.info.sample_rate
    delivery = {one.wanted.name: facts_of(one.verdict, one.plan) for one in result.made}
    text = settings_text(track.name, chosen, rate, network, options, delivery)
    files[outputs.settings].write_text(text, encoding="utf-8")
    if outputs.picture:
        from nmjax.inference.report.picture import draw  # matplotlib takes 0.7 s to import

        title = f"{outputs.audio[0].name}: equaliser"
        draw(chosen.prediction.settings.eq.bands(), chosen.eq_rate, title, files[outputs.picture], chosen.match)
    if outputs.export:
        exports.export(chosen.rendered, rate, files[outputs.export], track.name)


def settings_text(
    name: str, chosen: Chosen, sample_rate: int, network: Network | None, options: Options, delivery: dict
) -> str:
    """The settings file of what was rendered at `sample_rate` (Hz)."""
    model = options.settings.model if options.settings else network
    given = (name, model, chosen.prediction, chosen.rendered, sample_rate, delivery, chosen.amount, chosen.eq_rate)
    return as_json(*given, chosen.match and chosen.match.aim.words)


def facts_of(verdict: Verdict, plan: Plan) -> dict:
    """A delivery in numbers, for JSON; None for what is not finite."""
    numbers = {
        "gain_db": plan.gain_db,
        "lufs": verdict.lufs,
        "true_peak_db": verdict.true_peak_db,
        "loudness_range_lu": verdict.loudness_range,
        "limiting_db": plan.reduction.deepest_db,
    }
    return {"passed": verdict.passed, **{name: finite(value) for name, value in numbers.items()}}
