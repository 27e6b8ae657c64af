"""Many tracks with one wish: here or on a cluster, each alone or all as an album."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path

from rich.console import Console

from nmjax import io
from nmjax.errors import BadInputError
from nmjax.inference.album import Steps, plan_album
from nmjax.inference.command import Request, names_of, outputs_from, say
from nmjax.inference.jobs import Job, tracks_of
from nmjax.inference.manifest import digest_of, manifest_in
from nmjax.inference.many import Master, Outcome, run_all
from nmjax.inference.master import Options, choose, master
from nmjax.inference.measure import Meter
from nmjax.inference.network import Network
from nmjax.inference.render import equalised
from nmjax.inference.stream import added
from nmjax.inference.track import Heard, pooled, residual
from nmjax.inference.wish import Wish
from nmjax.models import MODEL_LUFS

_SINGLE = ("picture", "export", "report", "null_test")
_FLAGS = {"picture": "--plot", "export": "--export", "report": "--report", "null_test": "--null-test"}


def run_many(request: Request, console: Console) -> int:
    """Master every track that is not done yet; returns the exit code: 1 if one failed.

    Raises:
        BadInputError: whatever of the request cannot be used, before any work.
    """
    for name in _SINGLE:
        if getattr(request, name):
            raise BadInputError(f"{_FLAGS[name]} is for a single track; give one file.")
    if request.out and request.out.suffix and not request.out.is_dir():
        raise BadInputError(f"'{request.out}' looks like a file; for many tracks -o names a folder.")
    wish, options = request.wish, request.wish.options()
    names = partial(names_of, deliveries=options.deliveries)
    jobs = tracks_of(request.inputs, names, request.out, lambda sentence: say(console, sentence))
    manifest = manifest_in(jobs, request.out)
    network = wish.network(lambda sentence: say(console, sentence))
    digest = digest_of(_asked_for(wish, network, jobs if request.album else []))
    if request.scheduler or request.workers:
        if request.album:
            raise BadInputError("--album is made on one machine; leave --scheduler and --workers out.")
        from nmjax.inference.catalogue import run_dask

        workers = (request.scheduler, request.workers)
        summary = run_dask(jobs, Recipe(wish), manifest, digest, console, *workers, force=request.force)
    else:
        if request.album:
            options = album_options(jobs, network, options, console)
        summary = run_all(jobs, master_with(wish, network, options), manifest, digest, console, request.force)
    if request.as_json:
        print(json.dumps(summary.as_tree(), indent=1, ensure_ascii=False))
    return summary.exit_code


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a worker makes its master from; a process keeps what it made, so that a model is loaded once."""

    wish: Wish

    def __call__(self) -> Master:
        """Loads the network."""
        return master_with(self.wish, self.wish.network(lambda _: None), self.wish.options())


def master_with(wish: Wish, network: Network | None, options: Options) -> Master:
    """A track and its first output → what became of it."""

    def one(track: Path, out: Path) -> Outcome:
        result = master(track, outputs_from(track, out, wish), network, options)
        verdict = "PASS" if all(made.verdict.passed for made in result.made) else "FAIL"
        found = result.made[0].verdict
        reasons = [made.verdict.reason for made in result.made if made.verdict.reason]
        return Outcome(out, verdict, found.lufs, found.true_peak_db, [*reasons, *result.notes])

    return one


def _asked_for(wish: Wish, network: Network | None, album: list[Job]) -> dict:
    """All that another master would come of: the wish, the weights, edited settings, an album's songs."""
    settings = Path(wish.settings).read_text(encoding="utf-8-sig") if wish.settings else ""
    songs = [(str(job.track), job.track.stat().st_size, job.track.stat().st_mtime_ns) for job in album]
    return {**dataclasses.asdict(wish), "settings": settings, "network": network and network.identity, "album": songs}


def album_options(jobs: list[Job], network: Network | None, options: Options, console: Console) -> Options:
    """The options with what an album's songs share: settings, and the gain to the first delivery.

    Raises:
        BadInputError: no network, several deliveries, or a song that cannot be used.
    """
    if network is None or options.settings:
        raise BadInputError("--album takes its settings from a network; leave --settings out.")
    if len(options.deliveries) > 1:
        raise BadInputError("--album makes one delivery; name one with --deliver.")
    wanted = options.deliveries[0]
    with console.status("Listening to the album …"):
        steps = _steps(network, options)
        limiting = wanted.max_limiting_db if wanted.true_peak_db is not None else 0.0
        target = wanted.lufs if wanted.lufs is not None else float("nan")
        ceiling = wanted.true_peak_db if wanted.true_peak_db is not None else 100.0
        plan = plan_album([job.track for job in jobs], steps, target, ceiling, limiting)
    for note in plan.notes:
        say(console, note)
    level = MODEL_LUFS - float(plan.prediction.settings.input_gain_db[0])
    gain_db = plan.delivery_gain_db if wanted.lufs is not None else 0.0
    delivery = dataclasses.replace(wanted, lufs=None)
    return dataclasses.replace(options, shared=(plan.prediction, level), gain_db=gain_db, deliveries=(delivery,))


def _steps(network: Network, options: Options) -> Steps:
    def metered(pieces, track: Path):
        info = io.probe(track)
        meter = Meter(info.sample_rate, info.channels)
        for _ in meter.watch(pieces):
            pass
        return meter.state

    def heard_at(track: Path, gain_db: float) -> Heard:
        info = io.probe(track)
        return Heard(lambda: io.pieces(track), info.sample_rate, MODEL_LUFS - gain_db, info.frames)

    def render(track: Path, prediction):
        gain_db = float(prediction.settings.input_gain_db[0])
        heard = heard_at(track, gain_db)
        chosen = choose(heard, network, dataclasses.replace(options, shared=(prediction, heard.lufs)), [])
        audio = equalised(heard.pieces(), chosen.rendered, heard.sample_rate)
        if chosen.amount:
            audio = added(audio, residual(heard, network, chosen.prediction.z, chosen.amount))
        return metered(audio, track)

    return Steps(
        rate=lambda track: io.probe(track).sample_rate,
        measure=lambda track: metered(io.pieces(track), track),
        listen=lambda track, gain_db: pooled(heard_at(track, gain_db), network, options.seconds),
        settle=network.settle,
        render=render,
    )
