"""What do references do to tracks? Ten pairs to look at and to listen to, five of them chosen to hurt.

    python benchmarks/reference_gallery.py music gallery

The first folder is that of `scripts/music.py`. Sections of 20 s of the training songs are matched as
`infer.py --reference` does. The second folder gets a plot per pair (levels before and after, and those of the
reference; below, the response of the equalizers) and `index.html`: before, after and reference at equal loudness, in
random order until revealed. A sentence per pair is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nmjax import plots
from nmjax.audio import reader
from nmjax.evaluation.listening_test import write_page
from nmjax.evaluation.metrics import lufs, normalize_loudness
from nmjax.mastering import pretrained
from nmjax.mastering.analysis import SourceSignal, render_prediction
from nmjax.mastering.network import Network
from nmjax.mastering.reference_features import features_from_chunks
from nmjax.mastering.track_analysis import plan_render
from nmjax.mastering.types import MasteringOptions
from nmjax.models import SAMPLE_RATE
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.reference_target import ReferenceTarget
from nmjax.reference.response import bands_response_db

_SECONDS = 20.0
_EQUAL_LUFS = -23.0  # of the versions that are compared


class Pair(NamedTuple):
    """A track and its reference, as packages and ends of paths, and what is hard about them."""

    track: tuple[str, str]
    reference: tuple[str, str]
    note: str


WESNOTH, NAEV, UFO = "wesnoth-1.16-music", "naev-data", "ufoai-music"
PAIRS = (
    Pair((WESNOTH, "heroes_rite.ogg"), (WESNOTH, "loyalists.ogg"), "orchestral"),
    Pair(("freecol", "intro.ogg"), ("unknown-horizons", "battle.ogg"), "folk"),
    Pair(("hedgewars-data", "Art.ogg"), ("supertuxkart-data", "hacienda.ogg"), "pop"),
    Pair(("freedroidrpg-data", "town.ogg"), ("singularity-music", "Coherence.ogg"), "electronic"),
    Pair((UFO, "David01.ogg"), (UFO, "Crystan-Battlescape01.ogg"), "industrial"),
    Pair((WESNOTH, "sad.ogg"), ("freedroidrpg-data", "TechBattle.ogg"), "no bass and no treble, to loud and bright"),
    Pair(("freedroidrpg-data", "underground.ogg"), (UFO, "turinItalyM.ogg"), "bright, to a low-pass at 10 kHz"),
    Pair((NAEV, "ambient3.ogg"), (NAEV, "mission.ogg"), "no bass, to much bass"),
    Pair((WESNOTH, "into_the_shadows.ogg"), ("supertux-data", "classic.ogg"), "wide and dynamic, to nearly mono"),
    Pair(
        ("supertux-data", "antarctic/cave.ogg"),
        ("singularity-music", "Enemy Unknown.ogg"),
        "high crest, to a wall of sound",
    ),
)


def main(music: Path, out: Path) -> None:
    """Match all pairs, and write the plots and the page."""
    network = pretrained.load_for_references(lambda _: None)
    out.mkdir(parents=True, exist_ok=True)
    songs = []
    for number, pair in enumerate(PAIRS, 1):
        track, reference = (read_section(find_song(music, *song)) for song in (pair.track, pair.reference))
        name = f"{number:02d} {Path(pair.track[1]).stem} to {Path(pair.reference[1]).stem} ({pair.note})"
        master, sentence = match(
            track, reference, Path(pair.reference[1]).stem, network, out / f"{number:02d}.png", name
        )
        print(f"{name}: {sentence}", flush=True)
        versions = {"before": track, "after": master, "reference": reference}
        songs.append((name, {key: normalize_loudness(x, _EQUAL_LUFS, SAMPLE_RATE) for key, x in versions.items()}))
    print(write_page(out, songs, seed=0))


def find_song(music: Path, package: str, end: str) -> Path:
    """The only file of a package whose path ends like this."""
    (path,) = (path for path in (music / "train" / package).rglob("*") if str(path).endswith(end) and path.is_file())
    return path


def read_section(path: Path) -> np.ndarray:
    """The middle of a song at SAMPLE_RATE, `[time, channel]`, float64."""
    info = reader.probe(path)
    frames = min(info.frames, round(_SECONDS * info.sample_rate))
    audio = reader.read_frames(path, (info.frames - frames) // 2, frames)[:, :2]
    return reader.resample(np.ascontiguousarray(audio), info.sample_rate, SAMPLE_RATE).astype(np.float64)


def match(
    track: np.ndarray, reference: np.ndarray, name: str, network: Network, plot: Path, title: str
) -> tuple[np.ndarray, str]:
    """The track matched to the reference, before delivery, and the outcome in a sentence; plots both."""
    audio = track.astype(np.float32)
    signal = SourceSignal(lambda: [audio], SAMPLE_RATE, lufs(track, SAMPLE_RATE), len(track))
    features = features_from_chunks([reference.astype(np.float32)], SAMPLE_RATE)
    plan = plan_render(signal, network, MasteringOptions(reference_target=ReferenceTarget(features, name)), [])
    rendered = render_prediction(
        signal, plan.prediction, plan.rendered_bands, network, side_bands=plan.rendered_side_bands
    )
    master = np.concatenate(list(rendered)).astype(np.float64)
    levels_db = [features_from_chunks([x.astype(np.float32)], SAMPLE_RATE).mid_db for x in (track, master, reference)]
    curves_db = [x - np.median(x) for x in levels_db]
    curves_db.append(bands_response_db(plan.prediction.settings.eq.bands(), CENTERS_HZ) - 70.0)
    plots.plot_spectra(plot, CENTERS_HZ, curves_db, ["before", "after", "reference", "EQ, 70 dB lower"], title)
    outcome = plan.match_outcome
    return master, outcome.sentence if outcome else "nothing in common"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    main(given.music, given.out)
